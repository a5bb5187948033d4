"""Faults in many scenarios as one check, up to the first that the model does not explain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from payments_verify.payments.exploration.pictures import draw, write_hurt
from payments_verify.payments.faults.disconnects import DisconnectReport, explore_disconnects
from payments_verify.payments.faults.exploration import FaultReport, explore_plan
from payments_verify.payments.faults.kills import explore_kills
from payments_verify.payments.faults.plans import FaultPlan, without_repetitions
from payments_verify.payments.faults.pool_probe import PoolProbe
from payments_verify.payments.races.timeline import timeline_of
from payments_verify.payments.scenarios.schedule_file import SavedFault
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.told.drawings import Drawing, schedule
from payments_verify.payments.told.http import http_details, http_drawings, with_http
from payments_verify.result import CheckResult, Progress, Reach, no_progress, violation_kept
from pgweave.verdict import worst

FAULTS = "faults at every statement"
HANG_UPS = "clients that hang up, and whole processes"
_COUNTED = "how many can be used at once, since no request was seen to come to any"
"""What is not known of connections where none is counted."""


def faults_check(
    name: str,
    open_service: OpenService,
    plans: Sequence[FaultPlan],
    folder: Path,
    *,
    replay: str,
    hangs_up: bool = True,
    kills: bool = False,
    progress: Progress = no_progress,
) -> CheckResult:
    """Inject each fault at each statement of each client and sweep, in every interleaving; then hang up.

    Args:
        name: the service's name in the result.
        open_service: makes the service and its gate ready, and ends them.
        plans: what goes wrong where; scenarios that repeat what others show are left out.
        folder: where the schedule of a violation and its pictures are written.
        replay: the command line that runs a schedule's file again, but for the file.
        hangs_up: whether clients hang up in the end, and whole processes are made to go wrong.
        kills: whether its process is killed, and started again, too, where that can be done.
        progress: is told how far it has come.

    Returns:
        ``holds`` only if every place was explored to its end, and every run explained by the model.
    """
    started = time.monotonic()
    found: list[FaultReport | DisconnectReport] = []
    counted: list[str] = []

    def result() -> CheckResult:
        verdict = worst(report.verdict for report in found)
        hurt = [report for report in found if isinstance(report, FaultReport)]
        return CheckResult(
            name=f"{FAULTS if plans else HANG_UPS}: {name}",
            kind="faults",
            cases=sum(report.as_json()["injected"] for report in found),
            verdict=verdict,
            seconds=time.monotonic() - started,
            details={
                "faults": [report.as_json() for report in found],
                **next((http_details(report.http) for report in hurt if report.http), {}),
            },
            counterexample=_told(found, folder, replay) if verdict != "holds" else None,
            timelines=[drawing for report in hurt for drawing in _drawings(report, name)],
            reach=Reach("counts of connections", [_COUNTED], counted),
        )

    with violation_kept(result), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_explore(open_service, plans, found, counted, progress, hangs_up=hangs_up, kills=kills))
        return result()


async def _explore(
    open_service: OpenService,
    plans: Sequence[FaultPlan],
    found: list[FaultReport | DisconnectReport],
    counted: list[str],
    progress: Progress,
    *,
    hangs_up: bool,
    kills: bool,
) -> None:
    async with open_service() as service:
        kept = await without_repetitions(plans, service)
        total = sum(len(plan.faults) for plan in kept)
        pool = PoolProbe(service)

        def on_run(text: str) -> None:
            progress(len(found), total, text)

        for plan in kept:
            async for report in explore_plan(plan, service, on_run=on_run, pool=pool):
                found.append(report)
                if report.verdict != "holds":
                    return

        def on_place(text: str) -> None:
            progress(total, total, text)

        if hangs_up:
            await explore_disconnects(service, found.append, on_place, pool)
        counted[:] = [_COUNTED] if pool.groups or not (kept or hangs_up) else []
        if kills and service.restart is not None and all(each.verdict == "holds" for each in found):
            found.append(await explore_kills(service, on_place))


def _told(found: Sequence[FaultReport | DisconnectReport], folder: Path, replay: str) -> str:
    """The first report that does not hold."""
    if not found:
        return "there is no scenario in which something could go wrong"
    report = next(report for report in found if report.verdict != "holds")
    if isinstance(report, DisconnectReport):
        return str(report.told)
    what = f"{report.scenario.name}, {report.fault.value}"
    if report.violation is None or report.place is None:
        return f"{what}: {report.problem or 'no statement of it was reached'}"
    process, statement = report.place
    where = f"{what} at statement {statement} of client {process}: {report.violation.explanation}"
    if report.execution is None:
        return where
    fault = SavedFault(process, statement, report.fault)
    try:
        file = write_hurt(report.scenario, report.service, report.execution, report.violation, fault, folder)
        picture = draw(report.scenario, report.service, report.execution, report.violation, file)
        seen = ["", picture, "", f"run it again: {replay} {file}"]
    except OSError as error:
        seen = [f"its schedule cannot be written: {error}"]
    return with_http("\n".join([where, *seen]), report.http)


def _drawings(report: FaultReport, service: str) -> Iterator[Drawing]:
    """The wrong run, statement by statement, and as its clients saw it."""
    if report.violation is not None and report.execution is not None:
        yield schedule(timeline_of(report.scenario, service, report.execution, report.violation))
        yield from http_drawings(report.http, f"{report.scenario.name}, as its clients saw it")
