"""Columns that must be equal, to a value or to each other, by the conditions of a statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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


def using_links(sources: Sequence[Source], join: exp.Join) -> list[tuple[Place, Place]]:
    """The columns that a USING clause merges."""
    names = [name_of(column) for column in join.args.get("using") or []]
    links = []
    for name in names:
        owners = [source.alias for source in sources if name in source.table.columns]
        links += [((one, name), (other, name)) for one, other in pairwise(owners)]
    return links


def propagate(
    known: dict[Place, Term], links: Sequence[tuple[Place, Place]], tables: Mapping[str, Table]
) -> None:
    """Carry values along links, as far as they go."""

    def comparison(place: Place) -> Comparison:
        return tables[place[0]].columns[place[1]].comparison

    for _ in links:
        for one, other in links:
            if comparison(one) is comparison(other):
                if one in known:
                    known.setdefault(other, known[one])
                elif other in known:
                    known[one] = known[other]
