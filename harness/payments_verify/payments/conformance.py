"""Conformance: how much of what is right a service does, in levels, each a superset of those before it.

1. sequential: one command after the other, each with a key of its own, is answered as the model answers.
2. idempotent: a key that is used again gets the stored answer, or is refused for another request.
3. concurrent: what clients see who race for real is linearizable.
4. every interleaving: so it is in every order of the SQL statements of the scenarios' requests.
5. faults: so it is when something goes wrong at any statement, and clients ask again.

The first level that does not hold ends the run, with its counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from payments_verify.called import command_line
from payments_verify.payments.checks import machine_check, windows_check
from payments_verify.payments.faults_check import FaultPlan, faults_check
from payments_verify.payments.interleavings_check import drawn_interleavings_check
from payments_verify.payments.scenarios import Scenario
from payments_verify.payments.service_under_test import OpenService
from payments_verify.payments.stress_check import stress_check
from payments_verify.payments.window_check import check_windows_at_once
from payments_verify.result import CheckResult, Progress, ViolationFound, no_progress
from pgweave.verdict import EXIT_CODES, Verdict, worst

LEVELS = {
    1: "sequential",
    2: "idempotent",
    3: "concurrent",
    4: "every interleaving",
    5: "faults",
}
"""The levels and their names."""

LevelVerdict: TypeAlias = Verdict | Literal["not run"]
"""A level that was not run has no verdict, and says why."""


@dataclass(frozen=True)
class Subject:
    """The service that is examined.

    Attributes:
        name: what it is, for people.
        system: opens it, to be spoken to.
        gated: opens it behind a gate; ``None`` where its statements cannot be followed, as `unchecked` says.
        scenarios: what is raced behind the gate.
        fault_scenarios: in which of them something goes wrong, and what.
        unchecked: what is not checked, and why.
        replay: the command line that runs a schedule's file again, but for the file.
        moves_clock: whether the harness moves the service's clock; if not, windows are waited for.
    """

    name: str
    system: OpenService
    gated: OpenService | None
    scenarios: Sequence[Scenario]
    fault_scenarios: Sequence[FaultPlan]
    unchecked: Sequence[str]
    replay: str = field(default_factory=partial(command_line, "replay"))
    moves_clock: bool = True


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


@dataclass(frozen=True)
class LevelResult:
    """What became of a level.

    Attributes:
        level: its number.
        verdict: what became of it.
        checks: what was run for it.
        reason: why it was not run.
    """

    level: int
    verdict: LevelVerdict
    checks: tuple[CheckResult, ...] = ()
    reason: str | None = None

    @property
    def cases(self) -> int:
        """How many cases the verdict rests on."""
        return sum(check.cases for check in self.checks)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(check.seconds for check in self.checks)

    @property
    def left_out(self) -> str | None:
        """Why it was not run, or what its checks did not come to; ``None`` if they came to everything."""
        return (
            self.reason or "; ".join(filter(None, (str(check.reach or "") for check in self.checks))) or None
        )

    @property
    def counterexample(self) -> str | None:
        """What is wrong, or why there is no verdict."""
        return next((check.counterexample for check in self.checks if check.counterexample), None)

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "level": self.level,
            "name": LEVELS[self.level],
            "verdict": self.verdict,
            "reason": self.reason,
            "cases": self.cases,
            "seconds": round(self.seconds, 3),
            "counterexample": self.counterexample,
            "checks": [check.as_json() for check in self.checks],
        }


@dataclass(frozen=True)
class Conformance:
    """The verdict on a service.

    Attributes:
        subject: the service.
        asked: the levels that were asked for.
        levels: every level, those that were not run included.
        unchecked: what was not checked, and why.
    """

    subject: str
    asked: range
    levels: tuple[LevelResult, ...]
    unchecked: tuple[str, ...] = field(default=())

    @property
    def reached(self) -> int | None:
        """The highest level that holds with all that were asked for below it.

        0 for none, and ``None`` for none where the levels below the first that was asked for may hold.
        """
        held: int | None = 0 if self.asked.start == 1 else None
        for result in self.levels[self.asked.start - 1 :]:
            if result.verdict != "holds":
                break
            held = result.level
        return held

    @property
    def summary(self) -> str:
        """What was reached, in words."""
        first = self.asked.start
        if first == 1:
            return f"level {self.reached}"
        below = "1" if first == 2 else f"1 to {first - 1}"
        if self.reached is None:
            return f"level {first} was asked for first, and does not hold or has no verdict; {below} left out"
        held = f"level {first} holds" if self.reached == first else f"levels {first} to {self.reached} hold"
        return f"{held}; {below} left out"

    @property
    def verdict(self) -> Verdict:
        """The verdict on the levels that were asked for, together."""
        return worst(result.verdict for result in self.levels if result.level in self.asked)

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {
            "format": "payments-verify-conformance",
            "version": 1,
            "service": self.subject,
            "level": self.reached,
            "asked": list(self.asked),
            "verdict": self.verdict,
            "exit_code": EXIT_CODES[self.verdict],
            "levels": [result.as_json() for result in self.levels],
            "unchecked": list(self.unchecked),
        }


def examine(
    subject: Subject,
    trials: Trials,
    *,
    folder: Path,
    seed: int,
    level: int,
    first: int = 1,
    on_level: Callable[[int], Progress] = lambda _level: no_progress,
    results: list[LevelResult] | None = None,
) -> Conformance:
    """Examine a service level by level, up to the first that does not hold.

    Args:
        subject: the service.
        trials: how much to try.
        folder: for histories, schedules and pictures.
        seed: draws what is drawn.
        level: the highest level to try.
        first: the lowest; those below it are not run, and nothing is said of them.
        on_level: is told of each level as it begins, and gives what its progress is told to.
        results: where each level's result is added, so that it is there whatever ends the next.

    Raises:
        ViolationFound: a level was ended early, after it was found to be violated, which is added.
    """
    results = [] if results is None else results
    asked = range(first, level + 1)
    for number in asked:
        try:
            result = examine_level(
                subject, trials, number, folder=folder, seed=seed, progress=on_level(number)
            )
        except ViolationFound as found:
            results.append(LevelResult(number, "violated", (found.result,)))
            raise
        results.append(result)
        if result.verdict != "holds":
            break
    return whole(subject.name, asked, results, subject.unchecked)


def whole(
    service: str,
    asked: range,
    found: Sequence[LevelResult],
    unchecked: Sequence[str] = (),
    ended_by: str | None = None,
) -> Conformance:
    """The verdict on a service, every level included.

    Args:
        service: what it is, for people.
        asked: the levels that were asked for.
        found: the results on those that came to a result.
        unchecked: what was not checked, and why.
        ended_by: what ended the examination early; ``None`` if nothing did.
    """
    results = {result.level: result for result in found}
    last = found[-1] if found else None
    next_ = last.level + 1 if last is not None else asked.start
    if ended_by is not None and next_ in asked and (last is None or last.verdict == "holds"):
        results[next_] = LevelResult(next_, "no verdict", reason=ended_by)
    stopped = next((each.level for each in results.values() if each.verdict != "holds"), None)

    def left(number: int) -> LevelResult:
        if number < asked.start:
            reason = "it was left out"
        elif number not in asked or stopped is None:
            reason = "it was not asked for"
        else:
            reason = f"level {stopped} does not hold, or has no verdict"
        return LevelResult(number, "not run", reason=reason)

    levels = tuple(results.get(number) or left(number) for number in LEVELS)
    return Conformance(service, asked, levels, tuple(unchecked))


def examine_level(
    subject: Subject,
    trials: Trials,
    level: int,
    *,
    folder: Path,
    seed: int,
    progress: Progress = no_progress,
) -> LevelResult:
    """Examine a service at one level alone.

    Args:
        subject: the service.
        trials: how much to try.
        level: the level.
        folder: for histories, schedules and pictures.
        seed: draws what is drawn.
        progress: is told how far it has come.
    """
    if level > 3 and subject.gated is None:
        return LevelResult(level, "not run", reason="its statements cannot be followed, see: not checked")
    checks: list[CheckResult] = []
    for run in _checks(subject, trials, level, folder, seed, progress):
        checks.append(run())
        if checks[-1].verdict != "holds":
            return LevelResult(level, checks[-1].verdict, tuple(checks))
    return LevelResult(level, "holds", tuple(checks))


def _checks(
    subject: Subject, trials: Trials, level: int, folder: Path, seed: int, progress: Progress
) -> Iterator[Callable[[], CheckResult]]:
    match level:
        case 1 | 2:
            yield lambda: machine_check(
                "keys used once" if level == 1 else "keys used again",
                subject.system,
                examples=trials.programs,
                steps=trials.steps,
                seed=seed,
                progress=progress,
                reuses_keys=level == 2,
            )
            if level == 1:
                yield lambda: windows_check(subject.name, subject.system)
        case 3:
            histories = folder / "histories"
            yield lambda: stress_check(
                subject.name, subject.system, histories, rounds=trials.rounds, seed=seed, progress=progress
            )
            if not subject.moves_clock:
                waited = partial(check_windows_at_once, seed=seed)
                yield lambda: windows_check(f"{subject.name}, by waiting", subject.system, waited)
        case 4:
            assert subject.gated is not None
            opened = subject.gated
            yield lambda: drawn_interleavings_check(
                subject.name,
                opened,
                subject.scenarios,
                folder / "schedules",
                replay=subject.replay,
                progress=progress,
            )
        case 5:
            assert subject.gated is not None
            opened = subject.gated
            yield lambda: faults_check(
                subject.name,
                opened,
                subject.fault_scenarios,
                folder / "schedules",
                replay=subject.replay,
                progress=progress,
            )
