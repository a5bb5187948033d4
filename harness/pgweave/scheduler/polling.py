"""Processes that ask the same again and again until another has done something.

A process polls when its last statements were the same as those before them, with the same answers, while they
changed nothing and nobody else did anything that they depend on. To let it ask once more shows nothing new,
and there is no end to it: so it waits until somebody has. Where nobody else can go on, it asks without being
scheduled, until it does something else: then how often it asks is no matter of the schedule.

One that does something else although it was told nothing new has not waited for others: what it does then, it
might have done while they were at work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from time import monotonic

from pgweave.gate import HeldStatement
from pgweave.interleavings.execution import SchedulingError
from pgweave.interleavings.footprint import NOTHING, Footprint, Mode
from pgweave.scheduler.process import Process, ProcessState
from pgweave.sql.shapes import shape
from pgweave.sql.snapshots import WRITE_OR_END

LOOKS = 3
"""Rounds of the same that are a poll."""
MOST_LOOKS = 12
"""Rounds that are one although their answers differ: those that show the time are never the same."""

_LONGEST = 8  # statements in one round
_KEPT = _LONGEST * (MOST_LOOKS + 2)
_CHANGING = "COPY", "DELETE", "INSERT", "MERGE", "UPDATE"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A statement of a request and its answer.

    Attributes:
        operation: for which of the process's operations, from 1.
        shape: the statement's.
        kind: what was asked, and how it ended.
        said: that, and all that was answered.
        tag: how the server summed it up.
    """

    operation: int
    shape: str
    kind: Hashable
    said: Hashable
    tag: str


class Polling:
    """Follows what the processes of a run ask.

    Args:
        looks: how many rounds of the same are a poll.

    Attributes:
        has_held: whether a process was found to poll.
        in_vain: for each process that polled, and did something else although it was told nothing new, in
            how many rounds it had asked.
    """

    def __init__(self, looks: int = LOOKS) -> None:
        self.has_held = False
        self.in_vain: dict[Process, int] = {}
        self._looks = looks
        self._asked: dict[Process, list[_Asked]] = defaultdict(list)
        self._touched: dict[Process, Footprint] = defaultdict(Footprint)

    def note(self, process: Process, statement: HeldStatement, footprint: Footprint) -> None:
        """A statement of a process was answered."""
        asked = self._asked[process]
        if _changes(statement, footprint, asked):
            self.forget(process)
            return
        code = None if statement.error is None else statement.error.get("C")
        what = shape(statement.sql, literals=True), statement.values
        operation = len(process.operations)
        kind = what, statement.tag, code, operation
        said = kind, statement.rows
        asked.append(_Asked(operation, shape(statement.sql), kind, said, statement.tag))
        del asked[:-_KEPT]
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
        asked = self._asked.get(process, [])
        parked = process.parked[0] if process.parked else None
        if len(asked) < self._looks or asked[-1].operation != len(process.operations):
            return False
        if not isinstance(parked, HeldStatement):
            return False
        found = any(
            asked[-length].shape == shape(parked.sql) and self._is_poll(asked, length)
            for length in range(1, min(_LONGEST, len(asked) // self._looks) + 1)
        )
        self.has_held = self.has_held or found
        return found

    async def ask(
        self, pollers: Sequence[Process], ask: Callable[[Process], Awaitable[bool]], limit_s: float
    ) -> None:
        """Let those who poll ask in turn, until one does something else.

        Args:
            pollers: they, with nobody else who can go on.
            ask: lets one ask; whether that let others go on.
            limit_s: for how long.

        Raises:
            SchedulingError: they ask on and on.
        """
        deadline = monotonic() + limit_s
        while all(self.polls(process) for process in pollers):
            for process in pollers:
                others_go_on = await ask(process)
                goes_on = not self.polls(process)
                if goes_on:
                    self.note_step(process, process.footprint)
                    self._note_end(process)
                if others_go_on or goes_on:
                    return
            if monotonic() > deadline:
                raise SchedulingError(f"{', '.join(map(str, pollers))} asked for the same without end")

    def _note_end(self, process: Process) -> None:
        """A process has polled, and does something else, or waits."""
        if process.state not in (ProcessState.READY, ProcessState.DONE):
            return
        asked = self._asked[process]
        lengths = range(1, _LONGEST + 1)
        was_the_same = any(_rounds([each.said for each in asked[:-1]], n) >= self._looks for n in lengths)
        what = [each.said if was_the_same else each.kind for each in asked]
        rounds = max(_rounds(what, length) for length in lengths)
        if rounds >= self._looks:
            self.in_vain[process] = max(rounds, self.in_vain.get(process, 0))
        self.forget(process)

    def _is_poll(self, asked: Sequence[_Asked], length: int) -> bool:
        return _rounds([each.said for each in asked], length) >= self._looks or _rounds(
            [each.kind for each in asked], length
        ) >= max(MOST_LOOKS, self._looks)


def _rounds(said: Sequence[Hashable], length: int) -> int:
    """How many times the last so many were said, one time after the other."""
    alike = 0
    for now, before in zip(reversed(said), reversed(said[:-length]), strict=False):
        if now != before:
            break
        alike += 1
    return alike // length + 1


def _changes(statement: HeldStatement, touched: Footprint, asked: Sequence[_Asked]) -> bool:
    """Whether a statement may have changed something, for all that its answer says."""
    if (
        statement.error is not None
        or _is_of_none(statement.tag)
        or "pg_try_advisory" in statement.sql.lower()
    ):
        return False
    if statement.tag.startswith(_CHANGING):
        return True
    may_change = touched.everything or any(
        access.mode is Mode.PUBLISH for access in touched.accesses - WRITE_OR_END.accesses
    )
    return may_change and not (statement.tag == "COMMIT" and _changed_none(asked))


def _is_of_none(tag: str) -> bool:
    """Whether a statement found no row, or changed none."""
    return tag.rpartition(" ")[2] == "0"


def _changed_none(asked: Sequence[_Asked]) -> bool:
    """Whether the statements of the transaction that is committed found nothing that they could change."""
    for each in reversed(asked):
        if each.tag in ("BEGIN", "COMMIT", "ROLLBACK"):
            break
        if _is_of_none(each.tag):
            return True
    return False
