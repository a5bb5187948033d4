"""The exploration of a race: every schedule that a strategy calls for, up to the first that is wrong.

    found = await explore_race(Race(domain))

This is the only place that decides when an exploration begins again, when it has no verdict, and how a wrong
run is made small.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic

from pgweave.drive.domain import BrokenServiceError, Judge, Violation
from pgweave.drive.judged_runs import JudgedRuns
from pgweave.drive.minimization import minimize_race
from pgweave.drive.race import Race
from pgweave.event_loop import collecting_garbage_seldom
from pgweave.interleavings.estimate import estimate_naive
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.parallel import Factory, explore_in_parallel
from pgweave.interleavings.report import NaiveCount, Report
from pgweave.interleavings.side_by_side import explore_side_by_side
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from pgweave.interleavings.symmetry import Symmetry

_BEGINNINGS = 8


@dataclass(frozen=True)
class Workers:
    """Where schedules are run side by side.

    Attributes:
        executor: this machine's processes, or a cluster's.
        program: names what makes a worker's race of a name; it can be pickled.
        in_flight: how many schedules may be with the workers.
    """

    executor: Executor
    program: Callable[[str], Factory]
    in_flight: int


@dataclass(frozen=True)
class Effort:
    """How much is done.

    Attributes:
        rerun_every: every how many schedules one is run twice, to see that it does the same; 0 for none.
        limit_s: begin no schedule after so many seconds; ``None`` for no limit.
        probes: random schedules from which the number of all is estimated; 0 for no estimate.
        minimizing_runs: runs in which a wrong schedule is brought to few switches; 0 to leave it as it is.
        minimizing_limit_s: seconds for that.
        dry_run: whether a dry run comes first; none is needed where earlier races have warmed as many
            connections.
    """

    rerun_every: int = 20
    limit_s: float | None = None
    probes: int = 0
    minimizing_runs: int = 300
    minimizing_limit_s: float = 60.0
    dry_run: bool = True


@dataclass(frozen=True, kw_only=True)
class Explored(Generic[Violation]):
    """What an exploration has found.

    Attributes:
        report: what was run.
        judge: who judged it.
        outcomes: how often each combination of answers was seen.
        strays: connections on which statements came while no actor ran: these were not scheduled.
        impatient: actors that asked the same again and again, and went on although nobody had done anything:
            that they do so while others are at work was not scheduled.
        violation: what is wrong with the first wrong run; ``None`` if nothing is with any.
        execution: that run, or a wrong one with fewer switches; ``None`` if it could not be run.
        schedules_to_violation: how many schedules had been run when it was found.
        seconds_to_violation: how long that took.
    """

    report: Report
    judge: Judge[Violation]
    outcomes: Mapping[Hashable, int] = field(default_factory=dict)
    strays: tuple[str, ...] = ()
    impatient: tuple[str, ...] = ()
    violation: Violation | None = None
    execution: Execution | None = None
    schedules_to_violation: int | None = None
    seconds_to_violation: float | None = None

    @property
    def unclear(self) -> tuple[str, ...]:
        """Why nothing can be said of what was not found wrong; empty if everything was run."""
        reasons = [*self.report.divergences, *self.report.nondeterminism]
        if self.strays:
            reasons.append(
                f"statements were sent while no client ran, and not scheduled: {sorted(set(self.strays))}"
            )
        if self.impatient:
            reasons.append(
                f"{', '.join(sorted(self.impatient))} asked the same again and again, and went on although"
                " nobody had done anything: orders in which others are at work then were not run"
            )
        if not reasons and not (self.report.complete and self.report.schedules):
            reasons.append("not everything was run")
        return tuple(reasons)

    @property
    def holds(self) -> bool:
        """Whether everything that the strategy calls for was run, and could be, and nothing was wrong."""
        return self.violation is None and not self.unclear


async def explore_race(
    race: Race[Violation],
    make_strategy: Callable[[], Strategy] = SourceDPOR,
    *,
    symmetry: Symmetry | None = None,
    effort: Effort | None = None,
    workers: Workers | None = None,
    beside: Sequence[Race[Violation]] = (),
    make_judge: Callable[[], Judge[Violation]] | None = None,
    on_run: Callable[[int], object] = lambda _runs: None,
) -> Explored[Violation]:
    """Explore a race, and stop at the first run that is wrong.

    A dry run comes first. The exploration begins again if a schedule shows a fact that no run before it has
    shown, or that actors are not interchangeable.

    An interrupt that comes while a wrong run is made small is held back, so that the run can be told: whoever
    has told it calls `end_if_interrupted`.

    Args:
        race: the race.
        make_strategy: makes the strategy, which says what schedules are run.
        symmetry: which actors are interchangeable. Then the strategy is source-DPOR up to symmetry: of
            classes in which they change places it runs one, and each schedule once more with them in each
            other's place.
        effort: how much is done.
        workers: run schedules there; one after the other here if not given.
        beside: the same race over other databases: schedules are run on all of them at once, in this process.
        make_judge: makes the judge; the domain's if not given.
        on_run: is told how many schedules have been run.
    """
    exploration = _Exploration(
        race,
        make_strategy,
        effort or Effort(),
        workers,
        beside,
        make_judge or (lambda: race.domain.judge(hurt=race.is_hurt)),
        on_run,
    )
    return await exploration.run(symmetry)


def end_if_interrupted() -> None:
    """Go on with an interrupt that was held back for what was found.

    Raises:
        CancelledError: there was one.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@dataclass
class _Exploration(Generic[Violation]):
    race: Race[Violation]
    make_strategy: Callable[[], Strategy]
    effort: Effort
    workers: Workers | None
    beside: Sequence[Race[Violation]]
    make_judge: Callable[[], Judge[Violation]]
    on_run: Callable[[int], object]

    async def run(self, symmetry: Symmetry | None) -> Explored[Violation]:
        started = time.perf_counter()
        for race in (self.race, *self.beside):
            await race.prepare(dry_run=self.effort.dry_run)
        asymmetry = ""
        for _ in range(_BEGINNINGS):
            judged = JudgedRuns(self.race, self.make_judge(), self.on_run)
            self.race.injected = self.race.passed_over = 0
            strategy = self.make_strategy() if symmetry is None else SourceDPOR(groups=symmetry.groups)
            try:
                report = await self._explore(strategy, symmetry, judged)
            except BrokenServiceError as error:
                judged.found, judged.violation = time.perf_counter(), error.violation
                report = Report(strategy.name, strategy.coverage, False, judged.runs, 0, 0, 0.0)
            if report.asymmetry:
                symmetry, asymmetry = None, report.asymmetry
            if not report.outdated:
                break
        naive = report.naive or await self._estimate()
        await self._minimize(judged, started)
        return Explored(
            report=replace(report, naive=naive, asymmetry=asymmetry),
            judge=judged.judge,
            outcomes=judged.outcomes,
            strays=tuple(judged.strays),
            impatient=tuple(judged.impatient),
            violation=judged.violation,
            execution=judged.execution,
            schedules_to_violation=None if judged.violation is None else judged.runs,
            seconds_to_violation=None if judged.found is None else judged.found - started,
        )

    async def _explore(
        self, strategy: Strategy, symmetry: Symmetry | None, judged: JudgedRuns[Violation]
    ) -> Report:
        effort = self.effort
        options = Options(
            seconds=effort.limit_s,
            rerun_every=effort.rerun_every,
            result_key=self.race.domain.outcomes,
            symmetry=symmetry,
        )
        races = [self.race, *self.beside]
        with collecting_garbage_seldom():
            if self.workers is not None:
                return await asyncio.to_thread(
                    explore_in_parallel,
                    self.workers.executor,
                    self.workers.program(self.race.domain.name),
                    strategy,
                    in_flight=self.workers.in_flight,
                    on_execution=judged.take,
                    options=options,
                )
            if self.beside:
                return await explore_side_by_side(races, strategy, on_execution=judged.take, options=options)
            return await explore(self.race, strategy, on_execution=judged.take, options=options)

    async def _estimate(self) -> NaiveCount | None:
        with suppress(DivergenceError, SchedulingError):
            if self.effort.probes:
                return await estimate_naive(self.race, probes=self.effort.probes, seed=0)
        return None

    async def _minimize(self, judged: JudgedRuns[Violation], started: float) -> None:
        """Replace a wrong run by a wrong one with fewer switches, as far as there is time."""
        if judged.execution is None or not self.effort.minimizing_runs:
            return
        # An interrupt, too, ends the minimization alone: see `end_if_interrupted`.
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(self._minimizing_limit_s(time.perf_counter() - started)):
                await minimize_race(
                    self.race,
                    judged.judge,
                    judged.execution,
                    max_runs=self.effort.minimizing_runs,
                    on_better=judged.keep,
                )

    def _minimizing_limit_s(self, taken_s: float) -> float:
        """What remains of the time for schedules, of which it runs some."""
        effort = self.effort
        if effort.limit_s is None:
            return effort.minimizing_limit_s
        return min(effort.minimizing_limit_s, max(0.0, effort.limit_s - taken_s))
