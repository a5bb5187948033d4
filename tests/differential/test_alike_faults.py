"""Of faults after which a race goes on alike one is explored: no end is missed, and no bug of one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.faults.plans import plan_of
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.scenarios.catalogue import NAMED, ONE_CAPTURE
from payments_verify.systems import gated_service
from pgweave.drive.arrivals import Arrivals
from pgweave.drive.faults import explore_faults
from pgweave.drive.race import Place
from pgweave.gate import Fault
from tests.support.exploring import run
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import NO_CONSTRAINTS

STORE = "infrastructure/postgres/store.py"
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

BLIND_AFTER_SHUTDOWN = (
    NO_CONSTRAINTS,
    Edit(
        STORE,
        "        with Replicated(self._connection):\n"
        "            await _commit(self._connection, payments, attempt, self._last_event)\n",
        "        try:\n"
        "            await _commit(self._connection, payments, attempt, self._last_event)\n"
        "        except errors.AdminShutdown:\n"
        "            async with self._connection._pool.connection() as connection:\n"
        "                await _execute(connection, sql.BEGIN)\n"
        "                await _commit(connection, payments, attempt, self._last_event)\n",
    ),
)
"""After 57P01, and after no other loss of a connection, what was decided is stored without a look."""


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
    explored_for = {fault: reduced[fault, last][0] for fault in COMPARED}
    # Whether a COMMIT was carried out makes a difference; how its connection was lost before that does not.
    assert explored_for == {
        Fault.CUT_BEFORE: Fault.CUT_BEFORE,
        Fault.CUT_AFTER: Fault.CUT_AFTER,
        Fault.TERMINATED: Fault.CUT_BEFORE,
        Fault.SERIALIZATION_FAILURE: Fault.SERIALIZATION_FAILURE,
        Fault.DEADLOCK: Fault.SERIALIZATION_FAILURE,
        Fault.TOO_MANY_CONNECTIONS: Fault.CUT_BEFORE,
    }


def test_a_bug_after_one_kind_of_loss_alone_is_found(tmp_path: Path) -> None:
    """The same race survives when its connection is cut, so that the other loss is not explored for it."""
    mutant = mutated_copy(tmp_path / "mutant", BLIND_AFTER_SHUTDOWN)
    arguments = ["--scenario", "different-keys", "--fault", "cut before", "--fault", "terminated"]
    shown = run_harness(mutant, ["faults", *arguments, "--json"])
    cut, terminated = json.loads(shown.stdout)
    assert (cut["verdict"], terminated["verdict"]) == ("holds", "violated"), shown.stderr
    assert terminated["alike"] > 0
    assert "not linearizable" in terminated["problem"]


def test_what_has_too_little_to_compare_is_explored() -> None:
    assert not plan_of(ONE_CAPTURE).may_have_alike
    assert plan_of(NAMED["different-keys"]).may_have_alike
    assert plan_of(NAMED["different-keys-and-tick"]).may_have_alike
