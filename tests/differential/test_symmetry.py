"""Where clients change places one class stands for all, and a service that tells them apart is found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from payments_core.domain.payment import Payment
from payments_core.domain.values import IdempotencyKey
from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.exploration.interchangeable import interchangeable
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS, VOID, Scenario, Tick, capture, client
from payments_verify.payments.scenarios.named import LARGER, NAMED
from payments_verify.payments.service.under_test import OpenService
from payments_verify.systems import gated, gated_in_memory, scheduled_store
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.footprint import Access
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.pgweave.interleavings.test_soundness import canonical
from tests.pgweave.interleavings.test_symmetry import image, renamings
from tests.support.broken_stores import BrokenStore, Locked
from tests.support.exploring import run
from tests.support.mutants import Edit, mutated_copy, run_harness

GROUPS = {
    "same-key-twice": ((0, 1),),
    "different-keys": ((0, 1),),
    "different-keys-and-tick": ((0, 1),),
    "three-captures": ((0, 1, 2),),
    "authorize-twice": ((0, 1),),
    "create-twice": ((0, 1),),
    "four-captures": ((0, 1, 2, 3),),
}
# One of each class up to symmetry, on PostgreSQL and in memory.
CLASSES = {
    "same-key-twice": (3, 3),
    "different-keys": (3, 3),
    "different-keys-and-tick": (8, 10),
    "three-captures": (9, 9),
    "authorize-twice": (3, 3),
    "create-twice": (1, 1),
    "four-captures": (28, 28),
}
LONGER = {"five-captures": 90, "six-captures": 297, "seven-captures": 1_001, "eight-captures": 3_432}


@pytest.fixture(scope="module")
def on_postgresql(dsn: str) -> OpenService:
    return partial(gated, dsn)


def up_to_symmetry(scenario: Scenario, folder: Path, open_service: OpenService) -> ExploredScenario:
    async def main() -> ExploredScenario:
        async with open_service() as service:
            return await explore_scenario(scenario, service, None, folder)

    return run(main())


def executions(scenario: Scenario, strategy: SourceDPOR, open_service: OpenService) -> list[Execution]:
    async def main() -> list[Execution]:
        found: list[Execution] = []
        async with open_service() as service:
            program = scenario_race(scenario, service)
            await program.prepare()
            report = await explore(program, strategy, on_execution=lambda each, _plan: found.append(each))
        assert report.complete
        return found

    return run(main())


def check_that_the_classes_stand_for_all(scenario: Scenario, open_service: OpenService) -> None:
    """Each for as many as there are orders of clients, divided by the orders that leave it as it is."""
    symmetry = interchangeable(scenario)
    assert symmetry is not None
    full = executions(scenario, SourceDPOR(), open_service)
    reduced = executions(scenario, SourceDPOR(groups=symmetry.groups), open_service)
    every = renamings(symmetry)
    found = [canonical(each) for each in reduced]
    stabilizers = [sum(image(each, renaming) == each for renaming in every) for each in found]
    assert sum(len(every) // stabilizer for stabilizer in stabilizers) == len(full)
    assert {image(each, renaming) for each in found for renaming in every} == set(map(canonical, full))
    outcomes = {symmetry.result_key(each.result, renaming) for each in reduced for renaming in every}
    assert outcomes == {each.result.outcomes for each in full}


def test_clients_that_do_the_same_but_for_a_key_of_their_own_are_interchangeable() -> None:
    found = {name: interchangeable(scenario) for name, scenario in SCENARIOS.items()}
    assert {name: each.groups for name, each in found.items() if each is not None} == GROUPS
    assert all(interchangeable(each) is not None for each in LARGER)


@pytest.mark.parametrize(
    ("actors", "groups"),
    [
        ((client(capture("a")), client(capture("b", 1))), ()),
        ((client(capture("a")), client(VOID)), ()),
        ((client(capture("a")), client(capture("a"), capture("a"))), ()),
        ((client(capture("a")), client(capture("b")), client(capture("b"), VOID)), ()),
        ((client(capture("a", payment=1)), client(capture("b"))), ()),
        ((client(capture("a"), capture("a")), client(capture("b"), capture("c"))), ()),
        ((client(capture("a"), capture("b")), Tick(), client(capture("c"), capture("d"))), ((0, 2),)),
        (
            (client(capture("a")), client(capture("b")), client(capture("a")), client(VOID), client(VOID)),
            ((0, 2), (3, 4)),
        ),
        ((Tick(), Tick()), ()),
    ],
)
def test_who_is_interchangeable(actors: Any, groups: Any) -> None:
    found = interchangeable(Scenario("", "", actors))
    assert (() if found is None else found.groups) == groups


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_is_run_up_to_symmetry_and_again_with_clients_in_each_others_place(
    name: str, on_postgresql: OpenService, tmp_path: Path
) -> None:
    for open_service, classes in zip((on_postgresql, gated_in_memory), CLASSES[name], strict=True):
        found = up_to_symmetry(SCENARIOS[name], tmp_path, open_service)
        assert found.problem is None
        assert found.verdict == "holds"
        assert (found.report.schedules, found.report.abandoned) == (classes, 0)
        assert found.report.interchangeable == GROUPS[name]
        assert not found.report.asymmetry


@pytest.mark.parametrize("name", CLASSES)
def test_in_memory_the_classes_stand_for_all(name: str) -> None:
    check_that_the_classes_stand_for_all(SCENARIOS[name], gated_in_memory)


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "four-captures"])
def test_on_postgresql_the_classes_stand_for_all(name: str, on_postgresql: OpenService) -> None:
    check_that_the_classes_stand_for_all(SCENARIOS[name], on_postgresql)


def test_workers_find_the_same(tmp_path: Path) -> None:
    arguments = ["--system", "in-memory", "--scenario", "four-captures", "--workers", "2", "--json"]
    together = run_harness(tmp_path, ["explore", *arguments])
    assert together.returncode == 0, together.stdout + together.stderr
    (found,) = json.loads(together.stdout)
    assert (found["verdict"], found["schedules"], found["asymmetry"]) == ("holds", 28, "")


@pytest.mark.long
@pytest.mark.parametrize("name", LONGER)
def test_more_captures_in_memory(name: str, tmp_path: Path) -> None:
    found = up_to_symmetry(NAMED[name], tmp_path, gated_in_memory)
    assert (found.verdict, found.report.schedules, found.report.asymmetry) == ("holds", LONGER[name], "")


@pytest.mark.long
@pytest.mark.parametrize("name", ["five-captures", "six-captures"])
def test_more_captures_on_postgresql(name: str, on_postgresql: OpenService, tmp_path: Path) -> None:
    found = up_to_symmetry(NAMED[name], tmp_path, on_postgresql)
    assert (found.verdict, found.report.schedules, found.report.asymmetry) == ("holds", LONGER[name], "")


class StaleForOneKey(BrokenStore):
    """Keeps the payment that it has first seen, and serves one key from that."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._seen: dict[UUID, Payment] = {}

    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        async with self._claim(payment_id):
            locked = self.read(payment_id, key)
            if key is not None:
                stale = self._seen.setdefault(payment_id, locked.payment)
                if key.text == "k1":
                    locked = Locked(self, stale, locked.attempt, locked.now)
            yield locked


@pytest.mark.parametrize("name", ["different-keys", "three-captures"])
def test_a_key_for_which_it_goes_wrong_only_behind_another_is_found(name: str, tmp_path: Path) -> None:
    """In turns, the first client always locks first: only the runs with others in its place show it."""
    found = up_to_symmetry(SCENARIOS[name], tmp_path, lambda: gated_in_memory(StaleForOneKey))
    assert found.verdict == "violated"
    assert found.report.asymmetry
    assert found.schedule is not None


def test_clients_that_turn_out_to_differ_are_explored_without_symmetry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = scheduled_store.take_turn

    async def one_step_more(label: str, *accesses: Access) -> None:
        if label.endswith("find key k2"):
            await turn("looks at the clock", scheduled_store.READ_CLOCK)
        await turn(label, *accesses)

    monkeypatch.setattr(scheduled_store, "take_turn", one_step_more)
    found = up_to_symmetry(SCENARIOS["different-keys"], tmp_path, gated_in_memory)
    assert found.verdict == "holds"
    assert (found.report.schedules, found.report.interchangeable) == (6, ())
    assert "and again with 0 as 1, 1 as 0" in found.report.asymmetry


ONE_KEY_DOES_NOT_LOCK = Edit(
    "infrastructure/postgres/store.py",
    "batch.add(self._contention.locking_statement(), (payment_id,))",
    "batch.add(self._contention.locking_statement().removesuffix(\n"
    '                " FOR NO KEY UPDATE" if self._key is not None and self._key.text.endswith("1") else ""),'
    " (payment_id,))",
)


def test_a_service_that_does_not_lock_for_one_key_is_found(tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path / "mutant", [ONE_KEY_DOES_NOT_LOCK])
    output = str(tmp_path / "schedules")
    found = run_harness(mutant, ["explore", "--scenario", "different-keys", "--output", output, "--json"])
    assert found.returncode == 1, found.stdout + found.stderr
    (result,) = json.loads(found.stdout)
    assert result["verdict"] == "violated"
    assert result["asymmetry"]
