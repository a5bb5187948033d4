"""Where something goes wrong follows from what statements touch."""

from __future__ import annotations

from collections.abc import Mapping, Set

import pytest

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.faults.plans import FAULT_SCENARIOS, plan_of, without_repetitions
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import gated
from pgweave.drive.faults import explore_faults
from pgweave.drive.race import Place
from pgweave.gate import Fault
from pgweave.interleavings.footprint import EVERYTHING, NOTHING
from pgweave.scheduler.footprints import StepFootprints
from tests.support.exploring import run

REPEATED = {"three-captures", "four-captures", "retry-while-under-way", "retry-while-under-way-and-tick"}
"""What each of their commands meets, it meets in a smaller scenario."""


def test_scenarios_that_repeat_others_are_left_out(dsn: str) -> None:
    async def main() -> Set[str]:
        async with gated(dsn, instances=2) as service:
            kept = await without_repetitions(map(plan_of, FAULT_SCENARIOS), service)
            return {plan.scenario.name for plan in kept}

    assert {each.name for each in FAULT_SCENARIOS} - run(main()) == REPEATED


def test_a_tick_that_no_command_meets_shows_nothing_new(dsn: str) -> None:
    tick = next(each for each in FAULT_SCENARIOS if each.name == "capture-and-void-and-tick")

    async def main() -> list[str]:
        async with gated(dsn, instances=2) as service:
            both = [plan_of(SCENARIOS["capture-and-void"]), plan_of(tick)]
            return [plan.scenario.name for plan in await without_repetitions(both, service)]

    with pytest.MonkeyPatch.context() as patch:
        assert run(main()) == ["capture-and-void", tick.name]
        patch.setattr("payments_verify.payments.races.actors.TICK", NOTHING)
        assert run(main()) == ["capture-and-void"]


@pytest.mark.parametrize("fault", [Fault.SERIALIZATION_FAILURE, Fault.CUT_BEFORE, Fault.CUT_AFTER])
def test_what_a_hurt_statement_touches_is_enough(
    dsn: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many different ends are seen as where it might have touched anything, in fewer schedules."""

    async def ends() -> tuple[Mapping[Place, Set[object]], int]:
        found, schedules = {}, 0
        async with gated(dsn, instances=2) as service:
            race = scenario_race(SCENARIOS["authorize-twice"], service)
            async for each in explore_faults(race, fault, [0]):
                assert each.explored.holds
                found[each.place] = set(each.explored.outcomes)
                schedules += each.explored.report.schedules
        return found, schedules

    exact, few = run(ends())
    monkeypatch.setattr(StepFootprints, "_broken", lambda *_: EVERYTHING)
    anything, many = run(ends())
    assert exact == anything
    assert few < many
