"""One schedule of a race: one that is given, or one that a policy makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from pgweave.drive.domain import Violation
from pgweave.drive.race import Race
from pgweave.interleavings.execution import DivergenceError, Execution, OutdatedError, SchedulingError
from pgweave.interleavings.replay import replay
from pgweave.interleavings.strategy import Policy, SchedulePlan, perform
from pgweave.scheduler import MOST_LOOKS

_TRIES = 4


async def replay_race(
    race: Race[Violation],
    schedule: Sequence[int],
    labels: Sequence[str] | None = None,
    shape_of: Callable[[str], str] = str,
) -> Execution:
    """Run one complete schedule again, after a dry run.

    Args:
        race: the race.
        schedule: the actors in the order of their steps.
        labels: what their steps must be, if that is known.
        shape_of: what of a label must be the same.

    Raises:
        DivergenceError: an actor was not ready at its turn, a step was another, or there were more or fewer.
        SchedulingError: the run could not go on.
        ValueError: there are not as many labels as steps.
    """
    await race.prepare()

    async def run() -> Execution:
        try:
            return await replay(race, schedule, labels, shape_of)
        except OutdatedError:
            return await replay(race, schedule, labels, shape_of)

    try:
        return await run()
    except DivergenceError:
        # What is a poll may have been another when the schedule was found: see `Facts.looks`.
        while race.facts.polled and race.facts.looks <= MOST_LOOKS:
            race.facts.looks += 1
            with suppress(DivergenceError):
                return await run()
        raise


async def run_race(
    race: Race[Violation],
    policy: Policy,
    on_failed: Callable[[DivergenceError | SchedulingError], object] = lambda _error: None,
) -> Execution:
    """Run a race once, in the order that a policy makes; again if it could not be run.

    Args:
        race: the race.
        policy: who steps next.
        on_failed: is told of each run that could not be used.

    Raises:
        DivergenceError: the last of the tries could not be repeated.
        SchedulingError: the last of the tries could not be run to its end, or not all was scheduled.
    """
    for _ in range(_TRIES - 1):
        try:
            return await _run_once(race, policy)
        except (DivergenceError, SchedulingError) as error:
            on_failed(error)
    try:
        return await _run_once(race, policy)
    except (DivergenceError, SchedulingError) as error:
        on_failed(error)
        raise


async def _run_once(race: Race[Violation], policy: Policy) -> Execution:
    execution = (await perform(race, SchedulePlan((), policy))).execution
    if execution.strays:
        raise SchedulingError(
            f"statements were sent while no actor ran, and not scheduled: {list(execution.strays)}"
        )
    return execution
