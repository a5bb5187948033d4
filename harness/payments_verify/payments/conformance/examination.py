"""Conformance: how much of what is right a service does, in levels, each a superset of those before it.

1. sequential: one command after the other, each with a key of its own, is answered as the model answers.
2. idempotent: a key that is used again gets the stored answer, or is refused for another request.
3. concurrent: what clients see who race for real is linearizable.
4. every interleaving: so it is in every order of the SQL statements of the scenarios' requests.
5. faults: so it is when something goes wrong at any statement, and clients ask again.

The first level that does not hold ends the run, with its counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from payments_verify.called import command_line
from payments_verify.payments.conformance.level_checks import LevelChecks
from payments_verify.payments.conformance.levels import NOT_FOLLOWED, Conformance, LevelResult, conclude
from payments_verify.payments.exploration.pictures import with_pictures
from payments_verify.payments.faults.plans import FaultPlan
from payments_verify.payments.programs.program_file import with_file
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.service.under_test import OpenService
from payments_verify.result import CheckEnded, CheckResult, Progress, no_progress

_BLACK_BOX = 3
CHECKS: Mapping[str, Sequence[int]] = {
    "programs": (1, 2),
    "windows": (1, 3),
    "stress": (3,),
    "crowd": (3,),
}
"""The checks of the first three levels by name, and the levels that each is part of."""


@dataclass(frozen=True)
class OnTwo:
    """A service as two processes over one database.

    Attributes:
        open_service: opens it so.
        open_behind_gate: opens it so behind a gate; ``None`` where its statements cannot be followed.
        scenarios: what is raced there, each client at a process of its own.
    """

    open_service: OpenService
    open_behind_gate: OpenService | None = None
    scenarios: Sequence[Scenario] = ()


@dataclass(frozen=True)
class Examination:
    """What is to be run on a service, and what cannot be.

    Attributes:
        name: what the service is, for people.
        open_service: opens it, to be spoken to.
        open_behind_gate: opens it behind a gate; ``None`` where its statements cannot be followed:
            `unchecked` says why.
        on_two: the service as two processes; ``None`` where it is one: `unchecked` says why.
        scenarios: what is raced behind the gate.
        fault_plans: in which of them something goes wrong, and what.
        kills: whether its process is killed, too, and started again, where that can be done.
        hangs_up: whether clients hang up, too, once nothing of that was wrong.
        unchecked: what is not checked, and why.
        replay: the command line that runs a schedule's file again, but for the file.
        moves_clock: whether the harness moves the service's clock; if not, windows are waited for.
        secrets: values in its requests that are not shown, and the environment's variable that has each.
        postgres: the version of its PostgreSQL, where that was asked for.
        parts: what was chosen of a level, where that is not all of it.
        checks: which checks of a level, likewise.
        lacks: what it lacks for a scenario; ``None`` if nothing.
    """

    name: str
    open_service: OpenService
    open_behind_gate: OpenService | None = None
    on_two: OnTwo | None = None
    scenarios: Sequence[Scenario] = ()
    fault_plans: Sequence[FaultPlan] = ()
    kills: bool = False
    hangs_up: bool = True
    unchecked: Sequence[str] = ()
    replay: str = field(default_factory=partial(command_line, "replay"))
    moves_clock: bool = True
    secrets: Mapping[str, str] = field(default_factory=dict)
    postgres: str = ""
    parts: Mapping[int, str] = field(default_factory=dict)
    checks: Mapping[int, Collection[str]] = field(default_factory=dict)
    lacks: Callable[[Scenario], str | None] = lambda _scenario: None

    def has(self, check: str, level: int) -> bool:
        """Whether a check of `CHECKS` is to be run at a level."""
        return level not in self.checks or check in self.checks[level]


@dataclass(frozen=True)
class Trials:
    """How much of what cannot be exhausted is tried.

    Attributes:
        programs: programs of the stateful machine, at each of the first two levels.
        steps: commands in a program, at most.
        rounds: rounds of stress.
    """

    programs: int
    rounds: int
    steps: int = 15


FULL = Trials(programs=150, rounds=150)
QUICK = Trials(programs=30, rounds=30)


def examine(
    examination: Examination,
    trials: Trials,
    *,
    folder: Path,
    seed: int,
    levels: Sequence[int],
    on_level: Callable[[int], Progress] = lambda _level: no_progress,
    results: list[LevelResult] | None = None,
) -> Conformance:
    """Examine a service level by level, up to the first that does not hold.

    Args:
        examination: what to run.
        trials: how much to try.
        folder: for histories, schedules and pictures.
        seed: draws what is drawn.
        levels: the levels to try, in their order; nothing is said of others.
        on_level: is told of each level as it begins, and gives what its progress is told to.
        results: where each level's result is added, so that it is there whatever ends the next.

    Raises:
        CheckEnded: a level was ended early; what was found until then is added.
    """
    results = [] if results is None else results
    for number in levels:
        came = _Came(on_level(number))
        try:
            result = examine_level(examination, trials, number, folder=folder, seed=seed, progress=came)
        except CheckEnded as found:
            told = _kept(found.result, examination, number, folder)
            results.append(LevelResult(number, told.verdict, (told,)))
            raise
        except BaseException:
            results.append(LevelResult(number, "no verdict", reason=came.told))
            raise
        results.append(result)
        if result.verdict != "holds":
            break
    return conclude(examination.name, levels, results, examination.unchecked)


def examine_level(
    examination: Examination,
    trials: Trials,
    level: int,
    *,
    folder: Path,
    seed: int,
    progress: Progress = no_progress,
) -> LevelResult:
    """Examine a service at one level alone.

    Args:
        examination: what to run.
        trials: how much to try.
        level: the level.
        folder: for histories, schedules and pictures.
        seed: draws what is drawn.
        progress: is told how far it has come.
    """
    if level > _BLACK_BOX and examination.open_behind_gate is None:
        return LevelResult(level, "not run", reason=NOT_FOLLOWED)
    checks: list[CheckResult] = []
    part = examination.parts.get(level)
    for run in LevelChecks(examination, trials, folder, seed, progress).of(level):
        checks.append(_kept(run(), examination, level, folder))
        if checks[-1].verdict != "holds":
            return LevelResult(level, checks[-1].verdict, tuple(checks), part=part)
    if not checks:
        return LevelResult(level, "not run", reason=f"it has nothing of that: {part}")
    return LevelResult(level, "holds", tuple(checks), part=part)


class _Came:
    """Progress that is handed on, and how far it was."""

    def __init__(self, progress: Progress) -> None:
        self.told = ""
        self._progress = progress

    def __call__(self, done: int, total: int, text: str) -> None:
        self.told = f"it came to {done:,} of {total:,} {text}, and had found no violation"
        self._progress(done, total, text)


def _kept(result: CheckResult, examination: Examination, level: int, folder: Path) -> CheckResult:
    """A check's result; the program that it tells of, and a picture, are written to the folder."""
    file = folder / "programs" / f"level-{level}.program.json"
    result = with_file(result, examination.name, file, reuses_keys=level > 1, replay=examination.replay)
    return with_pictures(result, folder / "pictures", f"level-{level}") if level <= _BLACK_BOX else result
