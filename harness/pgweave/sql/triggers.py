"""What triggers do: those that only compute and look, at once or at the end of the transaction.

A trigger's function is followed if it is written in PL/pgSQL and touches tables only by ``PERFORM`` of a
query. In that query the columns of ``NEW`` and ``OLD`` have the values that the statement gives them, so a
check that looks for rows of the same key reads these rows and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from pgweave.sql.catalog import Catalog, Function, Table, Trigger
from pgweave.sql.equations import Place
from pgweave.sql.functions import effects, expression_effects, is_followed
from pgweave.sql.plan import NotUnderstoodError, StatementPlan
from pgweave.sql.queries import Analysis
from pgweave.sql.tokens import ScanError, Token, TokenKind, scan
from pgweave.sql.values import Comparison, Term

_SELECT = Token(TokenKind.WORD, "select")
_END = Token(TokenKind.SYMBOL, ";")


def fire(
    catalog: Catalog,
    plan: StatementPlan,
    table: Table,
    event: str,
    *,
    new: Mapping[str, Term | None] | None = None,
    old: Mapping[str, Term | None] | None = None,
    changed: frozenset[str] = frozenset(),
) -> None:
    """Add to a plan what a table's triggers do.

    Args:
        catalog: of the database.
        plan: to add to.
        table: that is written.
        event: ``INSERT``, ``UPDATE`` or ``DELETE``.
        new: the values known of the new row.
        old: the values known of the old row.
        changed: the columns that an update may change.

    Raises:
        NotUnderstoodError: A trigger may do anything.
    """
    known = {
        (row, name): (table.columns[name].comparison, term)
        for row, values in (("new", new), ("old", old))
        for name, term in (values or {}).items()
        if term is not None
    }
    for trigger in table.triggers:
        if event in trigger.events and (
            not trigger.columns or trigger.columns & changed or event != "UPDATE"
        ):
            done = _followed(catalog, trigger, known if trigger.is_row else {})
            if trigger.is_deferred:
                plan.move_to_end(done)
            else:
                plan.include(done)


def assigned_columns(table: Table, event: str, catalog: Catalog) -> frozenset[str]:
    """The columns that triggers may give other values than the statement does.

    Raises:
        NotUnderstoodError: A trigger that runs before the change may do so in a way that is not understood.
    """
    result: set[str] = set()
    for trigger in table.triggers:
        if event in trigger.events and trigger.is_before and trigger.is_row:
            result |= _assigned(_body(catalog, trigger), trigger)
    return frozenset(result)


def _followed(
    catalog: Catalog, trigger: Trigger, known: Mapping[Place, tuple[Comparison, Term]]
) -> StatementPlan:
    queries, rest = _queries(_body(catalog, trigger))
    plan = StatementPlan(effects=effects(rest, catalog))
    if trigger.condition:
        plan.effects |= expression_effects(trigger.condition, catalog)
    if plan.effects.unknown:
        raise NotUnderstoodError(f"it fires {trigger.name}: {plan.effects.unknown}")
    if not is_followed(rest):
        raise NotUnderstoodError(f"it fires {trigger.name}, which does more than compute and look")
    for query in queries:
        try:
            analysis = Analysis((_SELECT, *query), catalog, known)
        except NotUnderstoodError as error:
            raise NotUnderstoodError(f"it fires {trigger.name}, and in a query of that {error}") from None
        if analysis.tree.find(exp.Insert, exp.Update, exp.Delete):
            raise NotUnderstoodError(f"it fires {trigger.name}, which writes")
        analysis.read_queries()
        plan.include(analysis.plan)
    return plan


def _body(catalog: Catalog, trigger: Trigger) -> tuple[Token, ...]:
    schema, name = trigger.function
    found = [function for function in catalog.functions.get(name, ()) if function.schema == schema]
    if len(found) != 1 or not _is_readable(found[0]):
        raise NotUnderstoodError(f"it fires {trigger.name}, whose function is not followed")
    try:
        return scan(found[0].source or "")
    except ScanError as error:
        raise NotUnderstoodError(f"it fires {trigger.name}: {error}") from None


def _is_readable(function: Function) -> bool:
    return function.language == "plpgsql" and function.source is not None


def _queries(body: Sequence[Token]) -> tuple[list[list[Token]], list[Token]]:
    """The queries that a body performs, and all the rest of it."""
    queries: list[list[Token]] = []
    rest: list[Token] = []
    current = rest
    for token in body:
        if token.is_word("perform"):
            queries.append(current := [])
        elif token == _END:
            current = rest
            rest.append(token)
        else:
            current.append(token)
    return queries, rest


def _assigned(body: Sequence[Token], trigger: Trigger) -> set[str]:
    """The columns of NEW that a body assigns to, if it does nothing else with NEW than read and return it."""
    result = set()
    padded = (*body, _END, _END, _END)
    for place, token in enumerate(body):
        following = padded[place + 1 : place + 4]
        if token.is_word("new"):
            is_returned = place > 0 and body[place - 1].is_word("return")
            is_column = following[0].text == "." and following[1].name is not None
            if not (is_column or (is_returned and following[0] == _END)):
                raise NotUnderstoodError(f"it fires {trigger.name}, which uses NEW as a whole")
            if is_column and following[2].text in (":=", "="):
                result.add(following[1].text)
        elif token.is_word("for", "foreach") or (
            token.is_word("return") and not following[0].is_word("new", "old", "null")
        ):
            raise NotUnderstoodError(f"it fires {trigger.name}, which may change the row")
    return result
