"""Of faults after which a race goes on alike one is explored: no end is missed."""

from __future__ import annotations

from collections.abc import Mapping, Set

import pytest

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.faults.plans import plan_of
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.scenarios.catalogue import ONE_CAPTURE
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.systems import gated_service
from pgweave.drive.arrivals import Arrivals
from pgweave.drive.faults import explore_faults
from pgweave.drive.race import Place
from pgweave.gate import Fault
from tests.support.exploring import run

COMPARED = (
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.TERMINATED,
    Fault.SERIALIZATION_FAILURE,
    Fault.DEADLOCK,
    Fault.TOO_MANY_CONNECTIONS,
)
Ends = Mapping[tuple[Fault, Place], tuple[Fault, Set[object]]]
"""For each fault at each place the fault that was explored for it, and the ends that were seen."""


def ends(scenario: str, *, compares: bool) -> tuple[Ends, int]:
    """What is seen of a scenario, in how many schedules."""

    async def main() -> tuple[Ends, int]:
        found: dict[tuple[Fault, Place], tuple[Fault, Set[object]]] = {}
        arrivals: Arrivals[Violation] = Arrivals(compares=compares)
        schedules = 0
        async with gated_service() as service:
            for fault in COMPARED:
                race = scenario_race(NAMED[scenario], service)
                async for each in explore_faults(race, fault, [0], arrivals=arrivals):
                    assert each.explored.holds, each.explored.unclear
                    found[fault, each.place] = each.alike or fault, set(each.explored.outcomes)
                    schedules += each.explored.report.schedules + each.tried
        return found, schedules + arrivals.schedules

    return run(main())


@pytest.mark.long
def test_no_end_is_missed() -> None:
    """Each end that a fault leads to is among those of the fault that was explored for it."""
    reduced, few = ends("authorize-twice", compares=True)
    full, many = ends("authorize-twice", compares=False)
    assert reduced.keys() == full.keys()
    assert few < many
    for (fault, place), (_, seen) in full.items():
        stands, _ = reduced[fault, place]
        assert reduced[stands, place][0] is stands
        assert seen <= reduced[stands, place][1], (fault, place)
    last = max(place for _, place in full)
    # Whether a COMMIT was carried out makes a difference.
    assert reduced[Fault.CUT_AFTER, last][0] is Fault.CUT_AFTER


def test_what_has_too_little_to_compare_is_explored() -> None:
    assert not plan_of(ONE_CAPTURE).may_have_alike
    assert plan_of(NAMED["different-keys"]).may_have_alike
    assert plan_of(NAMED["different-keys-and-tick"]).may_have_alike
