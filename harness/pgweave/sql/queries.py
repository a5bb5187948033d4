"""The rows that a statement reads and locks, and the terms that restrict them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp

from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import Lock
from pgweave.sql.catalog import Catalog, Table
from pgweave.sql.equations import (
    Place,
    Source,
    carry,
    comparison_of,
    equations,
    place_of,
    propagate,
    using_links,
)
from pgweave.sql.functions import effects
from pgweave.sql.plan import NotUnderstoodError, RowsPlan, StatementPlan
from pgweave.sql.syntax import check_names, conjuncts, given_names, name_of, only_source, parse, table_of
from pgweave.sql.tokens import Token, TokenKind
from pgweave.sql.values import Comparison, Term

_INT8 = 20
_PARAMETER = re.compile(r"\$(\d+)")
_CASTS = {
    exp.DType.UUID: {Comparison.UUID},
    exp.DType.TEXT: {Comparison.TEXT, Comparison.LIMITED_TEXT},
    exp.DType.VARCHAR: {Comparison.TEXT, Comparison.LIMITED_TEXT},
    exp.DType.SMALLINT: {Comparison.INTEGER},
    exp.DType.INT: {Comparison.INTEGER},
    exp.DType.BIGINT: {Comparison.INTEGER},
    exp.DType.VARBINARY: {Comparison.BYTES},
}
_NAMED_ALREADY = frozenset({"excluded", "new", "old"})


class Analysis:
    """One statement's tree, and the plan that is made of it.

    Args:
        tokens: the statement.
        catalog: of the database.
        known: how columns of ``new`` and ``old`` compare, and their terms, in a query of a trigger.

    Raises:
        NotUnderstoodError: The statement holds something that is not understood.
    """

    def __init__(
        self,
        tokens: Sequence[Token],
        catalog: Catalog,
        known: Mapping[Place, tuple[Comparison, Term]] | None = None,
    ) -> None:
        self.catalog = catalog
        self.plan = StatementPlan(effects=effects(tokens, catalog))
        if self.plan.effects.unknown:
            raise NotUnderstoodError(self.plan.effects.unknown)
        self.tree, self._strings = parse(tokens)
        given = set(given_names(self.tree))
        self._returned = {place: term for place, term in (known or {}).items() if place[0] not in given}
        self._uses = Counter(token.text for token in tokens if token.kind is TokenKind.PARAMETER)
        self._common = {name_of(node.args["alias"].this) for node in self.tree.find_all(exp.CTE)}
        if hidden := self._common & catalog.names.keys():
            raise NotUnderstoodError(f"its WITH clause hides {', '.join(sorted(hidden))}")
        self._done: set[int] = set()
        self._tables = {id(node): self._table(node) for node in self.tree.find_all(exp.Table)}
        check_names(tokens, [table for table in self._tables.values() if table], catalog)

    def returned(self, node: exp.Expr, table: Table, row: Mapping[str, Term | None]) -> None:
        """Note the values that are known of every row that a part of the WITH clause writes and returns.

        Only under plain names of the table written: another expression or table, or a name that the statement
        gives to something else as well, may mean any value.
        """
        part, returning = node.parent, node.args.get("returning")
        if not isinstance(part, exp.CTE) or part.args["alias"].columns or returning is None:
            return
        name = name_of(part.args["alias"].this)
        if name in _NAMED_ALREADY or sum(each == name for each in given_names(self.tree)) > 1:
            return
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        own = ("", _alias(target, table))
        shown = {
            item.name for item in returning.expressions if isinstance(item, exp.Column) and item.table in own
        }
        is_alone = not (node.args.get("from_") or node.args.get("using"))
        if is_alone and any(isinstance(item, exp.Star) for item in returning.expressions):
            shown |= row.keys()
        for column in shown & row.keys():
            if term := row[column]:
                self._returned[name, column] = (table.columns[column].comparison, term)

    def read_queries(self) -> None:
        """Add what every SELECT reads and locks, and every table that nothing else accounts for."""
        for select in self.tree.find_all(exp.Select):
            self._read_select(select)
        for node in self.tree.find_all(exp.Table):
            table = self._tables[id(node)]
            if table is not None and id(node) not in self._done:
                self.plan.reads.append(RowsPlan(table.label))

    def sources(self, *parts: object) -> list[Source]:
        """The tables that stand directly in these parts of a statement."""
        found = []
        for node in _tables_in(parts):
            table = self._tables[id(node)]
            if table is not None:
                found.append(Source(_alias(node, table), table, node))
        if len({source.alias for source in found}) < len(found):
            raise NotUnderstoodError("it has two tables of one name")
        return found

    def mark(self, source: Source) -> None:
        """Note that a table is accounted for."""
        self._done.add(id(source.node))

    def read(self, source: Source, restrictions: Mapping[str, Mapping[str, Term]]) -> None:
        """Add the reading of a table, restricted."""
        self.mark(source)
        self.plan.reads.append(RowsPlan.of_table(source.table, restrictions[source.alias]))

    def restrict(
        self, sources: Sequence[Source], where: exp.Expr | None, joins: Iterable[exp.Join] = ()
    ) -> dict[str, dict[str, Term]]:
        """For each alias, the columns that can only have one value in rows that matter, and that value.

        A row that fails a condition of WHERE never shows in a result, whatever the joins are. An equation of
        two columns in the ON or USING clause of an inner or left join carries such a value from one to the
        other, if it is about the table that is joined: pairs that fail it are never joined to each other. But
        what a left join alone says of that table is not carried back: the rows before it show all the same.
        """
        conditions = list(conjuncts(where))
        joins = list(joins)
        inner = not any(join.side for join in joins)
        simple = all(join.side in ("", "LEFT") and not join.method for join in joins)
        tables = {source.alias: source.table for source in sources}
        links: list[tuple[Place, Place]] = []
        joined: list[tuple[dict[Place, Term], list[tuple[Place, Place]]]] = []
        for join in joins if simple else ():
            if inner:
                links += using_links(sources, join, joins)
                conditions += conjuncts(join.args.get("on"))
            else:
                joined.append(self._learn_from_left_join(join, sources, joins))
                links += joined[-1][1]
        known: dict[Place, Term] = {}
        for condition in conditions:
            self._learn(condition, sources, known, links)
        propagate(known, links, tables)
        for found, linked in joined:
            known = found | known
            carry(known, linked, tables)
        return {
            source.alias: {column: term for (alias, column), term in known.items() if alias == source.alias}
            for source in sources
        }

    def term(self, node: exp.Expr | None, comparison: Comparison) -> Term | None:
        """The term that an expression is, where it meets a column that compares so."""
        match node:
            case exp.Paren() | exp.Alias():
                return self.term(node.this, comparison)
            case exp.Cast() if type(node) is exp.Cast:
                target = node.args["to"]
                fits = not target.expressions and comparison in _CASTS.get(target.this, ())
                return self.term(node.this, comparison) if fits else None
            case exp.Null():
                return Term()
            case exp.Column():
                return self._column_term(node, comparison)
            case exp.Literal():
                return self._constant(node)
        return None

    def _constant(self, node: exp.Literal) -> Term | None:
        if node.is_string:
            token = self._strings[int(node.this[1:])]
            return Term(constant=Bound(0, 0, token.text.encode())) if token.exact else None
        return Term(constant=Bound(0, _INT8, node.this.encode())) if node.is_int else None

    def _column_term(self, node: exp.Column, comparison: Comparison) -> Term | None:
        name = node.name
        parameter = _PARAMETER.fullmatch(name)
        if parameter and not node.table and node.this.quoted:
            return Term(int(parameter.group(1)) - 1, repeated=self._uses[parameter.group(1)] > 1)
        compared, returned = self._returned.get((node.table or only_source(node), name), (None, None))
        return returned if compared is comparison else None

    def _table(self, node: exp.Table) -> Table | None:
        if isinstance(node.parent, exp.Lock) or not isinstance(node.this, exp.Identifier):
            return None
        if not node.args.get("db") and node.name in self._common:
            return None
        alias = node.args.get("alias")
        if alias is not None and alias.columns:
            raise NotUnderstoodError("it gives the columns of a table other names")
        return table_of(node, self.catalog)

    def _read_select(self, select: exp.Select) -> None:
        joins = select.args.get("joins") or []
        sources = self.sources(select.args.get("from_"), *joins)
        restrictions = self.restrict(sources, select.args.get("where"), joins)
        strengths = self._strengths(select, sources)
        for source in sources:
            if not strengths[source.alias]:
                self.read(source, restrictions)
            for lock in strengths[source.alias]:
                self.mark(source)
                self.plan.lock(lock, RowsPlan.of_table(source.table, restrictions[source.alias]))

    def _strengths(self, select: exp.Select, sources: Sequence[Source]) -> dict[str, list[Lock]]:
        """The row locks that the locking clauses take, by alias."""
        result: dict[str, list[Lock]] = {source.alias: [] for source in sources}
        for clause in select.args.get("locks") or []:
            named = [name_of(node.this) for node in clause.expressions]
            parts = [select.args.get("from_"), *(select.args.get("joins") or [])]
            if not named and any(
                isinstance(part.this, (exp.Subquery, exp.Lateral)) for part in parts if part
            ):
                raise NotUnderstoodError("its locking clause may reach into a subquery")
            for alias in named or result:
                if alias not in result:
                    raise NotUnderstoodError(f"its locking clause names {alias}, which is no table of it")
                result[alias].append(_strength(clause))
        return result

    def _learn(
        self,
        condition: exp.Expr,
        sources: Sequence[Source],
        known: dict[Place, Term],
        links: list[tuple[Place, Place]],
    ) -> None:
        """Learn from an equation: the value of a column, or that two columns have the same."""
        for left, right in equations(condition):
            mine, theirs = place_of(left, sources), place_of(right, sources)
            if mine and theirs:
                links.append((mine, theirs))
            for place, other in ((mine, right), (theirs, left)):
                term = place and self.term(other, comparison_of(place, sources))
                if place and term:
                    known.setdefault(place, term)

    def _learn_from_left_join(
        self, join: exp.Join, sources: Sequence[Source], joins: Sequence[exp.Join]
    ) -> tuple[dict[Place, Term], list[tuple[Place, Place]]]:
        """Learn what is about the joined table: its rows that fail the condition are never joined."""
        joined = {source.alias for source in self.sources(join)}
        found: dict[Place, Term] = {}
        linked: list[tuple[Place, Place]] = []
        for condition in conjuncts(join.args.get("on")):
            self._learn(condition, sources, found, linked)
        turned = [link if link[1][0] in joined else link[::-1] for link in linked]
        return (
            {place: term for place, term in found.items() if place[0] in joined},
            using_links(sources, join, joins) + [(one, other) for one, other in turned if other[0] in joined],
        )


def _tables_in(parts: Iterable[object]) -> Iterable[exp.Table]:
    for part in parts:
        if isinstance(part, exp.Table):
            yield part
            yield from _tables_in(part.args.get("joins") or [])
        elif isinstance(part, (exp.From, exp.Join)):
            yield from _tables_in([part.this])


def _alias(node: exp.Table, table: Table) -> str:
    alias = node.args.get("alias")
    return name_of(alias.this) if alias is not None else table.name


def _strength(clause: exp.Lock) -> Lock:
    if clause.args.get("update"):
        return Lock.NO_KEY_UPDATE if clause.args.get("key") else Lock.UPDATE
    return Lock.KEY_SHARE if clause.args.get("key") else Lock.SHARE
