"""Transactions that see one snapshot: at REPEATABLE READ and SERIALIZABLE.

The first query takes the snapshot, so it depends on every commit. What else there is between two such
transactions PostgreSQL finds out when one writes or ends: a write may fail because of what others have read,
and a commit decides whom of those that are left it lets fail. So a write or an end depends on every query and
every write. A query only depends on those: as long as a transaction has written nothing, nobody can read what
it wrote, and two such queries may change places (PostgreSQL, src/backend/storage/lmgr/README-SSI; only a
transaction that others read from and that reads from others can be a pivot).

Other transactions notice of it what they notice of one at READ COMMITTED.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgweave.interleavings.footprint import EVERY_ROW, Access, Footprint, Lock, Mode, Rows

_UNDERSTOOD_LEVELS = ("", "read committed", "read uncommitted")  # to PostgreSQL they are one
_LEVELS = ("repeatable read", "serializable")
_TRANSACTIONS = Rows("transactions with a snapshot")
TAKE_SNAPSHOT = Footprint.of(Access(Mode.READ, EVERY_ROW))
"""What the first query touches besides its rows."""
READ = Footprint.of(Access(Mode.READ, _TRANSACTIONS))
"""What a query touches besides its rows, in a transaction that has written nothing."""
WRITE_OR_END = Footprint.of(
    Access(Mode.LOCK, _TRANSACTIONS, Lock.UPDATE), Access(Mode.PUBLISH, _TRANSACTIONS)
)
"""What anything else touches besides its rows."""


def has_snapshot(level: str) -> bool:
    """Whether the statements of a transaction at this isolation level see one snapshot."""
    return level in _LEVELS


def level_problem(level: str) -> str:
    """Why transactions at this isolation level may do anything; empty if it is understood."""
    return (
        ""
        if level in _UNDERSTOOD_LEVELS or has_snapshot(level)
        else f"a transaction at {level.upper()} is not understood"
    )


@dataclass(slots=True)
class Level:
    """The isolation level of a session or a transaction; of several that it may be, all.

    Attributes:
        has_snapshot: whether all statements of a transaction see one snapshot.
        problem: why the statements may do anything; empty if they are understood.
    """

    has_snapshot: bool = False
    problem: str = ""

    def add(self, level: str, problem: str = "") -> None:
        """Note a level that was set, or why what was set is not understood."""
        self.has_snapshot = self.has_snapshot or has_snapshot(level)
        self.problem = self.problem or problem or level_problem(level)
