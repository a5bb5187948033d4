"""A short soak as one check of the main job."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import uvloop

from payments_verify.nemesis.catalog import SLICE
from payments_verify.nemesis.soak import SoakPlan, soak
from payments_verify.nemesis.soak_report import SoakReport, judge_rest, summed_up
from payments_verify.nemesis.window import Pace, WindowReport
from payments_verify.result import CheckResult, Progress, no_progress, violation_kept
from payments_verify.state_edges import edge_counts
from pgweave.visible import counted

_PACE = Pace(lead=0.4, apart=0.5, tail=0.4)


def soak_check(
    folder: Path, *, seconds: float, seed: int, bin_dir: Path | None = None, progress: Progress = no_progress
) -> CheckResult:
    """Load the service under a nemesis for a while, and judge every window.

    Args:
        folder: where the histories are saved; what it holds is replaced.
        seconds: after how long no new window begins.
        seed: draws the faults and the commands.
        bin_dir: the PostgreSQL to run.
        progress: is told of each window.
    """
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = SoakPlan(seconds, None, SLICE, seed, _PACE, bin_dir=bin_dir)

    def on_window(report: WindowReport, acknowledged: int) -> None:
        progress(
            min(int(time.monotonic() - began), int(seconds)),  # the last window ends later
            int(seconds),
            f"s; {counted(report.number, 'window')}, {counted(acknowledged, 'capture')}",
        )

    with violation_kept(lambda: _result(folder, seed, began)):
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(soak(plan, folder, on_window))
        except Exception:
            judge_rest(folder)  # what was played may be wrong, whatever ended the soak
            raise
        judge_rest(folder)
    return _result(folder, seed, began)


def _result(folder: Path, seed: int, began: float) -> CheckResult:
    """What is found by now: the windows that are judged, and the last look if it was taken."""
    report = summed_up(folder)
    return CheckResult(
        name=f"soak: {counted(len(report.faults), 'kind')} of fault, 2 server processes",
        kind="faults",
        cases=report.operations,
        verdict=report.verdict,
        seconds=time.monotonic() - began,
        details=_details(report, seed, folder),
        counterexample=None
        if report.verdict == "holds"
        else "\n".join(report.problems) or "no window was run",
        timelines=report.drawings,
        reach=report.reach,
    )


def _details(report: SoakReport, seed: int, folder: Path) -> dict[str, object]:
    return {
        "windows": report.windows,
        "seed": seed,
        "acknowledged": report.acknowledged,
        "lost": report.lost,
        "doubled": report.doubled,
        "faults": [each.as_json() for each in report.faults],
        "exercised": edge_counts(report.exercised),
        "histories": str(folder),
    }
