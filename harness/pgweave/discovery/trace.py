"""What one command did when it was alone: its steps, and what each touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pgweave.interleavings.execution import Execution
from pgweave.interleavings.footprint import Access, Footprint, Mode, Rows

ANYTHING = Rows("anything")
"""Stands for the rows of a statement that was not understood."""


@dataclass(frozen=True)
class TracedStep:
    """A step of a trace.

    Attributes:
        label: the statement, for people.
        footprint: what it touched.
    """

    label: str
    footprint: Footprint


@dataclass(frozen=True)
class Trace:
    """What a command did when it was alone.

    Attributes:
        name: the command.
        steps: its steps, in their order.
    """

    name: str
    steps: tuple[TracedStep, ...]

    @property
    def footprints(self) -> tuple[Footprint, ...]:
        """What its steps touched."""
        return tuple(step.footprint for step in self.steps)

    @property
    def only_reads(self) -> bool:
        """Whether nobody can notice it: it changes nothing."""
        return not any(
            step.footprint.everything or any(each.mode is Mode.PUBLISH for each in step.footprint.accesses)
            for step in self.steps
        )

    @property
    def not_understood(self) -> tuple[str, ...]:
        """The statements that may touch anything, because they were not understood."""
        return tuple(dict.fromkeys(step.label for step in self.steps if step.footprint.everything))


def trace_of(name: str, execution: Execution) -> Trace:
    """The trace of a command.

    Args:
        name: the command.
        execution: a run in which it was alone.
    """
    return Trace(name, tuple(TracedStep(step.label, step.footprint) for step in execution.steps))


@lru_cache(maxsize=16_384)
def rows_changed(one: Footprint, other: Footprint) -> tuple[Rows, ...]:
    """The rows that one of two steps changes, and the other sees; `ANYTHING` where that is not known."""
    return tuple(rows for mine, theirs, rows in _conflicts(one, other) if _is_seen(mine, theirs))


@lru_cache(maxsize=16_384)
def rows_in_conflict(one: Footprint, other: Footprint) -> tuple[Rows, ...]:
    """The rows for which the order of two steps can make a difference; `ANYTHING` where that is not known."""
    return tuple(rows for _, _, rows in _conflicts(one, other))


_UNKNOWN = Access(Mode.PUBLISH, ANYTHING), Access(Mode.READ, ANYTHING), ANYTHING


def _conflicts(one: Footprint, other: Footprint) -> Iterator[tuple[Access, Access, Rows]]:
    """The accesses that conflict, and the rows of the one that names more columns."""
    if one.is_empty or other.is_empty:
        return
    if one.everything or other.everything:
        yield _UNKNOWN
        return
    found = [(mine, theirs) for mine in one.accesses for theirs in other.accesses if mine.conflicts(theirs)]
    for mine, theirs in sorted(found, key=repr):
        yield mine, theirs, max(mine.rows, theirs.rows, key=lambda rows: len(rows.columns))


def _is_seen(mine: Access, theirs: Access) -> bool:
    return Mode.PUBLISH in (mine.mode, theirs.mode)
