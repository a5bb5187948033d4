"""From a schedule that fails to one that fails with fewer switches between processes.

The idea is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
TSE 2002), with the segments of a schedule, each of one process's steps in a row, for the input. Candidates
keep only the first steps and let one process go on as long as it can after them, or move a segment to
another of the same process. Each is run; one that fails with fewer switches takes the place of the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from pgweave.interleavings.execution import (
    DivergenceError,
    Execution,
    Program,
    SchedulingError,
    Situation,
)
from pgweave.interleavings.strategy import Continuation, SchedulePlan, first_ready, perform

_Segments = tuple[tuple[int, int], ...]
"""Processes, with how many steps each takes in a row."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Takes the steps of a schedule in their order, but for those that cannot be taken yet or at all.

    Attributes:
        schedule: the processes in the order of their steps.
    """

    schedule: tuple[int, ...]

    def start(self) -> Continuation:
        """Return a continuation that strikes out the steps that were taken."""
        left = list(self.schedule)

        def go_on(situations: Sequence[Situation]) -> int:
            ready = situations[-1].ready
            process = next((one for one in left if one in ready), None)
            if process is None:
                return first_ready(situations)
            left.remove(process)
            return process

        return go_on


@dataclass(frozen=True, slots=True)
class Minimal:
    """The result of a minimization.

    Attributes:
        execution: a run that fails; no candidate made from its schedule fails with fewer switches.
        runs: how many runs it took to find.
    """

    execution: Execution
    runs: int


async def minimize(
    program: Program,
    failing: Execution,
    still_fails: Callable[[Execution], bool],
    *,
    max_runs: int = 1_000,
    on_better: Callable[[Execution], object] = lambda _execution: None,
) -> Minimal:
    """Find a failing run with few switches.

    Args:
        program: what is run.
        failing: a complete run that fails.
        still_fails: whether a complete run fails.
        max_runs: stop after so many, with the best run found.
        on_better: is told of each run that fails with fewer switches than the one before.

    Raises:
        DivergenceError: The run does not fail when its schedule is run again.
        SchedulingError: The schedule could not be run again.
    """
    best = await _follow(program, failing.schedule)
    runs = 1
    if best.schedule != failing.schedule or not still_fails(best):
        raise DivergenceError(f"the schedule {list(failing.schedule)} does not fail when it is run again")
    tried = {best.schedule}
    improved = True
    while improved:
        improved = False
        for candidate in _candidates(best.schedule):
            if runs == max_runs:
                return Minimal(best, runs)
            if candidate in tried:
                continue
            tried.add(candidate)
            runs += 1
            try:
                execution = await _follow(program, candidate)
            except SchedulingError:
                continue
            if switches(execution.schedule) < switches(best.schedule) and still_fails(execution):
                best, improved = execution, True
                on_better(best)
                break
    return Minimal(best, runs)


def switches(schedule: Sequence[int]) -> int:
    """Count the steps that another process takes than the one before."""
    return sum(one != other for one, other in pairwise(schedule))


async def _follow(program: Program, schedule: tuple[int, ...]) -> Execution:
    return (await perform(program, SchedulePlan((), Follow(schedule)))).execution


def _candidates(schedule: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield schedules that may have fewer switches, those that keep fewest of the first steps first."""
    for kept in range(len(schedule)):
        for process in dict.fromkeys(schedule):
            # Who is named once more goes on as long as it can.
            yield (*schedule[:kept], process)
    segments: _Segments = tuple((process, len(list(steps))) for process, steps in groupby(schedule))
    for index, (process, _) in enumerate(segments):
        rest = segments[:index] + segments[index + 1 :]
        for other, (same, _) in enumerate(rest):
            if same == process:
                for place in (other, other + 1):
                    yield _flat((*rest[:place], segments[index], *rest[place:]))


def _flat(segments: _Segments) -> tuple[int, ...]:
    return tuple(process for process, count in segments for _ in range(count))
