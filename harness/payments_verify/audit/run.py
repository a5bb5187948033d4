"""An audit: one snapshot, some processes that each examine a share of it, one report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import psycopg

from payments_verify.audit.findings import AuditError, AuditReport
from payments_verify.audit.snapshot import Snapshot, address, taken
from payments_verify.audit.worker import Done, Task
from payments_verify.children import run_child
from payments_verify.result import Progress, no_progress
from pgweave.visible import counted

WORKER = "payments_verify.audit.worker"


def audit(
    dsn: str,
    *,
    workers: int = 2,
    limit: int = 20,
    progress: Progress = no_progress,
    on_begin: Callable[[AuditReport], object] = lambda _report: None,
) -> AuditReport:
    """Replay every payment of a database through the model, and compare it with its rows. Writes nothing.

    All sessions see one snapshot, so that a service under load is audited as it was at one instant. While
    it lasts, the database keeps row versions that are newer than the snapshot from being vacuumed.

    Args:
        dsn: the connection string of a role that may read the three tables.
        workers: how many processes examine payments.
        limit: how many findings to tell in full; all are counted.
        progress: is told of each share that is done.
        on_begin: is given the report, which then grows: what ends the audit early leaves what it has found.

    Raises:
        AuditError: if there is no verdict; the message says why.
    """
    began = time.monotonic()
    where = address(dsn)
    try:
        with taken(dsn) as snapshot:
            report = AuditReport(where, snapshot.as_of)
            on_begin(report)
            asyncio.run(_run(dsn, snapshot, report, workers, limit, progress))
    except psycopg.Error as error:
        raise AuditError(f"the database cannot be read: {str(error).strip()}") from error
    report.findings = sorted(report.findings, key=lambda each: each.payment)[:limit]
    report.seconds = time.monotonic() - began
    return report


def complaint(dsn: str) -> str | None:
    """What is wrong with what a database holds, after the invariants that it breaks; ``None`` if nothing is.

    Raises:
        AuditError: if there is no verdict; the message says why.
    """
    report = audit(dsn, workers=1)
    if not report.found:
        return None
    # Whatever differs, the events do not explain the rows (I12).
    rules = ", ".join(sorted({*report.counts.rules, "I12"}, key=lambda rule: int(rule[1:])))
    told = "\n  ".join(map(str, report.findings))
    return f"{rules}: an audit of what is stored found {report.found}:\n  {told}"


async def _run(
    dsn: str, snapshot: Snapshot, report: AuditReport, workers: int, limit: int, progress: Progress
) -> None:
    def on_done(done: Done) -> None:
        report.counts.add(done.counts)
        report.findings += done.findings
        report.peak_mib = max(report.peak_mib, done.peak_mib)
        found = f", {counted(report.found, 'finding')}" if report.found else ""
        audited, total = report.counts.payments, snapshot.payments
        progress(audited, total, f"payments{found}")

    # Each takes every so many-th share, so that payments of one time, and of one size, are spread over all.
    shares = [share for worker in range(workers) if (share := snapshot.parts[worker::workers])]
    try:
        async with asyncio.TaskGroup() as group:
            for share in shares:
                group.create_task(run_worker(Task(dsn, snapshot.name, list(share), limit), on_done))
    except BaseExceptionGroup as errors:
        # Not `except*`: in Python 3.11.2 what is raised in it becomes a group again.
        refusals, others = errors.split(AuditError)
        if refusals is None or others is not None:
            raise
        raise refusals.exceptions[0] from None


async def run_worker(task: Task, on_done: Callable[[Done], None]) -> None:
    """Let a process of its own audit a share, and hand on what it has done."""
    done = 0

    def take(line: bytes) -> None:
        nonlocal done
        on_done(msgspec.json.decode(line, type=Done))
        done += 1

    end = await run_child(["-O", "-m", WORKER], take, msgspec.json.encode(task))
    if end.code != 0 or done != len(task.parts):
        raise AuditError(f"a worker could not go on: {end.complaints or f'it ended with {end.code}'}")
