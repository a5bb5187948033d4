"""Workers in other processes do what one does here."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import pickle
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pgweave.interleavings.execution import Execution, Program, Step
from pgweave.interleavings.exhaustive import Bounded, Naive
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.parallel import explore_in_parallel, prepare_workers, worker_resources
from pgweave.interleavings.randomized import PCT
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import SchedulePlan, Strategy
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored, outcomes
from tests.pgweave.interleavings.unsteady import Unsteady

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "dpor": SourceDPOR,
    "naive": Naive,
    "bounded": functools.partial(Bounded, 2),
    "pct": functools.partial(PCT, 30, 5, depth=2, steps=13),
}


async def three_captures() -> Program:
    return captures("a", "b", "c")


def unsteady() -> Program:
    # By chance: two workers that count their runs may well come to each number together.
    return Unsteady(captures("a", "b", "c"), lambda _run: secrets.choice([True, False]), 3, step=another)


def another(step: Step) -> Step:
    return replace(step, label="another")


def stuck() -> Program:
    return Unsteady(captures("a", "b", "c"), lambda run: run % 7 == 0, 3, stuck=True)


@pytest.fixture(scope="module", params=["fork", "spawn"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    # Spawned workers have hashes of their own.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(request.param)) as pool:
        yield pool


def in_parallel(
    executor: Executor,
    factory: Callable[[], Any],
    strategy: Strategy,
    in_flight: int = 4,
    options: Options | None = None,
) -> tuple[Report, list[Execution]]:
    found: list[Execution] = []

    def keep(execution: Execution, _plan: SchedulePlan) -> None:
        found.append(execution)

    report = explore_in_parallel(
        executor, factory, strategy, in_flight=in_flight, on_execution=keep, options=options
    )
    return report, found


@pytest.mark.parametrize("name", STRATEGIES)
def test_workers_run_what_one_would(executor: Executor, name: str) -> None:
    factory = functools.partial(captures, "a", "b", clock=1)
    expected, sequential = explored(factory(), STRATEGIES[name]())
    report, parallel = in_parallel(executor, factory, STRATEGIES[name]())
    assert report.complete
    assert (report.schedules, report.deepest) == (expected.schedules, expected.deepest)
    assert report.naive == expected.naive
    assert report.abandoned == expected.abandoned
    assert outcomes(parallel) == outcomes(sequential)
    if name != "dpor":
        assert sorted(one.schedule for one in parallel) == sorted(one.schedule for one in sequential)


def test_the_order_of_results_is_that_of_plans(executor: Executor) -> None:
    (first, one), (second, other) = (in_parallel(executor, three_captures, SourceDPOR()) for _ in range(2))
    assert one == other
    assert (first.schedules, first.abandoned) == (second.schedules, second.abandoned) == (30, 0)


def test_random_programs_with_plans_in_flight_lose_no_class(executor: Executor) -> None:
    for seed in range(25):
        factory = functools.partial(random_program, seed)
        expected, sequential = explored(factory(), SourceDPOR())
        report, parallel = in_parallel(executor, factory, SourceDPOR(), in_flight=1 + seed % 8)
        assert report.complete, seed
        assert report.schedules == expected.schedules, seed
        assert outcomes(parallel) == outcomes(sequential), seed


def test_runs_that_get_stuck_are_run_again(executor: Executor) -> None:
    report, executions = in_parallel(executor, stuck, SourceDPOR())
    assert report.schedules == len(executions) == 30
    assert report.trustworthy
    assert report.complete


def test_plans_are_run_twice_and_differences_found(executor: Executor) -> None:
    steady, _ = in_parallel(executor, three_captures, SourceDPOR(), options=Options(rerun_every=2))
    assert steady.trustworthy
    report, _ = in_parallel(executor, unsteady, SourceDPOR(), options=Options(rerun_every=2))
    assert report.nondeterminism
    assert "'another'" in report.nondeterminism[0]


def test_a_limit_counts_the_plans_in_flight(executor: Executor) -> None:
    report, executions = in_parallel(executor, three_captures, Naive(), options=Options(runs=10))
    assert report.schedules == len(executions) == 10
    assert not report.complete


def test_who_takes_in_the_executions_can_end_it(executor: Executor) -> None:
    report = explore_in_parallel(
        executor, three_captures, Naive(), in_flight=4, on_execution=lambda _execution, _plan: True
    )
    assert report.schedules == 1
    assert not report.complete


def test_at_least_one_plan_is_in_flight(executor: Executor) -> None:
    with pytest.raises(ValueError, match="at least one"):
        in_parallel(executor, three_captures, Naive(), in_flight=0)


def broken() -> Program:
    raise RuntimeError("no database here")


def test_a_factory_that_fails_says_so(executor: Executor) -> None:
    with pytest.raises(RuntimeError, match="no database here"):
        in_parallel(executor, broken, Naive())


@pytest.mark.parametrize("name", STRATEGIES)
def test_plans_can_be_pickled(name: str) -> None:
    plan = STRATEGIES[name]().next()
    assert plan is not None
    assert pickle.loads(pickle.dumps(plan)) == plan


def _closing(folder: Path) -> Program:
    async def close() -> None:
        await asyncio.sleep(0)  # the worker's loop must still run
        (folder / f"closed-{os.getpid()}").touch()

    (folder / f"made-{os.getpid()}").touch()
    worker_resources().push_async_callback(close)
    return captures("a", "b")


def _wait_for(count: int, folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"{count} of {pattern}: {list(folder.iterdir())}"
        time.sleep(0.01)


def test_workers_are_prepared_before_the_first_plan_and_close_what_they_opened(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    factory = functools.partial(_closing, tmp_path)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        prepare_workers(pool, factory, 2)
        _wait_for(1, tmp_path, "made-*")
        report, _ = in_parallel(pool, factory, SourceDPOR())
    assert report.complete
    made = {path.name.removeprefix("made-") for path in tmp_path.glob("made-*")}
    assert made == {path.name.removeprefix("closed-") for path in tmp_path.glob("closed-*")}
    assert capfd.readouterr().err == ""
