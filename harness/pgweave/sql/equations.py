"""Columns that must be equal, to a value or to each other, by the conditions of a statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from sqlglot import exp

from pgweave.sql.catalog import Table
from pgweave.sql.syntax import name_of
from pgweave.sql.values import Comparison, Term

Place: TypeAlias = tuple[str, str]
"""An alias and a column."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table in a FROM clause, under the name that it has there."""

    alias: str
    table: Table
    node: exp.Table


def equations(condition: exp.Expr) -> Iterable[tuple[exp.Expr, exp.Expr]]:
    """The two sides of each equation that a condition is: one, or several of tuples."""
    if type(condition) is not exp.EQ:
        return
    left, right = condition.this, condition.expression
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
        if len(left.expressions) == len(right.expressions):
            yield from zip(left.expressions, right.expressions, strict=True)
    else:
        yield left, right


def place_of(node: exp.Expr, sources: Sequence[Source]) -> Place | None:
    """The column of one of the tables that a node means."""
    if not isinstance(node, exp.Column) or node.args.get("db") or not isinstance(node.this, exp.Identifier):
        return None
    name = node.name
    owners = [source.alias for source in sources if name in source.table.columns]
    if node.table:
        return (node.table, name) if node.table in owners else None
    return (owners[0], name) if owners and (len(owners) == 1 or _is_merged(node, name)) else None


def _is_merged(node: exp.Expr, name: str) -> bool:
    """Whether a column that several tables have is one by USING; PostgreSQL refuses it otherwise."""
    select = node.parent_select
    joins = (select.args.get("joins") or []) if select else []
    return any(name == name_of(column) for join in joins for column in join.args.get("using") or [])


def comparison_of(place: Place, sources: Sequence[Source]) -> Comparison:
    """How the values of a column compare."""
    alias, column = place
    return next(source for source in sources if source.alias == alias).table.columns[column].comparison


def using_links(
    sources: Sequence[Source], join: exp.Join, joins: Sequence[exp.Join]
) -> list[tuple[Place, Place]]:
    """The columns that a USING clause merges: of a table before it, and of the one that is joined."""
    names = [name_of(column) for column in join.args.get("using") or []]
    if any(map(_is_comma, joins)):
        return []  # of what stands before a comma, nothing is merged
    before = list(takewhile(lambda source: source.node is not join.this, sources))
    joined = [source.alias for source in sources[len(before) : len(before) + 1]]
    links = []
    for name in names:
        owners = [source.alias for source in before if name in source.table.columns]
        links += [((one, name), (other, name)) for one in owners[:1] for other in joined]
    return links


def _is_comma(join: exp.Join) -> bool:
    return not any(join.args.get(part) for part in ("kind", "side", "method", "on", "using"))


def propagate(
    known: dict[Place, Term], links: Sequence[tuple[Place, Place]], tables: Mapping[str, Table]
) -> None:
    """Carry values along links in both directions, as far as they go."""
    back = [(other, one) for one, other in links]
    for _ in links:
        carry(known, links, tables)
        carry(known, back, tables)


def carry(
    known: dict[Place, Term], links: Sequence[tuple[Place, Place]], tables: Mapping[str, Table]
) -> None:
    """Carry values along links, from the first to the second."""
    for (alias, column), place in links:
        comparison = tables[alias].columns[column].comparison
        if (alias, column) in known and comparison is tables[place[0]].columns[place[1]].comparison:
            known.setdefault(place, known[alias, column])
