"""Statements as trees: parsed by sqlglot, and refused where a tree might not say all that the text says.

sqlglot reads many dialects, and leniently. So every node that could have an effect is checked against a list
of what is understood, and the tree against the tokens: no table that the text names, no locking clause and no
write may be missing from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pgweave.sql.catalog import Catalog, Table
from pgweave.sql.plan import NotUnderstoodError
from pgweave.sql.tokens import Token, TokenKind, rewritten, words

_SET_OPERATION = words("with_ this expression distinct order limit offset")
_UNDERSTOOD: dict[type[exp.Expr], frozenset[str]] = {
    exp.Select: words(
        "with_ expressions distinct from_ joins where group having windows order limit offset locks"
    ),
    exp.Union: _SET_OPERATION,
    exp.Except: _SET_OPERATION,
    exp.Intersect: _SET_OPERATION,
    exp.Subquery: words("this alias order limit offset"),
    exp.Values: words("expressions alias"),
    exp.With: words("expressions recursive"),
    exp.CTE: words("this alias materialized"),
    exp.Table: words("this db alias only joins"),
    exp.TableAlias: words("this columns"),
    exp.Join: words("this on using side kind method"),
    exp.Lateral: words("this alias"),
    exp.Lock: words("update key wait expressions"),
    exp.Insert: words("with_ this expression default conflict returning"),
    exp.OnConflict: words("action conflict_keys index_predicate constraint expressions where"),
    exp.Update: words("with_ this expressions from_ where returning"),
    exp.Delete: words("with_ this using where returning"),
    exp.Returning: words("expressions"),
}
_WITH_EFFECTS = (exp.DDL, exp.DML, exp.Query, exp.Command, exp.Into, exp.Copy, exp.Set, exp.TableSample)
_DML = (exp.Insert, exp.Update, exp.Delete)


def parse(tokens: Sequence[Token]) -> tuple[exp.Expr, tuple[Token, ...]]:
    """The tree of one statement, and the strings that its literals stand for.

    Raises:
        NotUnderstoodError: It cannot be parsed, or holds something that is not understood.
    """
    if any(token.kind is TokenKind.SYMBOL and token.text == "==" for token in tokens):
        raise NotUnderstoodError("it has the operator ==, which is not that of equality")
    text, strings = rewritten(tokens)
    try:
        trees = sqlglot.parse(text, dialect="postgres")
    except (SqlglotError, RecursionError):
        raise NotUnderstoodError("the parser does not understand it") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Expr):
        raise NotUnderstoodError("the parser does not understand it")
    tree = trees[0]
    for node in tree.walk():
        _check(node)
    _compare(tree, tokens)
    return tree, strings


def name_of(identifier: object) -> str:
    """The name that an identifier means; unquoted ones are in lower case already.

    Raises:
        NotUnderstoodError: It is no identifier.
    """
    if isinstance(identifier, exp.Identifier):
        return str(identifier.this)
    raise NotUnderstoodError("it has something else where a name should be")


def table_of(node: exp.Table, catalog: Catalog) -> Table:
    """The table that a node names.

    Raises:
        NotUnderstoodError: There is none, more than one, or an unusual one.
    """
    name = name_of(node.this)
    schema = name_of(node.args["db"]) if node.args.get("db") else None
    if schema in (None, "pg_catalog") and name in catalog.system_tables and name not in catalog.names:
        return Table(
            label=name, schema="pg_catalog", name=name, columns={}, unusual_to_write="is of the system"
        )
    table = catalog.table(schema, name)
    if table is None:
        many = len(catalog.names.get(name, ())) > 1
        raise NotUnderstoodError(
            f"it names {name}, which {'may be one of several' if many else 'is no known table'}"
        )
    if table.unusual:
        raise NotUnderstoodError(f"it names {name}, which {table.unusual}")
    return table


def check_names(tokens: Sequence[Token], tables: Sequence[Table], catalog: Catalog) -> None:
    """Refuse a statement whose text names a table that was not found in its tree.

    Raises:
        NotUnderstoodError: There is such a table.
    """
    found = {table.name for table in tables} | {column for table in tables for column in table.columns}
    for token in tokens:
        name = token.name
        if (
            name is not None
            and name not in found
            and (name in catalog.names or name in catalog.system_tables)
        ):
            raise NotUnderstoodError(f"it names {name} in a way that is not understood")


def conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold for this one to hold."""
    if isinstance(condition, (exp.Where, exp.Paren)):
        yield from conjuncts(condition.this)
    elif isinstance(condition, exp.And):
        yield from conjuncts(condition.this)
        yield from conjuncts(condition.expression)
    elif condition is not None:
        yield condition


def only_source(node: exp.Column) -> str:
    """The name in the FROM clause of a column's query, if that is all that stands there."""
    select = node.find_ancestor(exp.Query, exp.DML)
    source = select.args.get("from_") if isinstance(select, exp.Select) else None
    if source is None or select is None or select.args.get("joins") or not isinstance(source.this, exp.Table):
        return ""
    table = source.this
    is_plain = isinstance(table.this, exp.Identifier) and not (
        table.args.get("alias") or table.args.get("db") or table.args.get("joins")
    )
    return str(table.name) if is_plain else ""


def given_names(tree: exp.Expr) -> Iterable[str]:
    """The names that a statement gives to what it reads; without another a function has its own."""
    for node in tree.find_all(exp.TableAlias, exp.Table):
        if isinstance(node, exp.TableAlias):
            yield node.name
        elif not isinstance(node.this, exp.Identifier):
            yield node.this.name


def _check(node: exp.Expr) -> None:
    understood = _UNDERSTOOD.get(type(node))
    if understood is None:
        if isinstance(node, _WITH_EFFECTS):
            raise NotUnderstoodError(f"{type(node).__name__.upper()} is not supported")
        return
    for part, value in node.args.items():
        if value and part not in understood:
            raise NotUnderstoodError(f"{type(node).__name__.upper()} with {part.strip('_')} is not supported")
    if node.args.get("joins") and isinstance(node, exp.Table) and isinstance(node.parent_select, exp.Select):
        raise NotUnderstoodError("joins in parentheses are not supported")


def _compare(tree: exp.Expr, tokens: Sequence[Token]) -> None:
    counts: Counter[str] = Counter()
    for before, token, after in zip((None, *tokens), tokens, (*tokens[1:], None), strict=False):
        if token.is_word("for") and after is not None and after.is_word("update", "share", "no", "key"):
            counts["lock"] += 1
        elif token.is_word("insert", "delete", "merge", "update"):
            clause = before is not None and before.is_word("for", "key", "do")
            counts["write"] += not clause
        elif token.kind is TokenKind.WORD and token.text == "into":
            counts["into"] += 1
    nodes = Counter(
        "lock" if isinstance(node, exp.Lock) else "write" for node in tree.find_all(exp.Lock, *_DML)
    )
    nodes["into"] = len(list(tree.find_all(exp.Insert)))
    if counts != nodes:
        raise NotUnderstoodError("the parser did not find all of its writes and locking clauses")
