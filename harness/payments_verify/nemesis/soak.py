"""A soak: windows of load under a nemesis, one after the other, each judged while the next one runs."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import httpx
import msgspec
import psycopg

from payments_verify.audit import AuditError, AuditReport, audit
from payments_verify.nemesis.catalog import FAULTS
from payments_verify.nemesis.deployment import Deployment
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.judge import Judgement, judge
from payments_verify.nemesis.rows import captured
from payments_verify.nemesis.window import Pace, WindowReport, history_file, play

RUN_FILE = "soak.json"

_SECOND_FAULT = 0.3
_NICE = 5
_SETTLED = (psycopg.OperationalError, httpx.TransportError)

OnWindow = Callable[[WindowReport, int], object]
"""Is told of each window, and of the captures that are acknowledged so far."""


class RunReport(msgspec.Struct, kw_only=True):
    """What a soak was told to do and how it ended; the windows have files of their own.

    Attributes:
        seed: draws the faults and the commands; what races is the machine's to say.
        faults: the names of those that were mixed.
        absent: faults that cannot be had on this machine, and why.
        postgres: the version of the database server.
        seconds: how long it took.
        windows: how many windows were begun.
        acknowledged: captures that were acknowledged.
        lost: of these, those that the database did not have in the end, read directly after everything.
        doubled: payments that had more than one successful capture in the end.
        damaged: what the audit of the database found in the end.
        is_complete: whether it came to its end, the last look included.
        problem: why it did not.
    """

    seed: int
    faults: list[str]
    absent: dict[str, str] = {}
    postgres: str = ""
    seconds: float = 0.0
    windows: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: list[str] = []
    is_complete: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class SoakPlan:
    """What a soak is to do.

    Attributes:
        seconds: after how long it begins no new window.
        captures: how many acknowledged captures are enough; ``None`` for as many as the time gives.
        faults: the names of the faults to mix.
        seed: draws them.
        pace: how long the parts of a window take.
        settings: more settings of the database server.
        bin_dir: the PostgreSQL to run.
    """

    seconds: float
    captures: int | None
    faults: Sequence[str]
    seed: int
    pace: Pace = field(default_factory=Pace)
    settings: Mapping[str, str] = field(default_factory=dict)
    bin_dir: Path | None = None


async def soak(
    plan: SoakPlan, folder: Path, on_window: OnWindow = lambda _report, _captures: None
) -> RunReport:
    """Play windows until the time is over, there are enough captures, or something is wrong.

    Args:
        plan: what to do.
        folder: where everything is saved; it exists, and holds no other soak.
        on_window: is told of each window.

    Raises:
        EmbeddedPostgresError: if the database cannot be started.
        ServerError: if the service cannot be started.
    """
    absent = {name: reason for name in plan.faults if (reason := FAULTS[name].missing()) is not None}
    mixed = [name for name in plan.faults if name not in absent]
    run = RunReport(seed=plan.seed, faults=mixed, absent=absent)
    began = time.monotonic()
    try:
        async with Deployment.open(plan.bin_dir, plan.settings) as deployment:
            run.postgres = deployment.cluster.version
            await _play_windows(deployment, plan, folder, run, on_window)
    finally:
        run.seconds = round(time.monotonic() - began, 1)
        (folder / RUN_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    return run


async def _play_windows(
    deployment: Deployment, plan: SoakPlan, folder: Path, run: RunReport, on_window: OnWindow
) -> None:
    rng = random.Random(plan.seed)  # noqa: S311 - draws a workload, keeps no secret
    draws = drawn([FAULTS[name] for name in run.faults], rng)
    deadline = time.monotonic() + plan.seconds
    acknowledged: set[str] = set()
    judging: list[Future[Judgement]] = []
    with judges() as executor:
        while time.monotonic() < deadline and (plan.captures is None or len(acknowledged) < plan.captures):
            run.windows += 1
            try:
                report, told = await play(deployment, run.windows, next(draws), folder, rng, plan.pace)
            except _SETTLED as error:
                run.problem = f"window {run.windows}: the system could not be reached in the end: {error}"
                return
            acknowledged |= told
            run.acknowledged = len(acknowledged)
            on_window(report, len(acknowledged))
            with suppress(BrokenExecutor):  # the judge has died: what it owes is judged at the end
                judging.append(executor.submit(judge, history_file(folder, run.windows)))
            if report.findings or any(find_violated(each) for each in judging if each.done()):
                break
        try:
            await _last_look(deployment, acknowledged, run)
        except (AuditError, *_SETTLED) as error:
            run.problem = f"the last look at the database could not be taken: {error}"
            return
        await asyncio.to_thread(wait, judging)
    run.is_complete = True


def find_violated(judging: Future[Judgement]) -> bool:
    """Whether a window is known to be wrong; nothing is known of it if its judge has died."""
    return judging.exception() is None and judging.result().verdict == "violated"


async def _last_look(deployment: Deployment, acknowledged: set[str], run: RunReport) -> None:
    """See whether everything that was ever acknowledged is there, once; and audit every payment's past."""
    missing = set(acknowledged)
    async for payment, number in captured(deployment.cluster):
        missing.discard(payment)
        run.doubled += number > 1
    run.lost = len(missing)
    audits: list[AuditReport] = []
    try:
        await asyncio.to_thread(audit, deployment.cluster.dsn, on_begin=audits.append)
    finally:
        run.damaged = [
            f"{', '.join(dict.fromkeys([each.rule, 'I12']))}: {each.told}"
            for audited in audits
            for each in audited.findings
        ]


def drawn(kinds: Sequence[type[Fault]], rng: random.Random) -> Iterator[list[type[Fault]]]:
    """For each window its faults: all in turn, in an order that is drawn anew each time; some in pairs.

    Two faults are together only if they strike at different sides.
    """
    while True:
        for kind in rng.sample(kinds, len(kinds)):
            others = [other for other in kinds if other.side != kind.side]
            together = bool(others) and rng.random() < _SECOND_FAULT
            yield [kind, rng.choice(others)] if together else [kind]
        if not kinds:
            yield []


@contextmanager
def judges() -> Iterator[ProcessPoolExecutor]:
    """A process that judges, and lets the load go first."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_step_back) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _step_back() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the one who waits for us
    os.nice(_NICE)
