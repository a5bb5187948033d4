"""Run CrossHair's child processes: a few at a time, each with a time limit, none left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from payments_verify.children import run_child, usable_cores

WORKER = "payments_verify.model_checks.crosshair_worker"
_LAST_LINES = 5
"""How many of the last lines of a failed child's standard error are reported."""


@dataclass(frozen=True)
class Job:
    """One child process.

    Attributes:
        arguments: the worker's arguments.
        limit: wall-clock seconds after which the child is killed.
    """

    arguments: tuple[str, ...]
    limit: float


OnFinding: TypeAlias = Callable[[Job, dict[str, Any]], None]


def run_jobs(jobs: Sequence[Job], on_finding: OnFinding, parallel: int | None = None) -> dict[Job, str]:
    """Run every job to its end, and hand on what the children find as they find it.

    An interrupt or an error of ``on_finding`` kills the children that run.

    Args:
        jobs: what to run.
        on_finding: called with the job and each JSON object that its child writes.
        parallel: how many children run at a time; by default, as many as there are cores for it.

    Returns:
        For each job that did not run to its end: why.
    """
    return asyncio.run(_run_all(jobs, on_finding, parallel or usable_cores()))


async def _run_all(jobs: Sequence[Job], on_finding: OnFinding, parallel: int) -> dict[Job, str]:
    slots = asyncio.Semaphore(parallel)

    async def run_in_slot(job: Job) -> str | None:
        async with slots:
            return await _run(job, on_finding)

    async with asyncio.TaskGroup() as group:
        tasks = [(job, group.create_task(run_in_slot(job))) for job in jobs]
    return {job: problem for job, task in tasks if (problem := task.result()) is not None}


async def _run(job: Job, on_finding: OnFinding) -> str | None:
    def take(line: bytes) -> None:
        on_finding(job, json.loads(line))

    try:
        async with asyncio.timeout(job.limit):
            end = await run_child(["-m", WORKER, *job.arguments], take)
    except TimeoutError:
        return f"stopped after {job.limit:.0f} s"
    if end.code == 0:
        return None
    last = "\n".join(end.complaints.splitlines()[-_LAST_LINES:])
    return f"CrossHair ended with {end.code}: {last}"
