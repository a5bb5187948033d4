"""Programs share one service: what depends on those before is told with them, and found again on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from payments_model import Outcome
from payments_verify.cli import differential
from payments_verify.payments.inputs.classes import DAY, INSTANTS, SECOND
from payments_verify.payments.observed.observations import Invocation, Observation, answered
from payments_verify.payments.programs import reproduction
from payments_verify.payments.programs.check import machine_check, opened_in
from payments_verify.payments.programs.reproduction import Call, Program, reproduce
from payments_verify.payments.programs.run import run_calls
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory, in_process
from tests.support.postgres import chosen_bin_dir

ALONE = "Alone, on a service that was just started, the smallest program does not fail."


@dataclass
class KeysOfAll:
    """Takes a key for used that another payment's capture has used."""

    client: Any
    used: dict[str, str] = field(default_factory=dict)

    async def send(self, invocation: Invocation) -> Observation:
        value = invocation.value
        if (
            invocation.f == "capture"
            and self.used.setdefault(value["key"], value["payment"]) != value["payment"]
        ):
            return answered(Outcome.KEY_REUSED)
        seen: Observation = await self.client.send(invocation)
        return seen


@dataclass
class OneWrongAnswer:
    """Answers wrongly once in its life, whoever asks."""

    client: Any
    left: list[int]

    async def send(self, invocation: Invocation) -> Observation:
        seen: Observation = await self.client.send(invocation)
        self.left[0] -= 1
        return seen if self.left[0] else answered(Outcome.PAYMENT_FAILED)


@dataclass
class NeverCaptures:
    client: Any

    async def send(self, invocation: Invocation) -> Observation:
        if invocation.f == "capture":
            return answered(Outcome.PAYMENT_FAILED)
        seen: Observation = await self.client.send(invocation)
        return seen


def checked(broken: Callable[[Any], Any], *, is_new: bool = True, examples: int = 30) -> CheckResult:
    shared = None if is_new else broken(None)

    def opened() -> AbstractAsyncContextManager[ServiceUnderTest]:
        @asynccontextmanager
        async def system() -> AsyncIterator[ServiceUnderTest]:
            async with in_memory() as right:
                if shared is None:
                    client = broken(right.clients[0])
                else:
                    client = replace(shared, client=right.clients[0])
                yield replace(right, clients=(client,), is_new=is_new)

        return system()

    return machine_check("broken", opened, examples=examples, steps=12, seed=1)


@pytest.mark.parametrize("is_new", [True, False])
def test_what_depends_on_programs_before_is_told_with_them(is_new: bool) -> None:
    found = checked(KeysOfAll, is_new=is_new)
    assert found.verdict == "violated"
    told = str(found.counterexample)
    assert told.startswith(ALONE)
    assert "It fails after what other programs have asked" in told
    commands = [line.split()[0] for line in told.splitlines() if line.startswith("  ")]
    assert commands.count("capture") == 2, told
    assert len(commands) <= 9, told
    assert "key_reused" in told
    assert found.timelines


def test_what_fails_alone_is_told_alone() -> None:
    found = checked(NeverCaptures)
    assert found.verdict == "violated"
    assert ALONE not in str(found.counterexample)


def test_what_does_not_come_again_is_a_violation_all_the_same() -> None:
    left = [200]
    found = checked(lambda client: OneWrongAnswer(client, left))
    assert found.verdict == "violated"
    assert "Nor does it after all the programs" in str(found.counterexample)


@dataclass
class TiresOfPayments:
    """Captures nothing once its database has more than so many payments."""

    client: Any
    dsn: str
    most: int = 3

    async def send(self, invocation: Invocation) -> Observation:
        if invocation.f == "capture":
            async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
                counted = await (await connection.execute("SELECT count(*) FROM payments")).fetchone()
            if counted is not None and counted[0] > self.most:
                return answered(Outcome.PAYMENT_FAILED)
        seen: Observation = await self.client.send(invocation)
        return seen


def test_the_commands_of_this_service_have_a_new_database_too(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def tired(dsn: str, **settings: Any) -> AsyncIterator[ServiceUnderTest]:
        async with in_process(dsn, **settings) as right:
            yield replace(right, clients=(TiresOfPayments(right.clients[0], dsn),))

    monkeypatch.setattr(differential, "in_process", tired)
    monkeypatch.setattr(reproduction, "RETELLING_LIMIT_S", 2.0)
    with differential.opened(differential.SystemName.IN_PROCESS, chosen_bin_dir()) as open_system:
        found = machine_check("tired", open_system, examples=30, steps=5, seed=1)
    told = str(found.counterexample)
    assert told.startswith(ALONE)
    assert "It fails after what other programs have asked" in told
    lines = told.splitlines()
    creations = sum(line.startswith("  create ") for line in lines)
    # The look at the whole surface creates payments of its own.
    assert creations > 3 or "  look at all that it shows beside outcomes" in lines, told


def stressed(broken: Callable[[Any], Any], folder: Path) -> str:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as right:
            yield replace(right, clients=(broken(right.clients[0]),))

    found = stress_check("broken", opened, folder, rounds=5, seed=1, progress=None)
    assert found.verdict == "violated"
    return str(found.counterexample)


def test_a_wrong_round_is_played_again_alone(tmp_path: Path) -> None:
    assert f"the round fails too: {tmp_path / 'alone-0'}" in stressed(NeverCaptures, tmp_path)
    left = [250]
    told = stressed(lambda client: OneWrongAnswer(client, left), tmp_path)
    assert "the round did not fail in 3 tries" in told
    histories = [str(path) for path in sorted(tmp_path.glob("stress-1-*.jsonl"))]
    assert told.endswith("in this order:\n  " + "\n  ".join(histories))
    assert len(histories) > 1


def test_the_clock_does_not_go_back_from_one_program_to_the_next() -> None:
    seen: list[int] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as right:

            async def set_clock(now: int) -> None:
                seen.append(now)
                await right.set_clock(now)

            yield replace(right, set_clock=set_clock)

    assert machine_check("right", opened, examples=20, steps=10, seed=1).verdict == "holds"
    assert len(set(seen)) > 20
    steps_back = [earlier - later for earlier, later in pairwise(seen) if later < earlier]
    # In the program of the class that steps back, its lives too; before each of those that begin long ago.
    short = [each for each in steps_back if each < DAY]
    assert short[:2] == [1, 2 * SECOND - 1]
    assert set(short[2:]) == {SECOND + 1}
    assert len(steps_back) - len(short) <= len(INSTANTS)


def program(name: str) -> list[Call]:
    arguments = {"payment": name, "is_step": True}
    return [Call("perform", {"f": f, **arguments}) for f in ("create", "capture", "read")]


def test_what_is_left_has_what_it_needs_and_little_more() -> None:
    runs: list[Program] = []

    def rerun(calls: Program) -> MismatchError | None:
        runs.append(calls)
        created: set[str | None] = set()
        for call in calls:
            created |= {call.payment} if call.creates else set()
            assert call.payment in created
        asked = [(call.payment, call.arguments["f"]) for call in calls]
        wanted = {("3", "capture"), ("6", "create"), ("last", "capture")}
        return (
            MismatchError("wrong", (), [" ".join(map(str, each)) for each in asked])
            if wanted <= set(asked)
            else None
        )

    earlier: Sequence[Program] = [program(str(number)) for number in range(9)]
    found = reproduce(MismatchError("first"), earlier, program("last"), rerun)
    assert found.commands == ("3 create", "3 capture", "6 create", "last create", "last capture", "last read")
    assert len(runs) < 60


def test_calls_that_are_run_again_know_how_many_refusals_are_stored() -> None:
    payment = "p"
    refused = [
        Call("perform", {"f": "capture", "payment": payment, "key": f"k{number}", "amount": 1})
        for number in range(4)
    ]
    calls = [Call("perform", {"f": "create", "payment": payment, "amount": 500}), *refused]
    with asyncio.Runner() as runner, opened_in(in_memory(max_stored_refusals=2), runner) as system:
        assert run_calls(system, runner, calls, reuses_keys=True) is None
