"""A window of a soak: one history, in one file.

Clients work; something goes wrong, and is put right; everybody gets an answer; and then it is seen what the
service has left behind, whether what is due expires, and what the database holds.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psycopg

from payments_verify.binding import Http
from payments_verify.nemesis.deployment import Deployment
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.liveness import stands_still
from payments_verify.nemesis.load import Habits, Load, Tally
from payments_verify.nemesis.rows import look
from payments_verify.nemesis.settle import SERVE_LIMIT_S, left_behind, serve_again
from payments_verify.payments.specification.spec import Payments
from payments_verify.systems import EmbeddedPostgresError, ServerError
from pgweave.history.recorder import Recorder

_TROUBLES = (
    psycopg.Error,
    httpx.HTTPError,
    OSError,
    EmbeddedPostgresError,
    ServerError,
    subprocess.SubprocessError,
)
"""What a fault itself may meet; it then could not be injected as it should."""


class Incident(msgspec.Struct, kw_only=True):
    """One fault that happened. Times are in seconds, since the first fault of the window.

    Attributes:
        fault: its name.
        began: when it was injected.
        ended: when its repair began; where there is nothing to repair, when it was over.
        effects: how often it struck.
        served_again: how long after ``ended`` every process of the service made a payment again; ``None``
            where another fault may have been the reason.
        problem: why it could not be done as it should; ``None`` if it could.
    """

    fault: str
    began: float = 0.0
    ended: float = 0.0
    effects: int = 0
    served_again: float | None = None
    problem: str | None = None


class WindowReport(msgspec.Struct, kw_only=True):
    """What happened in a window. What it means is the judge's to say.

    Attributes:
        number: which window it was.
        incidents: the faults.
        seconds: how long it took.
        operations: requests that were sent.
        unknown: those without a definite answer.
        acknowledged: payments of which a client was told that they are captured.
        outcomes: how often each command had each outcome.
        findings: what may not happen, whatever goes wrong.
        is_complete: whether it came to its end.
    """

    number: int
    incidents: list[Incident] = []
    seconds: float = 0.0
    operations: int = 0
    unknown: int = 0
    acknowledged: int = 0
    outcomes: dict[str, int] = {}
    findings: list[str] = []
    is_complete: bool = False


@dataclass(frozen=True)
class Pace:
    """How long the parts of a window take, in seconds.

    Attributes:
        lead: before the first fault.
        apart: between the beginnings of two faults, at most.
        tail: after the last was repaired.
    """

    lead: float = 1.0
    apart: float = 0.8
    tail: float = 2.0


def history_file(folder: Path, number: int) -> Path:
    """Where a window's history is."""
    return folder / f"window-{number:05}.jsonl"


def report_file(folder: Path, number: int) -> Path:
    """Where a window's report is."""
    return folder / f"window-{number:05}.json"


async def play(
    deployment: Deployment,
    number: int,
    plan: Sequence[type[Fault]],
    folder: Path,
    rng: random.Random,
    pace: Pace,
) -> tuple[WindowReport, set[str]]:
    """Play one window, and save its history and its report.

    Returns:
        The report, and the payments of which a client was told that they are captured.

    Raises:
        psycopg.OperationalError, httpx.TransportError: if the system cannot be reached in the end.
    """
    report = WindowReport(number=number)
    tally = Tally()
    began = time.monotonic()
    try:
        with Recorder(history_file(folder, number), spec=Payments.name) as recorder:
            async with (
                deployment.pools() as pools,
                _working(deployment, pools, recorder, rng, tally) as load,
            ):
                await asyncio.sleep(pace.lead)
                await _strike(deployment, plan, pools, report, rng, pace)
                await asyncio.sleep(pace.tail)
                load.expect_answers()
                await load.finish()
                tally.findings += await left_behind(deployment, pools)
                tally.findings += await stands_still(deployment, pools)
                await look(deployment.cluster, load)
        report.is_complete = True
    finally:
        report.seconds = round(time.monotonic() - began, 3)
        report.operations, report.unknown = tally.operations, tally.unknown
        report.acknowledged = len(tally.acknowledged)
        report.outcomes = dict(sorted(tally.outcomes.items()))
        report.findings += tally.findings
        report_file(folder, number).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return report, tally.acknowledged


@asynccontextmanager
async def _working(
    deployment: Deployment,
    pools: Sequence[Http],
    recorder: Recorder,
    rng: random.Random,
    tally: Tally,
) -> AsyncIterator[Load]:
    deployment.habits = Habits()
    load = Load(pools, recorder, deployment.habits, rng, tally)
    deployment.load = load
    load.start()
    try:
        yield load
    finally:
        await load.abandon()
        deployment.load = None


async def _strike(
    deployment: Deployment,
    plan: Sequence[type[Fault]],
    pools: Sequence[Http],
    report: WindowReport,
    rng: random.Random,
    pace: Pace,
) -> None:
    """Let the faults of the plan happen, each a little after the one before, and see the service recover."""
    began = asyncio.get_running_loop().time()
    faults = [kind(deployment, rng) for kind in plan]
    incidents = [Incident(fault=fault.name) for fault in faults]
    report.incidents += incidents
    try:
        async with asyncio.TaskGroup() as group:
            for place, (fault, incident) in enumerate(zip(faults, incidents, strict=True)):
                delay = place * rng.uniform(0, pace.apart)
                group.create_task(_happen(fault, incident, delay, rng.uniform(*fault.hold_s), began))
        await _recover(pools, report, incidents, began)
    finally:
        cleared = [await _clear(fault, incident) for fault, incident in zip(faults, incidents, strict=True)]
        report.findings += [each for fault in faults for each in fault.findings]
    if any(cleared) and await serve_again(pools) is None:
        report.findings.append(f"I9: it did not serve again within {SERVE_LIMIT_S:g} s")


async def _happen(fault: Fault, incident: Incident, delay: float, seconds: float, began: float) -> None:
    """Inject, hold and heal one fault. What hinders that is noted; healing is tried in any case."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(delay)
    incident.began = round(loop.time() - began, 3)
    try:
        await fault.inject()
        await fault.hold(seconds)
    except _TROUBLES as error:
        incident.problem = f"{type(error).__name__}: {error}"
    finally:
        incident.ended = round(loop.time() - began, 3)
        try:
            await asyncio.shield(fault.heal())
        except _TROUBLES as error:
            incident.problem = incident.problem or f"not healed: {type(error).__name__}: {error}"
        incident.effects = fault.effects


async def _recover(
    pools: Sequence[Http], report: WindowReport, incidents: Sequence[Incident], began: float
) -> None:
    """Wait until it serves again. The time is that of a fault that was alone."""
    if await serve_again(pools) is None:
        report.findings.append(f"I9: it did not serve again within {SERVE_LIMIT_S:g} s after the repair")
    elif len(incidents) == 1:
        (alone,) = incidents
        alone.served_again = round(asyncio.get_running_loop().time() - began - alone.ended, 3)


async def _clear(fault: Fault, incident: Incident) -> bool:
    """Put away what the fault needed; whether there was something to put away."""
    try:
        return await asyncio.shield(fault.clear())
    except _TROUBLES as error:
        incident.problem = incident.problem or f"not put away: {type(error).__name__}: {error}"
        return True
