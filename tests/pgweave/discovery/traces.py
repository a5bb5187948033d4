"""Traces of commands on a row, made by hand."""

from __future__ import annotations

from pgweave.discovery.trace import Trace, TracedStep
from pgweave.interleavings.footprint import EVERYTHING, NOTHING, Access, Footprint, Lock, Mode, Rows

CLOCK = Rows("clock")
ROW = Rows("accounts", {"id": 1})
OTHER_ROW = Rows("accounts", {"id": 2})


def reads(rows: Rows = ROW) -> TracedStep:
    return TracedStep(f"SELECT balance FROM {rows.table}", Footprint.of(Access(Mode.READ, rows)))


def locks(rows: Rows = ROW) -> TracedStep:
    return TracedStep(f"SELECT balance FROM {rows.table} FOR UPDATE", Footprint.of(_lock(rows)))


def locks_and_reads(read: Rows, rows: Rows = ROW) -> TracedStep:
    footprint = Footprint.of(_lock(rows), Access(Mode.READ, read))
    return TracedStep(f"SELECT balance FROM {rows.table}, {read.table} FOR UPDATE", footprint)


def updates(rows: Rows = ROW) -> TracedStep:
    return TracedStep(f"UPDATE {rows.table} SET balance = $1", Footprint.of(_lock(rows)))


def commits(*written: Rows, held: tuple[Rows, ...] | None = None) -> TracedStep:
    released = [
        Access(Mode.RELEASE, rows, Lock.NO_KEY_UPDATE) for rows in (written if held is None else held)
    ]
    return TracedStep("COMMIT", Footprint.of(*released, *(Access(Mode.PUBLISH, rows) for rows in written)))


def changes(rows: Rows = ROW) -> TracedStep:
    """A statement that is a transaction of its own."""
    of = [_lock(rows), Access(Mode.PUBLISH, rows), Access(Mode.RELEASE, rows, Lock.NO_KEY_UPDATE)]
    return TracedStep(f"UPDATE {rows.table} SET balance = balance + 1", Footprint.of(*of))


def anything() -> TracedStep:
    return TracedStep("CALL something()", EVERYTHING)


def trace(name: str, *steps: TracedStep) -> Trace:
    return Trace(name, (TracedStep("BEGIN", NOTHING), *steps))


def _lock(rows: Rows) -> Access:
    return Access(Mode.LOCK, rows, Lock.NO_KEY_UPDATE)


UNLOCKED = trace("withdraw", reads(), updates(), commits(ROW))
LOCKED = trace("withdraw", locks(), updates(), commits(ROW))
LET_GO = trace("withdraw", locks(), commits(held=(ROW,)), updates(), commits(ROW))
"""Locks in a transaction of its own: the lock is gone before the write."""
MOVES_CLOCK = trace("tick", TracedStep("the clock moves", Footprint.of(Access(Mode.PUBLISH, CLOCK))))
CLOCK_UNDER_LOCK = trace("capture", locks(), reads(CLOCK), updates(), commits(ROW))
CLOCK_BEFORE_LOCK = trace("capture", reads(CLOCK), locks(), updates(), commits(ROW))
CLOCK_WITH_LOCK = trace("capture", locks_and_reads(CLOCK), updates(), commits(ROW))
READS = trace("read", reads())
