"""What a transaction has done so far, as far as its end decides about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgweave.interleavings.footprint import Access, Footprint, Mode, Rows
from pgweave.sql.control import StatementKind
from pgweave.sql.footprints import StatementFootprint, releases


@dataclass(slots=True)
class Work:
    """What the statements of one transaction have done.

    Attributes:
        has_queried: whether one of them was a query: then the snapshot is taken, if there is one for all.
        problem: why one of them was not understood; empty if all were.
        locks: what it holds.
        writes: the rows that the commit makes visible.
        at_end: what the commit does besides.
    """

    has_queried: bool = False
    problem: str = ""
    locks: set[Access] = field(default_factory=set)
    writes: set[Rows] = field(default_factory=set)
    at_end: set[Access] = field(default_factory=set)

    def add(self, statement: StatementFootprint) -> None:
        """Add a statement that was executed."""
        self.locks |= statement.locks
        self.writes |= statement.writes
        self.at_end |= statement.at_end
        self.problem = self.problem or statement.explain
        self.has_queried = self.has_queried or kind_of(statement) is StatementKind.QUERY

    def undo(self) -> None:
        """A statement has failed, and there is no savepoint: nothing is held any more."""
        self.locks.clear()
        self.writes.clear()

    @property
    def changes(self) -> bool:
        """Whether it does more than read."""
        return bool(self.locks or self.writes or self.at_end)

    def released(self) -> Footprint:
        """Every lock given back: also right where only some are."""
        return Footprint(frozenset(releases(self.locks)))

    def published(self) -> Footprint:
        """What a commit does, but for giving the locks back."""
        publish = (Access(Mode.PUBLISH, rows) for rows in self.writes)
        return Footprint(frozenset(self.at_end).union(publish))


def kind_of(statement: StatementFootprint) -> StatementKind:
    """What a statement is to the transaction; several in one text are ``OTHER``."""
    if not statement.controls:
        return StatementKind.SESSION
    return statement.controls[0].kind if len(statement.controls) == 1 else StatementKind.OTHER


def changes(statement: StatementFootprint) -> bool:
    """Whether a statement does more than read."""
    drawn = any(access.mode is not Mode.READ for access in statement.accesses)
    return bool(drawn or statement.locks or statement.writes or statement.at_end)
