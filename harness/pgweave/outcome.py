"""What running a race of clients has come to, as a result."""

from __future__ import annotations

from collections.abc import Callable

from pgweave.drive.exploration import Effort, end_if_interrupted, explore_race
from pgweave.drive.race import Race
from pgweave.interleavings.execution import Execution
from pgweave.judging import Ended
from pgweave.result import Result
from pgweave.timeline.model import from_execution
from pgweave.timeline.text import render

EFFORT = Effort(rerun_every=10, minimizing_runs=100)


async def explored(race: Race[str], effort: Effort, on_schedule: Callable[[int], object]) -> Result:
    """Explore a race up to the first schedule that is wrong."""
    found = await explore_race(race, effort=effort, on_run=on_schedule)
    end_if_interrupted()
    if found.execution is not None:
        return result_of(race, found.execution, found.report.schedules)
    complete = found.report.complete and not found.unclear
    return Result(found.report.schedules, complete, unclear=found.unclear, polled=race.facts.polled)


def result_of(race: Race[str], execution: Execution, schedules: int) -> Result:
    """The result of one run, drawn.

    Args:
        race: the race.
        execution: the run.
        schedules: how many were run.
    """
    ended: Ended = execution.result
    timeline = from_execution(
        execution,
        race.domain.actors,
        title=race.domain.name,
        operations=ended.operations,
        verdict=f"violated: {ended.problem}" if ended.problem else "holds",
        explanation=ended.explanation,
    )
    labels = tuple(step.label for step in execution.steps)
    complete = not ended.problem
    return Result(schedules, complete, ended.problem, render(timeline), execution.schedule, labels)
