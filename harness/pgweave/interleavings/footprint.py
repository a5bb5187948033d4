"""What a step touches, and whether the order of two steps can make a difference.

A step is a SQL statement, the end of a transaction, or a movement of the clock. Its footprint is a set of
accesses: rows of a table seen, locked, written, made visible or released. Two steps of different processes
are dependent when some access of one conflicts with some access of the other; independent steps may change
places without any process noticing. That is all that partial-order reduction needs to know (Flanagan and
Godefroid, "Dynamic Partial-Order Reduction for Model Checking Software", POPL 2005).

The modes are those of PostgreSQL under READ COMMITTED, where a statement sees what had committed before it
began:

- A plain read does not wait and does not see what is uncommitted: it depends on the *end* of a transaction
  that wrote, not on the write.
- A locking read or a write waits for conflicting locks and goes on when they are released: it depends on
  conflicting locks, on their release, and on the end of a transaction that wrote, for it sees what that
  wrote.
- Two ends of transactions do not depend on each other by themselves; what ordered the transactions were their
  locks.

`pgweave.sql.snapshots` says what is added for transactions with one snapshot for all their statements.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

Columns: TypeAlias = Mapping[str, Hashable]


class Lock(Enum):
    """The strength of a row lock, as PostgreSQL names them. A claim to a unique key is an ``UPDATE``."""

    KEY_SHARE = 1
    SHARE = 2
    NO_KEY_UPDATE = 3
    UPDATE = 4

    __hash__ = object.__hash__  # by identity, as they are compared; `Enum` hashes the name, in Python

    def conflicts(self, other: Lock) -> bool:
        """Whether two transactions cannot hold both on one row (PostgreSQL manual, table 13.3)."""
        return other in _CONFLICTING[self]


_CONFLICTING = {
    Lock.KEY_SHARE: {Lock.UPDATE},
    Lock.SHARE: {Lock.NO_KEY_UPDATE, Lock.UPDATE},
    Lock.NO_KEY_UPDATE: {Lock.SHARE, Lock.NO_KEY_UPDATE, Lock.UPDATE},
    Lock.UPDATE: set(Lock),
}


class Mode(Enum):
    """What an access does.

    Attributes:
        READ: sees what is visible.
        LOCK: takes a lock of the access's strength, waiting for conflicting ones; sees what is visible then.
        PUBLISH: makes an earlier write visible: the commit of its transaction, or a movement of the clock.
        RELEASE: gives a lock back: the end of its transaction.
    """

    READ = 1
    LOCK = 2
    PUBLISH = 3
    RELEASE = 4

    __hash__ = object.__hash__


_EVERY_TABLE = "every table"


class Rows:
    """A set of rows: those of ``table`` that may have these values in these columns.

    Args:
        table: the name of the table, of a unique index whose keys are claimed, or of a clock.
        columns: values of columns that never change in a row; no columns means every row.
    """

    __slots__ = ("_hash", "columns", "table")

    def __init__(self, table: str, columns: Columns | None = None) -> None:
        self.table = table
        self.columns = dict(columns or {})
        self._hash = hash((table, frozenset(self.columns.items())))

    def overlap(self, other: Rows) -> bool:
        """Whether some row may be in both: unless a column that both name has different values."""
        if self.table != other.table:
            return _EVERY_TABLE in (self.table, other.table)
        theirs = other.columns
        return all(theirs[name] == value for name, value in self.columns.items() if name in theirs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self.table, self.columns) == (other.table, other.columns)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Rows], tuple[str, Columns]]:
        """Pickle without the hash, which is another one in another process."""
        return Rows, (self.table, self.columns)

    def __repr__(self) -> str:
        named = ", ".join(f"{name}={value!r}" for name, value in sorted(self.columns.items()))
        return f"{self.table}({named})"


EVERY_ROW = Rows(_EVERY_TABLE)
"""Every row of every table."""


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that a step does.

    Attributes:
        mode: what it does.
        rows: to which rows.
        lock: for ``LOCK`` and ``RELEASE``, the strength.
    """

    mode: Mode
    rows: Rows
    lock: Lock | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Kept, because sets ask for it over and over, and that of an enumeration's member is slow.
        object.__setattr__(self, "_hash", hash((self.mode, self.rows, self.lock)))
        if (self.mode in (Mode.LOCK, Mode.RELEASE)) != (self.lock is not None):
            raise ValueError(f"a lock and its release have a strength and nothing else has: {self}")

    def __hash__(self) -> int:
        return self._hash

    def renamed(self, names: Mapping[Hashable, Hashable]) -> Access:
        """The same access with other names for some values of columns."""
        columns = self.rows.columns
        if not any(value in names for value in columns.values()):
            return self
        renamed = {column: names.get(value, value) for column, value in columns.items()}
        return Access(self.mode, Rows(self.rows.table, renamed), self.lock)

    def __reduce__(self) -> tuple[type[Access], tuple[Mode, Rows, Lock | None]]:
        """Pickle as a call, which takes half the time that a frozen dataclass takes by itself."""
        return Access, (self.mode, self.rows, self.lock)

    def conflicts(self, other: Access) -> bool:
        """Whether the order of the two can make a difference."""
        if (self.mode, other.mode) not in _ORDERED:
            return False
        if self.lock is not None and other.lock is not None and not self.lock.conflicts(other.lock):
            return False
        return self.rows.overlap(other.rows)


_ORDERED = {
    (Mode.READ, Mode.PUBLISH),
    (Mode.PUBLISH, Mode.READ),
    (Mode.LOCK, Mode.LOCK),
    (Mode.LOCK, Mode.PUBLISH),
    (Mode.PUBLISH, Mode.LOCK),
    (Mode.LOCK, Mode.RELEASE),
    (Mode.RELEASE, Mode.LOCK),
}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Everything that a step does.

    Attributes:
        accesses: what it does, as far as that is known.
        everything: whether it may do anything else as well: then it depends on every step that does
            something.
    """

    accesses: frozenset[Access] = field(default_factory=frozenset)
    everything: bool = False

    @classmethod
    def of(cls, *accesses: Access) -> Footprint:
        """The footprint of just these accesses."""
        return cls(frozenset(accesses))

    @property
    def is_empty(self) -> bool:
        """Whether the step does nothing that another can notice, as ``BEGIN``."""
        return not self.accesses and not self.everything

    def __or__(self, other: Footprint) -> Footprint:
        if self is other or not (other.accesses or other.everything):
            return self
        if not (self.accesses or self.everything):
            return other
        return Footprint(self.accesses | other.accesses, self.everything or other.everything)

    def renamed(self, names: Mapping[Hashable, Hashable]) -> Footprint:
        """The same footprint with other names for some values of columns."""
        return Footprint(frozenset(access.renamed(names) for access in self.accesses), self.everything)

    def dependent(self, other: Footprint) -> bool:
        """Whether two steps of different processes with these footprints must not change places."""
        if self.is_empty or other.is_empty:
            return False
        if self.everything or other.everything:
            return True
        return any(mine.conflicts(theirs) for mine in self.accesses for theirs in other.accesses)


NOTHING = Footprint()
EVERYTHING = Footprint(everything=True)
WAITED = Footprint.of(Access(Mode.LOCK, Rows("waits for locks"), Lock.UPDATE))
"""Having had to wait: when steps wait for each other's locks, it matters which came last."""


def union(footprints: Iterable[Footprint]) -> Footprint:
    """Everything that several steps do together."""
    result = NOTHING
    for footprint in footprints:
        result |= footprint
    return result
