"""What a statement touches, with places for its values: worked out once, filled in for each execution."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import Access, Lock, Mode, Rows
from pgweave.sql.catalog import Table, UniqueIndex
from pgweave.sql.functions import PURE, Effects
from pgweave.sql.values import NULL, UNKNOWN, Comparison, Term, value_of


class NotUnderstoodError(Exception):
    """A statement may do anything; the message says why, as a sentence about the statement."""


@dataclass(frozen=True, slots=True)
class RowsPlan:
    """A set of rows whose columns' values are terms.

    Attributes:
        label: the name of the table or index.
        columns: the columns that have a value, and how they compare.
    """

    label: str
    columns: tuple[tuple[str, Comparison, Term], ...] = ()

    @classmethod
    def of_table(cls, table: Table, terms: Mapping[str, Term | None]) -> RowsPlan:
        """The rows of a table with these values in those of the columns that are keys."""
        return cls(
            table.label, _comparable(table, {name: terms.get(name) for name in sorted(table.key_columns)})
        )

    @classmethod
    def of_index(cls, table: Table, index: UniqueIndex, terms: Mapping[str, Term | None]) -> RowsPlan:
        """The keys of an index with these values."""
        return cls(index.label, _comparable(table, {name: terms.get(name) for name in index.columns}))

    def fill(self, values: Sequence[Bound]) -> Rows:
        """The rows for these bound values; a value that is not known for certain restricts nothing."""
        columns = {}
        for name, comparison, term in self.columns:
            value = value_of(term, comparison, values)
            if value is not UNKNOWN and value is not NULL:
                columns[name] = value
        return Rows(self.label, columns)


def _comparable(table: Table, terms: Mapping[str, Term | None]) -> tuple[tuple[str, Comparison, Term], ...]:
    return tuple(
        (name, table.columns[name].comparison, term)
        for name, term in terms.items()
        if term is not None and table.columns[name].comparison is not Comparison.NONE
    )


@dataclass(frozen=True, slots=True)
class LockPlan:
    """A lock, or a claim to a key, which is not taken if some values say so.

    Attributes:
        lock: its strength.
        rows: what is locked.
        not_if_null: columns of ``rows`` of which none may be NULL.
        only_if: terms and the values that they must have: the predicate of a partial index.
    """

    lock: Lock
    rows: RowsPlan
    not_if_null: bool = False
    only_if: tuple[tuple[Comparison, Term, Hashable], ...] = ()

    def fill(self, values: Sequence[Bound]) -> Access | None:
        """The access for these bound values, or ``None``."""
        if self.not_if_null and any(
            value_of(term, comparison, values) is NULL for _, comparison, term in self.rows.columns
        ):
            return None
        for comparison, term, wanted in self.only_if:
            value = value_of(term, comparison, values)
            if value is not UNKNOWN and value != wanted:
                return None
        return Access(Mode.LOCK, self.rows.fill(values), self.lock)


@dataclass(slots=True)
class StatementPlan:
    """What a statement touches, collected while it is analysed.

    Attributes:
        reads: rows that are read.
        draws: sequences that are drawn from.
        locks: what is locked until the end of the transaction.
        writes: rows that its commit makes visible.
        effects: what its functions do.
        end_reads: rows that are read at the end of the transaction.
        end_locks: what is locked at the end of the transaction.
        end_effects: what functions do at the end of the transaction.
    """

    reads: list[RowsPlan] = field(default_factory=list)
    draws: list[str] = field(default_factory=list)
    locks: list[LockPlan] = field(default_factory=list)
    writes: list[RowsPlan] = field(default_factory=list)
    effects: Effects = PURE
    end_reads: list[RowsPlan] = field(default_factory=list)
    end_locks: list[LockPlan] = field(default_factory=list)
    end_effects: Effects = PURE

    def lock(self, lock: Lock, rows: RowsPlan) -> None:
        """Add a lock that is taken whatever the values are."""
        self.locks.append(LockPlan(lock, rows))

    def move_to_end(self, other: StatementPlan) -> None:
        """Add what ``other`` does, at the end of the transaction."""
        self.end_reads += other.reads
        self.end_locks += other.locks
        self.end_effects |= other.effects

    def include(self, other: StatementPlan) -> None:
        """Add what ``other`` does, at once."""
        self.reads += other.reads
        self.draws += other.draws
        self.locks += other.locks
        self.effects |= other.effects
