"""The locks on keys: of unique indexes, and of rows that a foreign key refers to.

A unique index is locked by key. Whoever inserts, removes or changes a key claims it (``UPDATE``): another
claim waits for the end of the transaction. A row that is updated and keeps its key holds it (``KEY_SHARE``):
an insertion of the same key waits for that too, because it cannot know whether the row stays.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from sqlglot import exp

from pgweave.interleavings.footprint import Lock
from pgweave.sql.catalog import Catalog, ForeignKey, Table, UniqueIndex
from pgweave.sql.plan import LockPlan, NotUnderstoodError, RowsPlan
from pgweave.sql.queries import Analysis
from pgweave.sql.syntax import conjuncts
from pgweave.sql.tokens import ScanError, scan
from pgweave.sql.values import NULL, UNKNOWN, Comparison, Term, value_of

Row = Mapping[str, Term | None]
"""Columns of a row and their values; a value that is not known is ``None``, as is one that is missing."""


def claim_key(catalog: Catalog, table: Table, index: UniqueIndex, row: Row) -> LockPlan:
    """The claim of a new row to its key; none if the index leaves it out, or part of the key is NULL."""
    return LockPlan(
        Lock.UPDATE,
        RowsPlan.of_index(table, index, row),
        not_if_null=index.nulls_distinct,
        only_if=_predicate(catalog, table, index, row),
    )


def _predicate(
    catalog: Catalog, table: Table, index: UniqueIndex, row: Row
) -> tuple[tuple[Comparison, Term, Hashable], ...]:
    """The equations of a partial index's predicate whose column has a known value in the row."""
    if index.predicate is None:
        return ()
    try:
        analysis = Analysis(scan(f"SELECT {index.predicate}"), catalog)
    except (ScanError, NotUnderstoodError):
        return ()
    found = []
    for condition in conjuncts(analysis.tree.expressions[0]):
        column = (
            condition.this.name
            if type(condition) is exp.EQ and isinstance(condition.this, exp.Column)
            else ""
        )
        term = row.get(column)
        if term is None:
            continue
        comparison = table.columns[column].comparison
        constant = analysis.term(condition.expression, comparison)
        wanted = UNKNOWN if constant is None else value_of(constant, comparison, ())
        if wanted is not UNKNOWN and wanted is not NULL:
            found.append((comparison, term, wanted))
    return tuple(found)


def reference_lock(analysis: Analysis, foreign: ForeignKey, row: Row) -> LockPlan:
    """The lock on the referenced row; none if part of the reference is NULL."""
    table = analysis.catalog.tables[foreign.referenced]
    if table.unusual:
        raise NotUnderstoodError(f"it refers to {table.label}, which {table.unusual}")
    pairs = _that_compare_alike(analysis.catalog, foreign)
    rows = RowsPlan.of_table(table, {referenced: row.get(column) for column, referenced in pairs})
    return LockPlan(Lock.KEY_SHARE, rows, not_if_null=True)


def plan_check_of_references(analysis: Analysis, foreign: ForeignKey, known: Row) -> None:
    """Nothing may refer to a row that goes: referring rows are looked for, and locked."""
    if foreign.cascades:
        raise NotUnderstoodError(f"the foreign key {foreign.name} may change other rows with it")
    table = analysis.catalog.tables[foreign.table]
    if table.unusual:
        raise NotUnderstoodError(f"it is referred to by {table.label}, which {table.unusual}")
    pairs = _that_compare_alike(analysis.catalog, foreign)
    rows = RowsPlan.of_table(table, {column: known.get(referenced) for column, referenced in pairs})
    analysis.plan.lock(Lock.KEY_SHARE, rows)


def _that_compare_alike(catalog: Catalog, foreign: ForeignKey) -> Iterator[tuple[str, str]]:
    """The columns of a foreign key and those that they refer to, but for those that may change a value."""
    mine, theirs = catalog.tables[foreign.table].columns, catalog.tables[foreign.referenced].columns
    for column, referenced in zip(foreign.columns, foreign.referenced_columns, strict=True):
        if mine[column].comparison is theirs[referenced].comparison:
            yield column, referenced
