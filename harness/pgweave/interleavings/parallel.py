"""The exploration of a program by many workers.

    with ProcessPoolExecutor(2) as executor:
        report = explore_in_parallel(executor, make_program, SourceDPOR(), in_flight=4)

Any executor whose workers are processes will do: one of this machine, or one that a cluster's client gives.
The coordinator, here, keeps the strategy, and sends one plan at a time to a worker, which has a program of
its own. Runs are taken in in the order in which their plans were sent, whichever ends first: with the same
number of plans in flight, the strategy is asked and told the same things in the same order, and all counts
are the same.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import pickle
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor, Future
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, TypeVar

from pgweave.event_loop import new_event_loop
from pgweave.interleavings.execution import Program
from pgweave.interleavings.ledger import Job, Ledger, OnExecution, Options, RunEnd, attempt
from pgweave.interleavings.report import Report
from pgweave.interleavings.strategy import SchedulePlan, Strategy

Factory: TypeAlias = Callable[[], Program | Awaitable[Program]]
"""Makes a worker's program, once in each of its threads; it must be possible to pickle it."""

T = TypeVar("T")


def explore_in_parallel(
    executor: Executor,
    factory: Factory,
    strategy: Strategy,
    *,
    in_flight: int,
    on_execution: OnExecution | None = None,
    options: Options | None = None,
) -> Report:
    """Run the schedules that a strategy calls for on the workers of an executor.

    Args:
        executor: where to run them.
        factory: what makes a worker's program.
        strategy: which schedules; a new one for each exploration. It stays here.
        in_flight: how many plans may be with the workers; twice their number keeps them busy.
        on_execution: what takes in the complete executions, here.
        options: limits and checks.

    Raises:
        ValueError: Nothing may be in flight.
    """
    if in_flight < 1:
        raise ValueError(f"at least one plan must be in flight: {in_flight}")
    ledger = Ledger(strategy, on_execution, options or Options())
    send = _Sender(executor, factory)
    flight: deque[tuple[Job, list[Future[RunEnd]]]] = deque()
    try:
        while True:
            while len(flight) < in_flight and (job := ledger.next()) is not None:
                flight.append((job, send(job)))
            if not flight or ledger.stopped:
                return ledger.report()
            job, futures = flight.popleft()
            while not ledger.take(job, *[future.result() for future in futures]):
                futures = send(job)
    finally:
        for _, futures in flight:
            for future in futures:
                future.cancel()


class _Sender:
    """Submits the runs of a job."""

    def __init__(self, executor: Executor, factory: Factory) -> None:
        self._executor = executor
        # The bytes are the same each time, so that a worker knows the program again.
        self._factory = pickle.dumps(factory)

    def __call__(self, job: Job) -> list[Future[RunEnd]]:
        return [self._executor.submit(run_in_worker, self._factory, plan) for plan in job.plans]


class _Worker:
    """What a worker's thread keeps between runs: the loop, and the programs that live in it."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner(loop_factory=new_event_loop)
        self.resources = AsyncExitStack()
        self.programs: dict[bytes, Program] = {}
        self._running = threading.Lock()  # held while the loop runs: what ends it may be another thread

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._running:
            return self.runner.run(coroutine)

    def close(self) -> None:
        with self._running, self.runner as runner:
            runner.run(self.resources.aclose())

    async def program(self, factory: bytes) -> Program:
        program = self.programs.get(factory)
        if program is None:
            made: Any = pickle.loads(factory)()  # noqa: S301 - sent by the coordinator
            program = self.programs[factory] = await made if inspect.isawaitable(made) else made
        return program


_workers: dict[int, _Worker] = {}


def _this_worker() -> _Worker:
    thread = threading.get_ident()
    if thread not in _workers:
        _workers[thread] = _Worker()
        atexit.register(close_workers)
    return _workers[thread]


def close_workers() -> None:
    """Close what the workers of this process have opened, when the schedules that they run have ended.

    It happens of itself when the process ends; one that goes on, a cluster's, has to be asked. What is sent
    to it afterwards makes its program anew.
    """
    while _workers:
        _, worker = _workers.popitem()
        worker.close()


def worker_resources() -> AsyncExitStack:
    """What a program has opened in this worker's thread, and is closed, last first, when its process ends."""
    return _this_worker().resources


def prepare_workers(executor: Executor, factory: Factory, count: int) -> None:
    """Have workers make their programs now, side by side, and not when the first plan reaches them.

    A worker that cannot do it says so when it is given a plan.

    Args:
        executor: the workers.
        factory: what makes a worker's program.
        count: how many of them.
    """
    pickled = pickle.dumps(factory)
    for _ in range(count):
        executor.submit(prepare_worker, pickled)


def prepare_worker(factory: bytes) -> None:
    """Make this thread's program.

    Args:
        factory: the pickled factory.
    """
    worker = _this_worker()
    worker.run(worker.program(factory))


def run_in_worker(factory: bytes, plan: SchedulePlan) -> RunEnd:
    """Run a plan with this thread's program; make that first if need be.

    Args:
        factory: the pickled factory.
        plan: the plan.
    """
    worker = _this_worker()
    return worker.run(_run(worker, factory, plan))


async def _run(worker: _Worker, factory: bytes, plan: SchedulePlan) -> RunEnd:
    return await attempt(await worker.program(factory), plan)
