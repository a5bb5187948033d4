"""The exploration of a program that is there several times, in one process.

While PostgreSQL works for a run of one, the process is at work for a run of another. The programs do not see
each other: each has a gate and a database of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from pgweave.interleavings.execution import Program
from pgweave.interleavings.ledger import Job, Ledger, OnExecution, Options, RunEnd, attempt
from pgweave.interleavings.report import Report
from pgweave.interleavings.strategy import Strategy

_PLANS_FOR_EACH = 2

_Ends: TypeAlias = tuple[RunEnd, RunEnd | None]


async def explore_side_by_side(
    programs: Sequence[Program],
    strategy: Strategy,
    *,
    on_execution: OnExecution | None = None,
    options: Options | None = None,
) -> Report:
    """Run the schedules that a strategy calls for, as many at a time as there are programs.

    Runs are taken in in the order of their plans, so that what is run, and found, does not depend on time.

    Args:
        programs: the same program several times, so that no run of one affects a run of another.
        strategy: which schedules; a new one for each exploration.
        on_execution: what takes in the complete executions, in the order of their plans.
        options: limits and checks.
    """
    ledger = Ledger(strategy, on_execution, options or Options())
    free: asyncio.Queue[Program] = asyncio.Queue()
    for program in programs:
        free.put_nowait(program)
    flight: deque[tuple[Job, asyncio.Task[_Ends]]] = deque()
    try:
        while True:
            while len(flight) < _PLANS_FOR_EACH * len(programs) and (job := ledger.next()) is not None:
                flight.append((job, asyncio.create_task(_run(job, free))))
            if not flight or ledger.stopped:
                return ledger.report()
            job, running = flight[0]
            while not ledger.take(job, *await running):
                running = asyncio.create_task(_run(job, free))
                flight[0] = job, running
            flight.popleft()
    finally:
        for _, running in flight:
            running.cancel()
        await asyncio.gather(*(running for _, running in flight), return_exceptions=True)


async def _run(job: Job, free: asyncio.Queue[Program]) -> _Ends:
    program = await free.get()
    try:
        outcome = await attempt(program, job.plan)
        return outcome, None if job.again is None else await attempt(program, job.again)
    finally:
        free.put_nowait(program)
