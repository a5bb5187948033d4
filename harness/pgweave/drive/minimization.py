"""A wrong run of a race, brought to few switches between actors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from pgweave.drive.domain import Judge, Violation
from pgweave.drive.race import Race
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.minimize import minimize


async def minimize_race(
    race: Race[Violation],
    judge: Judge[Violation],
    wrong: Execution,
    *,
    max_runs: int,
    on_better: Callable[[Execution, Violation], object],
) -> None:
    """Look for runs that are wrong as well, and have fewer switches.

    A run that does not come out wrong when it is run again is left as it is.

    Args:
        race: the race.
        judge: says what is wrong.
        wrong: a complete run that is wrong.
        max_runs: stop after so many.
        on_better: is told of each run with fewer switches than those before, and what is wrong with it.
    """
    found: dict[tuple[int, ...], Violation] = {}

    def is_wrong(execution: Execution) -> bool:
        violation = judge.find_violation(execution) if execution.complete else None
        if violation is not None:
            found[execution.schedule] = violation
        return violation is not None

    with suppress(DivergenceError, SchedulingError):
        await minimize(
            race,
            wrong,
            is_wrong,
            max_runs=max_runs,
            on_better=lambda better: on_better(better, found[better.schedule]),
        )
