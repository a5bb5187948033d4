"""What a soak found, by fault and in all: made from the saved files, so that it can be made again."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from payments_verify.called import command_line
from payments_verify.nemesis.judge import Judgement, judge, judgement_file, kept
from payments_verify.nemesis.soak import RUN_FILE, RunReport, judges
from payments_verify.nemesis.window import WindowReport
from payments_verify.result import Reach
from payments_verify.state_edges import Edge, edges_of
from pgweave.verdict import Verdict, worst
from pgweave.visible import counted

REPORT_FORMAT = "payments-verify-soak"
REPORT_VERSION = 1
_MOST_DRAWN = 5


@dataclass
class FaultTally:
    """One fault, over all windows in which it struck.

    A window with two faults counts for both.

    Attributes:
        name: the fault.
        injected: how often it was injected and struck.
        effects: how often it struck: connections cut, sessions ended, errors raised...
        missed: how often it was injected and struck nothing.
        acknowledged: captures that were acknowledged in its windows.
        unknown: requests without a definite answer in its windows.
        lost: acknowledged captures that the database does not have.
        doubled: payments captured more than once.
        served_again: seconds from the beginning of the repair until every process served again.
    """

    name: str
    injected: int = 0
    effects: int = 0
    missed: int = 0
    acknowledged: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    served_again: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float | None:
        """The median time to serve again, in seconds."""
        return statistics.median(self.served_again) if self.served_again else None

    @property
    def worst_s(self) -> float | None:
        """The longest time to serve again, in seconds."""
        return max(self.served_again, default=None)

    def as_json(self) -> dict[str, Any]:
        """The tally as plain data."""
        return {
            "fault": self.name,
            "injected": self.injected,
            "effects": self.effects,
            "missed": self.missed,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "lost": self.lost,
            "doubled": self.doubled,
            "served_again_median_s": self.median_s,
            "served_again_worst_s": self.worst_s,
        }


@dataclass
class SoakReport:
    """What a soak found.

    Attributes:
        run: what it was told, and how it ended; ``None`` if it was broken off before it could say so.
        faults: by fault.
        windows: windows that were judged.
        operations: operations in their histories, direct looks included.
        acknowledged: captures that were acknowledged.
        unknown: requests without a definite answer.
        lost: acknowledged captures that the database did not have, at the end of their window or of it all.
        doubled: payments captured more than once.
        problems: what is wrong, or has no verdict.
        exercised: the model's transitions in the linearizations of all windows.
        drawings: the attempts to linearize the windows that are not linearizable, for a page.
        verdict: what follows from all of it.
    """

    run: RunReport | None = None
    faults: list[FaultTally] = field(default_factory=list)
    windows: int = 0
    operations: int = 0
    acknowledged: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    exercised: Counter[Edge] = field(default_factory=Counter)
    drawings: list[dict[str, Any]] = field(default_factory=list)
    verdict: Verdict = "no verdict"

    @property
    def reach(self) -> Reach | None:
        """Which faults were to be injected, and which struck."""
        if self.run is None:
            return None
        struck = {each.name for each in self.faults if each.injected}
        return Reach("kinds of fault", [*self.run.faults, *self.run.absent], struck)

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "format": REPORT_FORMAT,
            "version": REPORT_VERSION,
            "verdict": self.verdict,
            "reach": None if self.reach is None else self.reach.as_json(),
            "windows": self.windows,
            "operations": self.operations,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "lost": self.lost,
            "doubled": self.doubled,
            "faults": [each.as_json() for each in self.faults],
            "problems": self.problems,
            "run": None if self.run is None else msgspec.to_builtins(self.run),
        }


def summed_up(folder: Path) -> SoakReport:
    """The report on a folder of which every window is judged; one that is not counts as undecided."""
    report = SoakReport(run=_run_of(folder))
    tallies: dict[str, FaultTally] = {}
    verdicts: set[Verdict] = set()
    for history in histories(folder):
        judgement, window = kept(history), _window_of(history)
        if judgement is None or window is None:
            problem = f"{history}: not judged; `{command_line('soak', '--check', folder)}` judges it"
            judgement = Judgement(verdict="no verdict", problem=problem)
        verdicts.add(judgement.verdict)
        if judgement.problem is not None:
            report.problems.append(judgement.problem)
        if judgement.drawing is not None and len(report.drawings) < _MOST_DRAWN:
            report.drawings.append(judgement.drawing)
        report.exercised.update(edges_of(judgement.exercised))
        if window is not None:
            _add(report, tallies, window, judgement)
    verdicts.add(_last_verdict(report))
    order = [] if report.run is None else report.run.faults
    known = {name: place for place, name in enumerate(order)}
    report.faults = sorted(tallies.values(), key=lambda tally: known.get(tally.name, len(known)))
    report.verdict = worst(verdicts)
    return report


def judge_rest(
    folder: Path,
    on_judged: Callable[[int, int], object] = lambda _done, _total: None,
    *,
    again: bool = False,
) -> None:
    """Judge every window of a folder that has no judgement yet, and keep the judgements beside them.

    If the process that judges is killed, what is left stays without a judgement.

    Args:
        folder: the folder.
        on_judged: is told how many are judged, of how many.
        again: whether judgements of before do not count.
    """
    for history in histories(folder) if again else ():
        judgement_file(history).unlink(missing_ok=True)
    waiting = [history for history in histories(folder) if kept(history) is None]
    with judges() as executor, suppress(BrokenExecutor):
        for done, _ in enumerate(executor.map(judge, waiting), 1):
            on_judged(done, len(waiting))


def histories(folder: Path) -> Sequence[Path]:
    """The histories of a folder, in the order of the windows."""
    return sorted(folder.glob("window-*.jsonl"))


def _add(
    report: SoakReport, tallies: dict[str, FaultTally], window: WindowReport, judgement: Judgement
) -> None:
    report.windows += 1
    report.operations += judgement.operations
    report.acknowledged += judgement.acknowledged
    report.unknown += window.unknown
    report.lost += judgement.lost
    report.doubled += judgement.doubled
    for incident in window.incidents:
        tally = tallies.setdefault(incident.fault, FaultTally(incident.fault))
        if incident.effects == 0:
            tally.missed += 1
            continue
        tally.injected += 1
        tally.effects += incident.effects
        tally.acknowledged += judgement.acknowledged
        tally.unknown += window.unknown
        tally.lost += judgement.lost
        tally.doubled += judgement.doubled
        if incident.served_again is not None:
            tally.served_again.append(incident.served_again)


def _last_verdict(report: SoakReport) -> Verdict:
    """What the last look at the database says, and whether there was one."""
    run = report.run
    if run is None or not run.is_complete:
        because = "" if run is None or run.problem is None else f": {run.problem}"
        report.problems.append(f"the soak did not come to its end{because}")
    if run is None:
        return "no verdict"
    report.lost, report.doubled = max(report.lost, run.lost), max(report.doubled, run.doubled)
    if run.lost or run.doubled:
        broken = ", ".join(name for name, count in (("I1", run.doubled), ("I7", run.lost)) if count)
        report.problems.append(
            f"{broken}: in the end {run.lost} of {run.acknowledged} acknowledged captures are lost, "
            f"{run.doubled} doubled"
        )
    report.problems += [f"the audit found: {each}" for each in run.damaged]
    if run.lost or run.doubled or run.damaged:
        return "violated"
    if report.windows != run.windows:
        report.problems.append(f"{counted(run.windows, 'window')} were begun, and {report.windows} are here")
        return "no verdict"
    return "holds" if report.windows and run.is_complete else "no verdict"


def _run_of(folder: Path) -> RunReport | None:
    try:
        return msgspec.json.decode((folder / RUN_FILE).read_bytes(), type=RunReport)
    except (OSError, msgspec.MsgspecError):
        return None


def _window_of(history: Path) -> WindowReport | None:
    try:
        return msgspec.json.decode(history.with_suffix(".json").read_bytes(), type=WindowReport)
    except (OSError, msgspec.MsgspecError):
        return None
