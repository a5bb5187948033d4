"""Every interleaving of the scenarios on the service as it is; the reduction leaves no outcome out."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import pytest
import uvloop

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import EXPLORING, MakeProgram, gated, gated_side_by_side, prepared_database
from pgweave.drive.exploration import Workers
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.explore import explore
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from tests.support import exploring
from tests.support.postgres import chosen_bin_dir

# One of each class of schedules that differ only in the order of independent statements. A number that
# changes says that the service sends other statements, or that their dependence is judged otherwise.
CLASSES = {
    "same-key-twice": 6,
    "different-keys": 6,
    "different-keys-and-tick": 16,
    "three-captures": 54,
    "same-key-different-amounts": 5,
    "capture-and-void": 6,
    "capture-and-sweep": 13,
    "two-sweepers": 10,
    "authorize-twice": 6,
    "window-closes-behind-update": 17,
    "window-closes-behind-lock": 9,
    "window-closes-behind-rollback": 17,
    "capture-and-ticks": 6,
    "read-while-captured": 12,
    "create-twice": 2,
    "capture-during-authorize": 5,
    "retry-while-under-way": 11,
    "four-captures": 672,
}
ABANDONED = {"capture-and-sweep": 2}
"""How many runs end early: a sweep is over where nothing is due, so that it is not always the same."""
SCHEDULES = {
    "same-key-twice": 66,
    "different-keys": 66,
    "capture-and-void": 51,
    "authorize-twice": 36,
    "capture-and-ticks": 68,
    "create-twice": 2,
    "capture-during-authorize": 43,
}
SYSTEM_POSTGRES = Path("/usr/lib/postgresql/15/bin")


def explored(
    dsn: str,
    name: str,
    folder: Path,
    make: Callable[[], Strategy] = SourceDPOR,
    command: str | None = None,
    workers: Workers | None = None,
    *,
    side_by_side: bool = False,
) -> ExploredScenario:
    async def run() -> ExploredScenario:
        async with gated_side_by_side(dsn) if side_by_side else gated(dsn, command) as service:
            return await explore_scenario(SCENARIOS[name], service, make, folder, workers=workers)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def executions(dsn: str, name: str, command: str | None = None) -> list[Execution]:
    async def run() -> list[Execution]:
        found: list[Execution] = []
        async with gated(dsn, command) as service:
            program = scenario_race(SCENARIOS[name], service)
            await program.prepare()
            await explore(
                program, SourceDPOR(), on_execution=lambda execution, _plan: found.append(execution)
            )
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def what_happened(runs: Sequence[Execution]) -> list[object]:
    return [
        [(step.process, step.label, step.blocked, step.woke) for step in run.steps] + [run.result.outcomes]
        for run in runs
    ]


def test_every_scenario_has_a_count() -> None:
    assert set(CLASSES) == set(SCENARIOS)


@pytest.mark.invariant("I10")
def test_captures_have_the_classes_that_counting_gives() -> None:
    """What five and six captures are said to cost, in specs/benchmarks.md, is counted so."""
    names = {2: "different-keys", 3: "three-captures", 4: "four-captures"}
    assert {count: CLASSES[name] for count, name in names.items()} == {
        count: math.factorial(count) * (_catalan(count + 1) - _catalan(count)) for count in names
    }


def _catalan(number: int) -> int:
    return math.comb(2 * number, number) // (number + 1)


@pytest.fixture(scope="module")
def explored_once(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ExploredScenario]:
    """What one of each class of a scenario shows, run for all tests that ask."""
    return cache(lambda name: explored(dsn, name, tmp_path_factory.mktemp("schedules")))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if CLASSES[name] > 100 else name for name in CLASSES]
)
def test_every_interleaving_is_explained(name: str, explored_once: Callable[[str], ExploredScenario]) -> None:
    found = explored_once(name)
    assert found.problem is None
    assert found.verdict == "holds"
    assert found.report.complete
    assert (found.report.schedules, found.report.abandoned) == (CLASSES[name], ABANDONED.get(name, 0))


@pytest.mark.invariant("I10")
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_reduction_leaves_no_outcome_out(
    dsn: str, name: str, tmp_path: Path, explored_once: Callable[[str], ExploredScenario]
) -> None:
    every = explored(dsn, name, tmp_path, Naive)
    assert every.verdict == "holds"
    assert (every.report.naive is not None, every.report.schedules) == (True, SCHEDULES[name])
    assert set(explored_once(name).outcomes) == set(every.outcomes)


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "four-captures"])
def test_the_outcomes_are_those_in_memory(
    name: str, tmp_path: Path, explored_once: Callable[[str], ExploredScenario]
) -> None:
    here, there = exploring.explored(name, tmp_path), explored_once(name)
    assert (here.verdict, there.verdict) == ("holds", "holds")
    assert set(here.outcomes) == set(there.outcomes)


@pytest.mark.parametrize("name", ["different-keys", "window-closes-behind-rollback", "capture-and-sweep"])
def test_two_databases_side_by_side_have_the_same_schedules(
    dsn: str, name: str, tmp_path: Path, explored_once: Callable[[str], ExploredScenario]
) -> None:
    alone, found = explored_once(name), explored(dsn, name, tmp_path, side_by_side=True)
    assert (found.verdict, found.report.complete) == ("holds", True)
    assert (found.report.schedules, found.report.abandoned) == (CLASSES[name], ABANDONED.get(name, 0))
    assert found.outcomes == alone.outcomes


def test_a_service_in_another_process_does_the_same(dsn: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m payments_core serve --port $PORT"
    for name in ("same-key-twice", "window-closes-behind-lock"):
        here, there = executions(dsn, name), executions(dsn, name, command)
        assert what_happened(here) == what_happened(there)


def test_workers_find_the_same(
    dsn: str, tmp_path: Path, explored_once: Callable[[str], ExploredScenario]
) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        workers = Workers(executor, partial(MakeProgram, bin_dir=chosen_bin_dir()), in_flight=4)
        together = explored(dsn, "different-keys-and-tick", tmp_path, workers=workers)
    alone = explored_once("different-keys-and-tick")
    assert together.report.schedules == alone.report.schedules
    assert together.outcomes == alone.outcomes


@pytest.mark.skipif(not SYSTEM_POSTGRES.exists(), reason=f"there is no PostgreSQL 15 at {SYSTEM_POSTGRES}")
def test_an_older_server_does_the_same(dsn: str) -> None:
    with prepared_database(SYSTEM_POSTGRES, EXPLORING) as older:
        for name in ("different-keys-and-tick", "window-closes-behind-rollback", "three-captures"):
            assert what_happened(executions(older, name)) == what_happened(executions(dsn, name))
