"""What stress makes of a sweep that fails."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from payments_verify.payments.inputs.classes import ALIKE_AMOUNTS, ALIKE_KEYS, AMOUNTS, classes_of
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.service.under_test import ServiceUnderTest, SweepError
from payments_verify.payments.stress.check import stress_check
from payments_verify.payments.stress.inputs import inputs_of_round
from payments_verify.payments.stress.round import StressReport
from payments_verify.payments.stress.run import stress
from payments_verify.systems import in_memory


def _stressed(folder: Path, error: Exception | None) -> StressReport:
    async def sweep_batch() -> int:
        if error is not None:
            raise error
        return 0

    async def played() -> StressReport:
        async with in_memory() as system:
            return await stress(replace(system, sweep_batch=sweep_batch), folder, rounds=8, seed=1)

    return asyncio.run(played())


def test_a_sweep_that_fails_is_a_violation_and_ends_the_run(tmp_path: Path) -> None:
    report = _stressed(tmp_path, ZeroDivisionError("by a batch of none"))
    assert report.violation is not None
    assert "I9: a sweep failed: ZeroDivisionError: by a batch of none" in report.violation
    assert report.rounds < 8
    events = report.histories[-1].read_text().splitlines()
    assert any('"f":"sweep"' in event and "by a batch of none" in event for event in events)


def test_a_sweep_that_is_quiet_is_none(tmp_path: Path) -> None:
    report = _stressed(tmp_path, None)
    assert report.violation is None
    assert report.rounds == 8


def test_a_sweep_that_cannot_be_asked_for_accuses_nobody(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="no such command"):
        _stressed(tmp_path, SweepError("no such command"))


class _SweepsByItself:
    """Expires what is due before each request, of which a history has nothing."""

    def __init__(self, system: ServiceUnderTest) -> None:
        self._client, self._sweep = system.client, system.sweep

    async def send(self, invocation: Invocation) -> Observation:
        await self._sweep()
        return await self._client.send(invocation)


@pytest.mark.parametrize(("within_s", "is_right"), [(None, False), (10.0, True)])
def test_who_sweeps_by_itself_and_says_so_is_right(
    tmp_path: Path, within_s: float | None, is_right: bool
) -> None:
    async def played() -> StressReport:
        async with in_memory() as system:
            traits = replace(system.traits, sweeps=False, expires_within_s=within_s)
            clients = (_SweepsByItself(system),)
            alone = replace(system, clients=clients, sweep_batch=None, traits=traits, surface=None)
            return await stress(alone, tmp_path, rounds=8, seed=1)

    report = asyncio.run(played())
    assert (report.violation is None) == is_right, report.violation


@pytest.mark.parametrize(("rounds", "processes", "light"), [(3, 2, 1), (3, 1, 0)])
def test_a_third_of_the_rounds_of_several_processes_is_light(
    tmp_path: Path, rounds: int, processes: int, light: int
) -> None:
    async def played() -> StressReport:
        async with in_memory() as system:
            return await stress(
                replace(system, clients=system.clients[:processes]), tmp_path, rounds=rounds, seed=1
            )

    report = asyncio.run(played())
    assert report.violation is None
    assert sum(1 for each in report.histories if _clients(each) <= 2) == light


def _clients(history: Path) -> int:
    """How many processes a history has that sent captures."""
    events = [json.loads(line) for line in history.read_text().splitlines()]
    return len({each["process"] for each in events if each.get("f") == "capture"})


class _Broken:
    def __init__(self) -> None:
        self.sent = 0

    async def send(self, _invocation: Invocation) -> Observation:
        self.sent += 1
        await asyncio.sleep(0)
        if self.sent > 20:
            raise ZeroDivisionError
        return Observation("ok", {"outcome": "created"})


def test_what_ends_a_round_early_leaves_nobody_who_goes_on(tmp_path: Path) -> None:
    async def played() -> set[str]:
        async with in_memory() as system:
            with pytest.raises(ZeroDivisionError):
                await stress(replace(system, clients=(_Broken(),)), tmp_path, rounds=8, seed=1)
            mine = asyncio.current_task()
            return {str(task.get_coro()) for task in asyncio.all_tasks() if task is not mine}

    assert asyncio.run(played()) == set()


def test_rounds_take_turns_with_the_classes_of_keys_and_amounts() -> None:
    rng = random.Random(1)
    rounds = [inputs_of_round(number, rng, EVERYTHING) for number in range(len(ALIKE_KEYS))]
    for inputs, keys in zip(rounds, ALIKE_KEYS.values(), strict=True):
        assert len(set(inputs.keys)) >= 2
        assert set(inputs.keys) <= set(keys)
        assert inputs.amount not in inputs.other_amounts
        assert inputs.start % 2 == 1
    amounts = {inputs.amount for inputs in rounds}
    assert all(not amounts.isdisjoint(each) for each in AMOUNTS.values())
    assert {first for first, *_ in ALIKE_AMOUNTS.values()} <= amounts


def test_what_a_service_does_not_take_is_not_sent_to_it() -> None:
    few = replace(EVERYTHING, keys="[a-z0-9]{1,20}", max_amount=10_000)
    for number in range(60):
        inputs = inputs_of_round(number, random.Random(number), few)
        assert all(few.takes_key(key) for key in inputs.keys)
        assert max(inputs.amount, *inputs.other_amounts) <= 10_000
    assert inputs_of_round(0, random.Random(0), replace(EVERYTHING, keys=None)).keys == ("k1", "k2", "k3")


def test_the_classes_that_its_histories_came_to_are_counted(tmp_path: Path) -> None:
    report = _stressed(tmp_path, None)
    assert {name for name in report.inputs if name.startswith("keys: ")}
    assert {name for name in report.inputs if name.startswith("amounts: ")}
    result = stress_check("in memory", in_memory, tmp_path / "check", rounds=8, seed=1, progress=None)
    assert result.as_json()["inputs"]["reached"] == {
        **dict.fromkeys(classes_of(EVERYTHING), 0),
        **report.inputs,
    }
