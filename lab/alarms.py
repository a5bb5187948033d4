"""Everything that has chance in it, again and again on services that are right: a violation is a false alarm.

A run of the service as it is are the checks of the main job that are no proofs, and the service as somebody
else's: started by a command, and examined by its binding up to level 3. A run of a peer is its examination up
to the highest level that it reaches, with few of the scenarios, drawn by the seed. What became of a run is a
line of a file; runs of other sources do not count.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import psycopg

from lab.peers import Peer
from payments_verify.binding import Sweep, default_binding
from payments_verify.payments.conformance.examination import QUICK as TRIALS
from payments_verify.payments.conformance.examination import Examination, Trials, examine, examine_level
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.result import CheckResult, Progress, ViolationFound, no_progress, unfinished
from payments_verify.suite import Effort, Planned, suite
from payments_verify.systems import EXPLORING, examination_of, prepared_database
from pgweave import outermost
from pgweave.verdict import Verdict, worst

_BLACK_BOX = (1, 2, 3)
_PEER_TRIALS = Trials(programs=8, rounds=8, steps=12)
_PEER_SCENARIOS = 2
SERVICE = "this service"
"""The subject of a run that is of no peer."""


class FailedCheck(msgspec.Struct, frozen=True):
    """A check of a run that does not hold."""

    check: str
    verdict: Verdict
    counterexample: str


class AlarmRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run.

    Attributes:
        sources: a hash of the code that ran.
        subject: what was examined.
        postgres: the server's version.
        seed: draws what is drawn.
        finished_at: when it ended, UTC.
        seconds: how long it took.
        parts: how long each of its checks took, by its name; the rest is what they needed to start.
        cases: how many cases each check rests on, by its name.
        problems: the checks that do not hold.
    """

    sources: str
    subject: str = SERVICE
    postgres: str
    seed: int
    finished_at: str
    seconds: float
    parts: dict[str, float] = {}
    cases: dict[str, int]
    problems: list[FailedCheck]

    @property
    def verdict(self) -> Verdict:
        """``violated`` is an alarm."""
        return worst(["holds", *(problem.verdict for problem in self.problems)])


def server_version(bin_dir: Path | None) -> str:
    """The version of the PostgreSQL in a folder; of the one that is run where none is named.

    Raises:
        EmbeddedPostgresError: if it cannot be started; the message says why and what to do.
    """
    with prepared_database(bin_dir) as dsn, psycopg.connect(dsn) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0]).split(" ", maxsplit=1)[0]


def read_runs(file: Path, sources: str) -> list[AlarmRun]:
    """The runs of these sources that a file has.

    Raises:
        ValueError: a line is no run.
    """
    lines = file.read_bytes().splitlines() if file.exists() else []
    try:
        runs = [msgspec.json.decode(line, type=AlarmRun) for line in lines]
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file} has a line that is no run ({error}): remove it, or the file") from None
    return [run for run in runs if run.sources == sources]


def run_once(
    *,
    sources: str,
    postgres: str,
    bin_dir: Path | None,
    seed: int,
    effort: Effort,
    folder: Path,
    on_check: Callable[[str], Progress] = lambda _title: no_progress,
) -> AlarmRun:
    """Run everything once. What keeps a check from a verdict is a problem of the run.

    Args:
        sources: a hash of the code, to be kept with the run.
        postgres: the server's version, to be kept with the run.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        seed: draws what is drawn.
        effort: how much to try.
        folder: for histories and schedules.
        on_check: is told of each check as it begins, and gives what its progress is told to.
    """
    started = time.monotonic()
    results: list[CheckResult] = []
    with _kept(results):
        with prepared_database(bin_dir, EXPLORING) as dsn:
            for planned in _with_chance(dsn, effort, seed, folder, bin_dir):
                _attempt(planned.title, partial(planned.run, progress=on_check(planned.title)), results)
        _as_somebody_elses(bin_dir, seed, folder, on_check, results)
    return AlarmRun(
        sources=sources,
        postgres=postgres,
        seed=seed,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
        parts={result.name: round(result.seconds, 1) for result in results},
        cases={result.name: result.cases for result in results},
        problems=_problems(results),
    )


def run_peer(
    peer: Peer,
    *,
    sources: str,
    postgres: str,
    bin_dir: Path | None,
    seed: int,
    folder: Path,
    on_check: Callable[[str], Progress] = lambda _title: no_progress,
) -> AlarmRun:
    """Examine a peer once; the arguments are those of `run_once`.

    Whatever keeps it from a verdict is a problem of the run.
    """
    started = time.monotonic()
    levels: list[LevelResult] = []
    problems: list[FailedCheck] = []
    try:
        with examination_of(
            peer.command, peer.binding, bin_dir, quick=True, highest=peer.level
        ) as examination:
            examine(
                _few(peer.explored(examination), random.Random(f"{peer.name}/{seed}")),
                _PEER_TRIALS,
                folder=folder / peer.name.replace("/", "-"),
                seed=seed,
                levels=range(1, peer.level + 1),
                on_level=lambda level: on_check(f"{peer.name}, level {level}"),
                results=levels,
            )
    except ViolationFound:
        pass  # it is among the levels
    except Exception as error:  # noqa: BLE001 - whatever keeps it from a verdict counts
        problems = [FailedCheck(f"level {len(levels) + 1}", "no verdict", _named(error))]
    problems = [_problem_of(each) for each in levels if each.verdict != "holds"] + problems
    return AlarmRun(
        sources=sources,
        subject=peer.name,
        postgres=postgres,
        seed=seed,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
        parts={f"level {each.level}": round(each.seconds, 1) for each in levels},
        cases={f"level {each.level}": each.cases for each in levels},
        problems=problems,
    )


@contextmanager
def _kept(results: list[CheckResult]) -> Iterator[None]:
    """Let an error, or an interrupt after an alarm, end the run with what was found."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever keeps it from a verdict counts
        results.append(unfinished("the rest", _named(error)))
    except BaseException as error:
        if isinstance(error, ViolationFound):
            results.append(error.result)
        if all(each.verdict != "violated" for each in results):
            raise
        outermost.tell("interrupted; this is what the run had found")


def _attempt(title: str, run: Callable[[], CheckResult], results: list[CheckResult]) -> None:
    try:
        results.append(run())
    except Exception as error:  # noqa: BLE001 - the other checks have verdicts of their own
        results.append(unfinished(title, _named(error)))


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _problem_of(level: LevelResult) -> FailedCheck:
    verdict: Verdict = "violated" if level.verdict == "violated" else "no verdict"
    return FailedCheck(f"level {level.level}", verdict, level.counterexample or level.reason or "")


def _few(examination: Examination, rng: random.Random) -> Examination:
    """An examination with few of its scenarios and faults: other runs draw others."""
    scenarios = rng.sample(list(examination.scenarios), min(_PEER_SCENARIOS, len(examination.scenarios)))
    plans = [replace(each, faults=(rng.choice(each.faults),)) for each in examination.fault_plans[:1]]
    return replace(examination, scenarios=scenarios, fault_plans=plans)


def _with_chance(
    dsn: str, effort: Effort, seed: int, folder: Path, bin_dir: Path | None
) -> Iterator[Planned]:
    histories, schedules = folder / "histories", folder / "schedules"
    for planned in suite(dsn, effort, seed, histories, schedules, bin_dir):
        if not planned.is_proof:
            yield planned


def _as_somebody_elses(
    bin_dir: Path | None,
    seed: int,
    folder: Path,
    on_check: Callable[[str], Progress],
    results: list[CheckResult],
) -> None:
    """The service, started by a command and examined by its binding."""
    cli = f"{sys.executable} -m payments_core"
    binding = msgspec.structs.replace(default_binding(), sweep=Sweep(command=f"{cli} sweep"))
    command = f"{cli} migrate >/dev/null && exec {cli} serve --port $PORT"
    with examination_of(command, binding, bin_dir, quick=True, highest=max(_BLACK_BOX)) as examination:
        for level in _BLACK_BOX:
            results += _examined(examination, level, seed, folder, on_check(f"conformance, level {level}"))


def _examined(
    examination: Examination, level: int, seed: int, folder: Path, progress: Progress
) -> Sequence[CheckResult]:
    apart = folder / "conformance"  # the main job's rounds of the same seed have the same names
    found = examine_level(examination, TRIALS, level, folder=apart, seed=seed, progress=progress)
    return [
        replace(result, name=f"conformance, level {level}: {result.name.partition(':')[0]}")
        for result in found.checks
    ]


def _problems(results: Sequence[CheckResult]) -> list[FailedCheck]:
    return [
        FailedCheck(result.name, result.verdict, result.counterexample)
        for result in results
        if result.counterexample is not None
    ]
