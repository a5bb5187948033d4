"""What an exploration has run: one account for the sequential and the parallel one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pgweave.interleavings.execution import (
    DivergenceError,
    Execution,
    OutdatedError,
    Program,
    SchedulingError,
)
from pgweave.interleavings.report import NaiveCount, Report
from pgweave.interleavings.strategy import Coverage, PlanRun, SchedulePlan, Strategy, perform
from pgweave.interleavings.symmetry import Renaming, Symmetry
from pgweave.visible import counted

ATTEMPTS = 4
"""How often a plan is tried before it is given up: once, and three times again."""

OnExecution: TypeAlias = Callable[[Execution, SchedulePlan], object]
"""Takes in a complete execution; the exploration ends when it answers ``True``."""

RunEnd: TypeAlias = PlanRun | DivergenceError | SchedulingError


@dataclass(frozen=True, slots=True)
class Options:
    """How to explore.

    Attributes:
        runs: end after so many runs, abandoned ones included, whatever is left; ``None`` for no limit.
        seconds: end when so much time has passed; what is being run then is finished. ``None`` for no limit.
        rerun_every: every how many plans one is run twice, to see that it does the same; 0 for none.
        result_key: what of a run's result must be the same then.
        symmetry: run every plan once more, with interchangeable processes in each other's place, to see that
            they are; instead of ``rerun_every``.
    """

    runs: int | None = None
    seconds: float | None = None
    rerun_every: int = 0
    result_key: Callable[[Any], Any] = lambda result: result
    symmetry: Symmetry | None = None


@dataclass(slots=True)
class Job:
    """A plan that is being run.

    Attributes:
        plan: the plan.
        again: what to run as well, and compare; nothing if not given.
        renaming: which processes are in each other's place in that.
        errors: why it could not be run, so far.
    """

    plan: SchedulePlan
    again: SchedulePlan | None = None
    renaming: Renaming | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def plans(self) -> tuple[SchedulePlan, ...]:
        """All that is to be run."""
        return (self.plan,) if self.again is None else (self.plan, self.again)


class Ledger:
    """Hands out the plans of a strategy as jobs, and takes in what they led to."""

    def __init__(self, strategy: Strategy, on_execution: OnExecution | None, options: Options) -> None:
        self._strategy = strategy
        self._on_execution = on_execution
        self._options = options
        self._started = time.perf_counter()
        self._issued = self._schedules = self._abandoned = self._deepest = 0
        self._ended_early = self._stopped = self._outdated = False
        self._asymmetry = ""
        self._chance = random.Random(0)  # noqa: S311 - for a sample, not for secrets
        self._divergences: list[str] = []
        self._nondeterminism: list[str] = []

    def next(self) -> Job | None:
        """Return the next job; ``None`` if there is none until one is taken in, or at the end."""
        if self._ended_early:
            return None
        plan = self._strategy.next()
        if plan is None:
            return None
        options = self._options
        if self._issued == options.runs or self._is_late():
            self._ended_early = True
            return None
        self._issued += 1
        if options.symmetry is not None:
            renaming = options.symmetry.draw(self._chance)
            return Job(plan, renaming.plan(plan), renaming)
        every = options.rerun_every
        return Job(plan, plan if every and self._issued % every == 0 else None)

    @property
    def stopped(self) -> bool:
        """Whether `OnExecution` asked for the end."""
        return self._stopped

    def take(self, job: Job, outcome: RunEnd, again: RunEnd | None = None) -> bool:
        """Take in what a job led to.

        Returns:
            Whether it is settled; if not, it must be run again.
        """
        try:
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(again, Exception) and job.renaming and len(job.errors) < ATTEMPTS - 1:
                raise again
            self._strategy.learn(job.plan, outcome)
        except OutdatedError as error:
            self._ended_early = self._stopped = self._outdated = True
            self._divergences.append(str(error))
            return True
        except (DivergenceError, SchedulingError) as error:
            return self._failed(job, str(error))
        execution = outcome.execution
        self._deepest = max(self._deepest, len(execution.steps))
        if execution.complete:
            self._schedules += 1
            self._judge(execution, job.plan)
        else:
            self._abandoned += 1
        if again is not None:
            self._compare(job, execution, again)
        return True

    def _judge(self, execution: Execution, plan: SchedulePlan) -> None:
        if self._on_execution is not None and self._on_execution(execution, plan) is True:
            self._ended_early = self._stopped = True

    def _compare(self, job: Job, execution: Execution, again: RunEnd) -> None:
        """Compare two runs; if they differ because processes are not interchangeable, judge the other too."""
        symmetry, schedule = self._options.symmetry, list(execution.schedule)
        other = again.execution if isinstance(again, PlanRun) else again
        if symmetry is None or job.renaming is None:
            if found := difference(execution, other, self._options.result_key):
                self._nondeterminism.append(f"schedule {schedule}: {found}")
            return
        as_before = symmetry.image(other, job.renaming.inverse) if isinstance(other, Execution) else other
        found = difference(symmetry.image(execution, Renaming({})), as_before)
        if found and not self._stopped:
            who = ", ".join(f"{one} as {other}" for one, other in sorted(job.renaming.processes.items()))
            self._asymmetry = f"schedule {schedule}, and again with {who}: {found}"
            if isinstance(other, Execution) and other.complete:
                self._judge(other, job.plans[-1])
            self._outdated = not self._stopped
            self._ended_early = self._stopped = True

    def report(self) -> Report:
        """Return what was done so far."""
        complete = not self._ended_early and not self._divergences
        counted = complete and not self._abandoned and self._strategy.coverage is Coverage.SCHEDULES
        return Report(
            strategy=self._strategy.name,
            coverage=self._strategy.coverage,
            complete=complete,
            schedules=self._schedules,
            abandoned=self._abandoned,
            deepest=self._deepest,
            seconds=self._seconds(),
            divergences=tuple(self._divergences),
            nondeterminism=tuple(self._nondeterminism),
            outdated=self._outdated,
            interchangeable=()
            if self._options.symmetry is None
            else tuple(map(tuple, self._options.symmetry.groups)),
            asymmetry=self._asymmetry,
            naive=NaiveCount(self._schedules, "counted") if counted else None,
        )

    def _failed(self, job: Job, error: str) -> bool:
        job.errors.append(error)
        if len(job.errors) < ATTEMPTS:
            return False
        self._strategy.forget(job.plan)
        self._divergences.append(f"after {list(job.plan.prefix)}, tried {ATTEMPTS} times: {error}")
        return True

    def _is_late(self) -> bool:
        return self._options.seconds is not None and self._seconds() > self._options.seconds

    def _seconds(self) -> float:
        return time.perf_counter() - self._started


async def attempt(program: Program, plan: SchedulePlan) -> RunEnd:
    """Run a plan; return the error if it could not be run."""
    try:
        return await perform(program, plan)
    except (DivergenceError, SchedulingError) as error:
        return error


def difference(
    mine: Execution,
    theirs: Execution | Exception,
    result_key: Callable[[Any], Any] = lambda result: result,
) -> str:
    """Say what is not the same in two runs of one plan; nothing if they are the same."""
    if isinstance(theirs, Exception):
        return f"the second run ended with: {theirs}"
    for index, (first, second) in enumerate(zip(mine.steps, theirs.steps, strict=False)):
        for what in ("process", "label", "blocked", "woke", "footprint"):
            if what == "label" and first.shape and first.shape == second.shape:
                continue
            if getattr(first, what) != getattr(second, what):
                return f"step {index}: {what} was {getattr(first, what)!r} and then {getattr(second, what)!r}"
    if len(mine.steps) != len(theirs.steps):
        return f"it took {counted(len(mine.steps), 'step')} and then {len(theirs.steps)}"
    if mine.complete and theirs.complete and result_key(mine.result) != result_key(theirs.result):
        return f"the result was {mine.result!r} and then {theirs.result!r}"
    return ""
