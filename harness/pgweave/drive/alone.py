"""One actor of a domain, alone: what it does, and whether that is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from pgweave.discovery.trace import Trace, trace_of
from pgweave.drive.domain import Violation
from pgweave.drive.race import Race
from pgweave.drive.single import run_race
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.strategy import FirstReady


@dataclass(frozen=True)
class Alone(Generic[Violation]):
    """What one actor did when nobody else was there.

    Attributes:
        trace: its steps, and what each touched.
        execution: its run.
        violation: what is wrong with that; ``None`` if nothing is.
    """

    trace: Trace
    execution: Execution
    violation: Violation | None


async def run_alone(race: Race[Violation], name: str) -> Alone[Violation]:
    """Run a race that has one actor.

    Raises:
        SchedulingError: it did not come to its end.
        DivergenceError: it did not do the same when it was run again.
    """
    await race.domain.prepare()
    execution = await run_race(race, FirstReady())
    violation = race.domain.judge(hurt=False).find_violation(execution)
    return Alone(trace_of(name, execution), execution, violation)
