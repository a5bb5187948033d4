"""Which steps of a run come before which in every equivalent run, and which pairs race.

Two runs are equivalent when one becomes the other by letting neighbouring independent steps change places
(Mazurkiewicz, "Trace Theory", 1987). What is the same in all equivalent runs is a partial order:

- the steps of one process, in their order;
- dependent steps of two processes, in their order;
- a step that woke a process, and that process's next step;
- steps that are to be taken in turns, in an exploration that lets processes take turns.

A set of steps is an integer with the bits of their indices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pgweave.interleavings.execution import Step
from pgweave.interleavings.footprint import Footprint


class Dependence:
    """Says whether two footprints are dependent, and remembers it."""

    def __init__(self) -> None:
        self._numbers: dict[Footprint, int] = {}
        self._footprints: list[Footprint] = []
        self._conflicting: list[int] = []

    def number(self, footprint: Footprint) -> int:
        """Return a small number that stands for the footprint: the same one for equal footprints."""
        known = self._numbers.get(footprint)
        return self._add(footprint) if known is None else known

    def conflicting(self, number: int) -> int:
        """Return the numbers of the footprints dependent on this one, as bits."""
        return self._conflicting[number]

    def dependent(self, one: int, other: int) -> bool:
        """Say whether two footprints, given by their numbers, are dependent."""
        return bool(self._conflicting[one] >> other & 1)

    def _add(self, footprint: Footprint) -> int:
        number = self._numbers[footprint] = len(self._footprints)
        self._footprints.append(footprint)
        self._conflicting.append(0)
        for other, earlier in enumerate(self._footprints):
            if self._related(footprint, earlier):
                self._conflicting[number] |= 1 << other
                self._conflicting[other] |= 1 << number
        return number

    def _related(self, one: Footprint, other: Footprint) -> bool:
        return one.dependent(other)


class Turn(NamedTuple):
    """When a process may take one of its steps.

    Attributes:
        after: the process that has to take its own step of that number first.
        number: which step it is, counted from 1.
    """

    after: int
    number: int


Turns: TypeAlias = Mapping[int, Turn]
"""The processes that have to wait for a turn."""


def has_turn(process: int, taken: Sequence[int | None], turns: Turns) -> bool:
    """Say whether a process may take its next step, for all that turns demand.

    Args:
        process: the process.
        taken: who took the steps so far.
        turns: who has to wait for whom.
    """
    turn = turns.get(process)
    if turn is None or taken.count(process) != turn.number - 1:
        return True
    return taken.count(turn.after) >= turn.number


@dataclass(frozen=True, slots=True)
class Causality:
    """The order that a run shares with its equivalents.

    Attributes:
        before: for each step, all steps that come before it.
        races: pairs of steps, by index, that are ordered by nothing but their own dependence: the second
            might have come first.
    """

    before: tuple[int, ...]
    races: tuple[tuple[int, int], ...]


def causality(
    steps: Sequence[Step], dependence: Dependence, first: int = 0, turns: Turns | None = None
) -> Causality:
    """Compute the order of a run's steps.

    Args:
        steps: the steps of the run.
        dependence: which footprints are dependent.
        first: leave out races whose second step comes before this one.
        turns: which steps were taken in turns.
    """
    awaited = _awaited(steps, turns) if turns else {}
    before: list[int] = []
    races: list[tuple[int, int]] = []
    latest: dict[int, int] = {}
    woken_by: dict[int, int] = {}
    numbers = [dependence.number(step.touched) for step in steps]
    for index, step in enumerate(steps):
        # What wakes a process comes after the step it waits in, whatever their footprints say.
        waiting = [latest[process] for process in step.woke if process in latest]
        forced = sum(1 << one for one in waiting)
        past = 0
        for earlier in (latest.get(step.process), woken_by.pop(step.process, None), awaited.get(index)):
            if earlier is not None:
                past |= before[earlier] | 1 << earlier
        conflicting = dependence.conflicting(numbers[index])
        # Latest first: a step that comes before one already found is in its past, and is no race.
        for earlier in range(index - 1, -1, -1):
            if past >> earlier & 1:
                continue
            if conflicting >> numbers[earlier] & 1 or forced >> earlier & 1:
                past |= before[earlier] | 1 << earlier
                if index >= first:
                    races.append((earlier, index))
        before.append(past)
        latest[step.process] = index
        woken_by.update(dict.fromkeys(step.woke, index))
    return Causality(tuple(before), tuple(races))


def _awaited(steps: Sequence[Step], turns: Turns) -> Mapping[int, int]:
    """Return the indices of the steps that had to wait for a turn, each with the one it waited for."""
    taken: dict[int, list[int]] = {}
    for index, step in enumerate(steps):
        taken.setdefault(step.process, []).append(index)
    return {
        taken[process][turn.number - 1]: taken[turn.after][turn.number - 1]
        for process, turn in turns.items()
        if len(taken.get(process, ())) >= turn.number
    }
