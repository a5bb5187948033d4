"""Processes that ask the same again and again until another has done something.

A process polls when its last statements were the same as those before them, with the same answers, while
nobody else did anything that they depend on. To let it ask once more shows nothing new, and there is no end
to it: so it waits until somebody has. Where nobody else can go on, it asks without being scheduled, until it
does something else: then how often it asks is no matter of the schedule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass

from pgweave.gate import HeldStatement
from pgweave.interleavings.footprint import NOTHING, Footprint
from pgweave.scheduler.process import Process
from pgweave.sql.shapes import shape

_TIMES = 3
_TIMES_WHATEVER_IT_IS_TOLD = 12  # answers that show the time are never the same
_LONGEST = 8  # statements in one round


@dataclass(frozen=True, slots=True)
class _Asked:
    """A statement of a request and its answer: its shape, how it ended, and all that was said."""

    shape: str
    kind: Hashable
    said: Hashable


class Polling:
    """Follows what the processes of a run ask."""

    def __init__(self) -> None:
        self._asked: dict[Process, list[_Asked]] = defaultdict(list)
        self._touched: dict[Process, Footprint] = defaultdict(Footprint)

    def note(self, process: Process, statement: HeldStatement, footprint: Footprint) -> None:
        """A statement of a process was answered."""
        code = None if statement.error is None else statement.error.get("C")
        what = shape(statement.sql)
        kind = what, statement.tag, code, len(process.operations)
        asked = self._asked[process]
        asked.append(_Asked(what, kind, (kind, statement.values, statement.rows)))
        del asked[: -_LONGEST * _TIMES_WHATEVER_IT_IS_TOLD]
        self._touched[process] |= footprint

    def note_step(self, process: Process, touched: Footprint) -> None:
        """A process has taken a step: others that asked for what it touched may see something new."""
        for other in self._asked:
            if other is not process and self._touched[other].dependent(touched):
                self.forget(other)

    def forget(self, process: Process) -> None:
        """What a process asks from now on is something else."""
        self._asked[process].clear()
        self._touched[process] = NOTHING

    def polls(self, process: Process) -> bool:
        """Whether a process's next statement begins one more round of the same."""
        asked = self._asked.get(process, ())
        if len(asked) < _TIMES:
            return False
        parked = process.parked[0] if process.parked else None
        if not isinstance(parked, HeldStatement):
            return False
        return any(
            self._repeats([each.said for each in asked], length, _TIMES)
            or self._repeats([each.kind for each in asked], length, _TIMES_WHATEVER_IT_IS_TOLD)
            for length in range(1, min(_LONGEST, len(asked) // _TIMES) + 1)
            if asked[-length].shape == shape(parked.sql)
        )

    @staticmethod
    def _repeats(said: list[Hashable], length: int, times: int) -> bool:
        rounds = said[-length * times :]
        return len(rounds) == length * times and rounds[length:] == rounds[:-length]
