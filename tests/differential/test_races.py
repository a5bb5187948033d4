"""Hypothesis draws races and schedules: on the service they hold, and on broken ones it finds the bug."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.payments.inputs.classes import EPOCH
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.races.check import racing_check, what_was_not_shown
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.races.machine import RaceTally
from payments_verify.payments.races.runner import (
    RaceRunner,
    authorize,
    capture,
    check_race,
    client,
    create,
    fail,
    read,
    sweep,
    tick,
    wait,
)
from payments_verify.payments.races.shrinking import FailingRace, shrink_race, why_not_reproduced
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.systems import gated, gated_on_new_database
from pgweave.interleavings.execution import DivergenceError, SchedulingError
from pgweave.interleavings.minimize import Follow, switches
from pgweave.interleavings.strategy import Continuation
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.pytest_runs import run_pytest
from tests.support.seeded_bugs import (
    COMMIT_BEFORE_UPDATE,
    KEY_BEFORE_LOCK,
    LOCK_AND_LOOK_UP_IN_ONE,
    NO_CONSTRAINTS,
    NO_ROW_LOCK,
    TRANSACTION_START,
)

MINUTE = 60_000_000
PASTED_LIMIT_S = 120
COMMON = (
    "attempts -> read",
    "authorize -> already_authorized",
    "authorize -> authorized",
    "capture -> already_captured",
    "capture -> already_captured (replayed)",
    "capture -> amount_mismatch",
    "capture -> captured",
    "capture -> captured (replayed)",
    "capture -> key_reused",
    "capture -> not_authorized",
    "capture -> payment_failed",
    "capture -> window_expired",
    "clock -> ok",
    "create -> exists",
    "create -> id_conflict",
    "fail -> failed",
    "read -> read",
    "sweep -> ok",
)

# The bug, the ticks of the clock that it needs, and the most switches in the smallest race.
BUGS: Mapping[str, tuple[Sequence[Edit], int, int]] = {
    "no row lock": ((NO_ROW_LOCK,), 0, 2),
    "key looked up before the lock": ((KEY_BEFORE_LOCK,), 0, 2),
    "no unique key and no lock": ((NO_ROW_LOCK, NO_CONSTRAINTS), 0, 2),
    "now() for the clock": ((TRANSACTION_START,), 1, 3),
    "lock and look-up in one statement": (LOCK_AND_LOOK_UP_IN_ONE, 0, 3),
    "commit before update": (COMMIT_BEFORE_UPDATE, 0, 3),
}
QUICKLY_FOUND = "no row lock"
SEARCH_LIMIT_S = 900


@pytest.fixture(scope="module")
def open_service(dsn: str) -> OpenService:
    return partial(gated, dsn)


@pytest.mark.invariant("I10")
def test_races_on_the_service_are_explained(open_service: OpenService) -> None:
    result = racing_check("the service", open_service, examples=120, steps=12, seed=3)
    assert result.counterexample is None
    assert result.verdict == "holds"
    races = result.details["races"]
    assert races["judged"] > 100
    assert races["rejected"] == 0
    # RaceRunner without a choice, a wait or an interesting answer would have shown nothing.
    assert [outcome for outcome in COMMON if outcome not in races["outcomes"]] == []
    assert races["switches"] > 2 * races["judged"]
    assert races["waits"] > races["judged"] / 20
    assert races["clients"] > 1.5 * races["judged"]
    assert "no answer" not in str(races["outcomes"])


@pytest.mark.parametrize(
    "bug", [bug if bug == QUICKLY_FOUND else pytest.param(bug, marks=pytest.mark.long) for bug in BUGS]
)
def test_the_machine_finds_the_bug_and_prints_it_as_a_test(bug: str, tmp_path: Path) -> None:
    edits, ticks, most = BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", edits)
    arguments = ["machine", "--races", "--examples", "1500", "--steps", "6", "--seed", "1", "--json"]
    run = run_harness(mutant, arguments, SEARCH_LIMIT_S)
    assert run.returncode == 1, run.stdout + run.stderr
    (result,) = json.loads(run.stdout)
    race = result["failing_race"]
    # Two commands at once, or one and a sweep.
    assert race["clients"] + race["sweeps"] == 2, race["program"]
    assert race["commands"] == race["clients"], race["program"]
    assert race["ticks"] == ticks, race["program"]
    assert race["switches"] <= most, race["program"]
    assert race["program"] in result["counterexample"]

    pasted = tmp_path / "test_pasted.py"
    pasted.write_text(race["program"])
    broken = run_pasted(pasted, mutant)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "MismatchError" in broken.stdout
    right = run_pasted(pasted, mutated_copy(tmp_path / "copy", ()))
    assert right.returncode == 0, right.stdout + right.stderr


def run_pasted(test: Path, service: Path) -> subprocess.CompletedProcess[str]:
    """Run a test of a file, with the copy of the service in that folder."""
    arguments = ("-q", "--import-mode=importlib", test)
    return run_pytest(*arguments, cwd=test.parent, limit_s=PASTED_LIMIT_S, PYTHONPATH=str(service))


def test_a_race_may_be_written_by_hand(open_service: OpenService) -> None:
    check_race(
        open_service,
        before=[create(500), authorize(MINUTE), wait(1), create(1, payment=1), authorize(MINUTE, payment=1)],
        actors=[
            client(capture("k1", 500), read()),
            client(fail("voided"), capture("k1", 1, payment=1)),
            tick(payment=1),
            sweep(),
        ],
        schedule=[0, 1, 0, 1, 2, 3, 3, 1, 0],
    )


class Optimist:
    """A client that takes a refused capture for a success; if it is one in races only, when others wait."""

    def __init__(self, client: Sender, *, in_races_only: bool) -> None:
        self._client = client
        self._in_races_only = in_races_only
        self._pending = 0

    async def send(self, invocation: Invocation) -> Observation:
        others, self._pending = self._pending, self._pending + 1
        try:
            seen = await self._client.send(invocation)
        finally:
            self._pending -= 1
        is_right = self._in_races_only and max(others, self._pending) == 0
        if is_right or seen.value.get("outcome") != "already_captured":
            return seen
        return Observation("ok", {**seen.value, "outcome": "captured"})


@asynccontextmanager
async def optimistic_second(dsn: str) -> AsyncIterator[ServiceUnderTest]:
    async with gated(dsn, instances=2) as service:
        first, second = service.clients
        client: Any = Optimist(second, in_races_only=True)
        yield replace(service, clients=(first, client))


def test_a_bug_in_races_of_the_second_instance_is_found(open_service: OpenService) -> None:
    (dsn,) = open_service.args  # type: ignore[attr-defined]
    found = racing_check("broken", partial(optimistic_second, dsn), examples=60, steps=6, seed=1).details[
        "failing_race"
    ]
    assert "instance=1" in found["program"]
    assert (found["clients"], found["commands"]) == (2, 2)


@asynccontextmanager
async def optimistic(
    open_service: OpenService, *, in_races_only: bool = False
) -> AsyncIterator[ServiceUnderTest]:
    async with open_service() as service:
        client: Any = Optimist(service.client, in_races_only=in_races_only)
        yield replace(service, clients=(client,))


def test_a_race_that_the_model_does_not_explain_fails(open_service: OpenService) -> None:
    race = {
        "before": [create(500), authorize(MINUTE)],
        "actors": [client(capture("k1", 500)), client(capture("k2", 500))],
        "schedule": [0, 0, 1],
    }
    check_race(open_service, **race)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match="capture k2 500 -> captured"):
        check_race(partial(optimistic, open_service), **race)  # type: ignore[arg-type]


async def minimal_race(open_service: OpenService) -> tuple[FailingRace, FailingRace]:
    before = (create(500), authorize(MINUTE), capture("k9", 1), wait(1), create(1, payment=1))
    actors = (
        sweep(),
        client(read(payment=1), capture("k1", 500), read()),
        tick(-1),
        client(capture("k2", 500)),
        client(capture("k3", 1, payment=1)),
    )
    async with optimistic(open_service) as service:
        races = RaceRunner(service)
        execution, judged = await races.run(before, actors, Follow((1, 3, 0, 2, 4) * 10), EPOCH)
        assert isinstance(judged, Violation)
        wrong = FailingRace(before, actors, execution, judged, EPOCH)
        return wrong, await shrink_race(wrong, races)


def test_a_wrong_race_is_made_small(open_service: OpenService) -> None:
    wrong, minimal = asyncio.run(minimal_race(open_service))
    assert minimal.before == (create(500), authorize(MINUTE))
    assert minimal.actors == (client(capture("k1", 500)), client(capture("k2", 500)))
    assert switches(wrong.execution.schedule) > 1
    assert switches(minimal.execution.schedule) == 1
    assert "capture k2 500 -> captured" in minimal.violation.explanation


@pytest.mark.parametrize("mended", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_race_that_failed_is_run_again_on_another_database(open_service: OpenService, mended: bool) -> None:
    opened: list[str] = []

    def opens() -> AbstractAsyncContextManager[ServiceUnderTest]:
        opened.append("wrong" if not (mended and opened) else "right")
        return optimistic(open_service, in_races_only=True) if opened[-1] == "wrong" else open_service()

    result = racing_check("an optimist", opens, examples=100, steps=3, seed=1)
    assert result.verdict == "violated"
    assert len(opened) == 2
    assert ("does not fail: it fails after what other programs" in str(result.counterexample)) is mended


def test_what_keeps_a_race_from_being_run_alone_is_told(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def diverge(*_arguments: object) -> None:
        raise DivergenceError("the database served them out of turn")

    async def complaint() -> str | None:
        wrong, _ = await minimal_race(open_service)
        monkeypatch.setattr(RaceRunner, "run", diverge)
        async with open_service() as service:
            return await why_not_reproduced(wrong, RaceRunner(service))

    assert "cannot be run in its order: the database served" in str(asyncio.run(complaint()))


def test_each_search_for_races_has_a_new_database(open_service: OpenService) -> None:
    async def names() -> list[object]:
        found: list[object] = []
        for _ in range(2):
            async with gated_on_new_database(open_service.args[0]) as service:  # type: ignore[attr-defined]
                assert service.database is not None
                found.append(conninfo_to_dict(service.database.gate.socket_dsn)["dbname"])
        return found

    first, second = asyncio.run(names())
    assert first != second
    with psycopg.connect(open_service.args[0]) as connection:  # type: ignore[attr-defined]
        left = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    assert not {first, second} & left


def test_a_schedule_names_actors_that_there_are(open_service: OpenService) -> None:
    with pytest.raises(ValueError, match=r"the actors are 0 to 0; the schedule names \[-1, 1\]"):
        check_race(open_service, actors=[client(read())], schedule=[0, 1, -1])


class Diverging:
    """A policy whose first runs diverge."""

    def __init__(self, runs: int) -> None:
        self.left = runs

    def start(self) -> Continuation:
        self.left -= 1
        if self.left < 0:
            return lambda situations: min(situations[-1].ready)

        def diverge(_situations: object) -> int:
            raise DivergenceError("the database served them out of turn")

        return diverge


async def race_and_diverge(open_service: OpenService, runs: int) -> int:
    async with open_service() as service:
        races = RaceRunner(service)
        actors = [client(capture("k1", 500)), client(read())]
        await races.run([create(500), authorize(MINUTE)], actors, Diverging(runs), EPOCH)
        return races.repeated


def test_a_race_that_cannot_be_used_is_run_again(open_service: OpenService) -> None:
    assert [asyncio.run(race_and_diverge(open_service, runs)) for runs in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(DivergenceError, match="out of turn"):
        asyncio.run(race_and_diverge(open_service, 4))


def test_where_races_cannot_be_run_nothing_holds(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_arguments: object) -> None:
        raise SchedulingError("nobody comes to rest")

    monkeypatch.setattr(RaceRunner, "run", run)
    result = racing_check("none", open_service, examples=20, steps=12, seed=1)
    assert result.verdict == "no verdict"
    assert "and 0 could; the last: nobody comes to rest" in str(result.counterexample)
    assert result.details["races"]["rejected"] > 0


@pytest.mark.parametrize(
    ("seen", "verdict"), [(MismatchError("once"), "violated"), (KeyError("once"), "no verdict")]
)
def test_what_does_not_come_again_is_told_all_the_same(
    seen: Exception, verdict: str, open_service: OpenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, left = RaceRunner.run, [seen]

    async def once(races: RaceRunner, *arguments: Any) -> Any:
        if left:
            raise left.pop()
        return await unbroken(races, *arguments)

    monkeypatch.setattr(RaceRunner, "run", once)
    result = racing_check("flaky", open_service, examples=20, steps=12, seed=1)
    assert result.verdict == verdict
    assert "once" in str(result.counterexample) or "run again" in str(result.counterexample)


def test_without_a_race_nothing_holds() -> None:
    assert what_was_not_shown(RaceTally()) == "no race was drawn: more programs are needed"
    assert what_was_not_shown(RaceTally(races=10, rejected=1)) is None
    assert what_was_not_shown(RaceTally(races=10, rejected=2, problem="x")) is not None


def test_a_system_without_a_gate_has_no_races() -> None:
    result = CliRunner().invoke(app, ["machine", "--system", "in-memory", "--races"])
    assert result.exit_code == 2
    assert "the in-memory system has no gate" in result.output
