"""Two instances of the application behind one gate: what one remembers, and the other does not see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from payments_core.entrypoints import wiring
from payments_verify.payments.exploration.interchangeable import interchangeable
from payments_verify.payments.faults.exploration import FaultReport, explore_fault
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.scenarios.catalogue import AMOUNT, Client, Sweeper
from payments_verify.payments.scenarios.named import NAMED, ON_TWO_INSTANCES, ONE_CAPTURE_ON_TWO_INSTANCES
from payments_verify.systems import gated
from payments_verify.systems.copies import wiring_of
from pgweave.gate import Fault
from tests.support.exploring import run
from tests.support.mutants import CATALOGUE, Edit, mutated_copy, run_harness

_CASES = "application/use_cases.py"
_IMPORTS = Edit(
    _CASES,
    "\n\n@dataclass(frozen=True, slots=True)\nclass CreatePayment:",
    "\n_MEMORY = {}\n\n\n@dataclass(frozen=True, slots=True)\nclass CreatePayment:",
)
_UNKNOWN_PAYMENTS = (
    _IMPORTS,
    Edit(
        _CASES,
        "        snapshot = await self.store.get(payment_id)\n        if snapshot is None:\n",
        "        snapshot = None if payment_id in _MEMORY else await self.store.get(payment_id)\n"
        "        if snapshot is None:\n"
        "            _MEMORY[payment_id] = True\n",
    ),
    Edit(
        _CASES,
        "        created = await self.store.create(payment_id, amount)\n",
        "        created = await self.store.create(payment_id, amount)\n"
        "        _MEMORY.pop(payment_id, None)\n",
    ),
)
_PAYMENTS = (
    _IMPORTS,
    Edit(
        _CASES,
        "        snapshot = await self.store.get(payment_id)\n        if snapshot is None:\n"
        "            raise PaymentNotFound(str(payment_id))\n",
        "        snapshot = _MEMORY.get(payment_id) or await self.store.get(payment_id)\n"
        "        if snapshot is None:\n"
        "            raise PaymentNotFound(str(payment_id))\n"
        "        _MEMORY[payment_id] = snapshot\n",
    ),
    Edit(
        _CASES,
        "            await locked.commit(payment=moved, attempt=attempt)\n",
        "            await locked.commit(payment=moved, attempt=attempt)\n"
        "            _MEMORY.pop(payment_id, None)\n",
    ),
    Edit(
        _CASES,
        "            await locked.commit(payment=failed)\n",
        "            await locked.commit(payment=failed)\n            _MEMORY.pop(payment_id, None)\n",
    ),
)
_KEYS = (
    _IMPORTS,
    Edit(
        _CASES,
        "            if locked.attempt is not None:\n",
        "            locked.attempt = _MEMORY.get((payment_id, key))\n"
        "            if locked.attempt is not None:\n",
    ),
    Edit(
        _CASES,
        "            await locked.commit(payment=moved, attempt=attempt)\n",
        "            _MEMORY[payment_id, key] = attempt\n"
        "            await locked.commit(payment=moved, attempt=attempt)\n",
    ),
)
BUGS: Mapping[str, tuple[Sequence[Edit], str]] = {
    "a lock in the process": (CATALOGUE.edits("lock-in-the-process"), "different-keys"),
    "unknown payments remembered until they are created here": (_UNKNOWN_PAYMENTS, "read-while-created"),
    "payments remembered until they are changed here": (_PAYMENTS, "capture-and-void"),
    "keys that were decided here, and no others": (_KEYS, "same-key-twice"),
}
"""Bugs that one instance alone does not have, and a scenario that shows each on two."""


@dataclass
class Recorder:
    """A client that keeps what it was asked."""

    client: Sender
    asked: list[Invocation]

    async def send(self, invocation: Invocation) -> Observation:
        self.asked.append(invocation)
        return await self.client.send(invocation)


@pytest.mark.parametrize("bug", BUGS)
def test_what_one_instance_remembers_is_found_on_two_and_not_on_one(bug: str, tmp_path: Path) -> None:
    edits, scenario = BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", edits)
    both = ["--scenario", scenario, "--scenario", f"{scenario}-on-two-instances"]
    found = run_harness(mutant, ["explore", *both, "--output", str(tmp_path / "schedules"), "--json"])
    assert found.returncode == 1, found.stdout + found.stderr
    on_one, on_two = json.loads(found.stdout)
    assert (on_one["verdict"], on_two["verdict"]) == ("holds", "violated"), found.stdout
    again = run_harness(mutant, ["replay", on_two["schedule"], "--times", "3", "--json"])
    assert again.returncode == 1, again.stdout + again.stderr
    assert json.loads(again.stdout)["violations"] == 3


def test_an_instance_has_modules_of_its_own() -> None:
    assert wiring_of(0) is wiring
    second = wiring_of(1)
    assert second is not wiring
    assert second is wiring_of(1)
    assert second.postgres_store.__globals__ is not wiring.postgres_store.__globals__


def test_of_a_services_actors_each_has_an_instance_to_itself() -> None:
    for scenario in ON_TWO_INSTANCES:
        asked = [
            {command.instance for command in each.commands} if isinstance(each, Client) else {0}
            for each in scenario.actors
            if isinstance(each, Client | Sweeper)
        ]
        assert sorted(map(sorted, asked)) == [[0], [1]], scenario.name
        assert interchangeable(scenario) is None


def test_a_client_without_an_answer_asks_the_other_instance(dsn: str) -> None:
    asked: list[list[Invocation]] = [[], []]

    async def main() -> FaultReport:
        async with gated(dsn, instances=2) as service:
            recorders = map(Recorder, service.clients, asked)
            recorded = replace(service, clients=tuple(recorders))
            return await explore_fault(ONE_CAPTURE_ON_TWO_INSTANCES, Fault.CUT_AFTER, recorded)

    report = run(main())
    assert report.verdict == "holds", report.problem
    assert (report.lost, report.doubled) == (0, 0)
    # The pool's probe captures the least amount, at either instance.
    of_scenario = [[each.value for each in one if each.f == "capture"] for one in asked]
    captures = [[each["payment"] for each in one if each["amount"] == AMOUNT] for one in of_scenario]
    assert captures[0]
    assert set(captures[0]) <= set(captures[1])


def test_the_scenarios_are_named() -> None:
    assert all(NAMED[each.name] is each and each.instances == 2 for each in ON_TWO_INSTANCES)
