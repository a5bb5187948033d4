"""How fast schedules are run: through the gate, and by PostgreSQL's own isolation tester."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from lab.bench import isolation_tester
from lab.bench.raw_sessions import SESSIONS, SETUP, STEPS, RawSessions, raw_sessions, session
from payments_verify.payments.exploration.scenario import explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems import MakeProgram, gated_side_by_side, local_processes
from payments_verify.systems.one_core import on_one_core
from pgweave.drive.exploration import Effort, Workers
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.explore import explore
from pgweave.interleavings.parallel import prepare_workers
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import SchedulePlan, Strategy
from pgweave.scheduler import GatedDatabase, Monitor

TWO_CLIENTS = ("different-keys", "same-key-twice", "capture-and-void")
FOUR_CLIENTS = "four-captures"
WORKERS = 2
GATE, TESTER = "bare SQL, gate", "bare SQL, isolation tester"

Told = Callable[[str], object]
"""Is told what is done next."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Some schedules, run one after the other.

    Attributes:
        name: the scenario, or what else was run.
        schedules: how many.
        waits: how many of their steps had to wait for a lock; 0 where that was not counted.
        seconds: how long they took.
        asking: how long of that went into asking the database who waits.
    """

    name: str
    schedules: int
    seconds: float
    waits: int = 0
    asking: float = 0.0

    @property
    def per_second(self) -> float:
        """Schedules a second."""
        return self.schedules / self.seconds

    @property
    def asking_share(self) -> float:
        """The part of the time that went into asking, 0 to 1."""
        return self.asking / self.seconds


class SpeedError(RuntimeError):
    """What was run is not what was to be timed; the message says how it differs."""


def medians(paces: Sequence[Pace]) -> dict[str, tuple[float, float]]:
    """For each name the median of schedules a second, and of the share of asking."""
    by_name: dict[str, list[Pace]] = {}
    for pace in paces:
        by_name.setdefault(pace.name, []).append(pace)
    return {
        name: (
            statistics.median(pace.per_second for pace in found),
            statistics.median(pace.asking_share for pace in found),
        )
        for name, found in by_name.items()
    }


def ratios(paces: Sequence[Pace]) -> list[float]:
    """How many times as fast as the isolation tester the gate was, in each round in which both ran."""
    gate = [pace for pace in paces if pace.name == GATE]
    tester = [pace for pace in paces if pace.name == TESTER]
    return [ours.per_second / theirs.per_second for ours, theirs in zip(gate, tester, strict=False)]


async def paces(dsn: str, tester: Path | None, rounds: int, *, four: bool, tell: Told) -> list[Pace]:
    """Time everything, ``rounds`` times in turn, after one round that is not counted.

    Args:
        dsn: a database that is explored.
        tester: the isolation tester, if there is one.
        rounds: how many.
        four: whether four clients are explored as well, once.
        tell: is told what is done next.

    Raises:
        SpeedError: an exploration was not complete, or the two runners of bare SQL did different things.
        IsolationTesterError: the isolation tester failed.
    """
    found: list[Pace] = []
    async with (
        gated_side_by_side(dsn) as both,
        raw_sessions(database_of(both), dsn) as raw,
        AsyncExitStack() as stack,
    ):
        service = replace(both, beside=())
        executor = stack.enter_context(local_processes(WORKERS))
        workers = Workers(executor, MakeProgram, in_flight=2 * WORKERS)
        prepare_workers(executor, MakeProgram(TWO_CLIENTS[0]), WORKERS)
        for number in range(rounds + 1):
            tell(f"speed, round {number} of {rounds}")
            with _on_one_core(service):
                timed = [await _scenario(name, service, Naive) for name in TWO_CLIENTS]
                ours, orders = await run_bare(raw, database_of(service).monitor)
            timed += [ours] if tester is None else [ours, await run_tester(tester, dsn, ours, orders)]
            timed += [await _scenario(name, both, Naive) for name in TWO_CLIENTS]
            timed += [await _scenario(name, service, Naive, workers) for name in TWO_CLIENTS]
            # In the first round every statement is analysed, and caches are filled.
            found += timed if number else []
        if four:
            tell(f"speed, {FOUR_CLIENTS}")
            with _on_one_core(service):
                found.append(await _scenario(FOUR_CLIENTS, service, SourceDPOR))
            found.append(await _scenario(FOUR_CLIENTS, both, SourceDPOR))
            found.append(await _scenario(FOUR_CLIENTS, service, SourceDPOR, workers))
    return found


def _on_one_core(service: ServiceUnderTest) -> AbstractContextManager[int | None]:
    """Schedules are run in this process, as `gated` runs them; those of workers are on cores of their own."""
    database = database_of(service)
    sessions = [session.pid for session in database.gate.sessions]
    return on_one_core([database.monitor.pid, *sessions])


def database_of(service: ServiceUnderTest) -> GatedDatabase:
    assert service.database is not None, "a service over PostgreSQL has one"
    return service.database


async def _scenario(
    name: str, service: ServiceUnderTest, make: Callable[[], Strategy], workers: Workers | None = None
) -> Pace:
    monitor = database_of(service).monitor
    before = monitor.seconds
    with tempfile.TemporaryDirectory() as folder:
        explored = await explore_scenario(
            SCENARIOS[name], service, make, Path(folder), workers=workers, effort=Effort(rerun_every=0)
        )
    if explored.verdict != "holds":
        raise SpeedError(f"{name}: {explored.verdict}: {explored.problem}")
    report = explored.report
    return Pace(
        name=name + (f", {WORKERS} workers" if workers else ", side by side" if service.beside else ""),
        schedules=report.schedules + report.abandoned,
        seconds=explored.seconds,
        asking=monitor.seconds - before,
    )


async def run_bare(raw: RawSessions, monitor: Monitor) -> tuple[Pace, Sequence[Sequence[int]]]:
    """Bare SQL through the gate, and the orders in which it was run."""
    executions: list[Execution] = []

    def take(execution: Execution, _plan: SchedulePlan) -> None:
        executions.append(execution)

    before, started = monitor.seconds, time.perf_counter()
    report = await explore(raw, Naive(), on_execution=take)
    seconds = time.perf_counter() - started
    if not (report.exhaustive and report.trustworthy):
        raise SpeedError(f"the exploration of bare SQL is incomplete: {report.divergences}")
    pace = Pace(
        name=GATE,
        schedules=report.schedules,
        seconds=seconds,
        waits=sum(step.blocked for execution in executions for step in execution.steps),
        asking=monitor.seconds - before,
    )
    return pace, [execution.schedule for execution in executions]


async def run_tester(tester: Path, dsn: str, ours: Pace, orders: Sequence[Sequence[int]]) -> Pace:
    """The same statements in the same orders, by the isolation tester."""
    sessions = [session(number) for number in range(1, SESSIONS + 1)]
    specification = isolation_tester.spec(SETUP, sessions, STEPS, orders)
    tested = await asyncio.to_thread(isolation_tester.run, tester, dsn, specification)
    if (ours.schedules, ours.waits) != (tested.permutations, tested.waits):
        raise SpeedError(
            f"the gate ran {ours.schedules} schedules with {ours.waits} waits, and the isolation tester "
            f"{tested.permutations} with {tested.waits}: they did not do the same"
        )
    return Pace(name=TESTER, schedules=tested.permutations, seconds=tested.seconds, waits=tested.waits)
