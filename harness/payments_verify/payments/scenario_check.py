"""The exploration of a scenario: every schedule that a strategy calls for, each run judged by the model."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from payments_verify.payments import schedule_file
from payments_verify.payments.interchangeable import interchangeable
from payments_verify.payments.known import until_known
from payments_verify.payments.race_domain import Raced
from payments_verify.payments.race_judge import Judge, Violation
from payments_verify.payments.scenario_domain import ScenarioProgram
from payments_verify.payments.scenarios import Scenario
from payments_verify.payments.service_under_test import ServiceUnderTest, with_output
from payments_verify.state_edges import Edge
from pgweave.interleavings.estimate import estimate_naive
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.minimize import minimize, switches
from pgweave.interleavings.parallel import Factory, explore_in_parallel
from pgweave.interleavings.report import NaiveCount, Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Plan, Strategy
from pgweave.verdict import Verdict

MakeStrategy = Callable[[], Strategy]
OnRun = Callable[[int], object]
"""Is told how many schedules have been run."""

RERUN_EVERY = 20
_MINIMIZING_RUNS = 300
_MINIMIZING_LIMIT_S = 60.0


@dataclass(frozen=True)
class Workers:
    """Where schedules are run side by side.

    Attributes:
        executor: this machine's processes, or a cluster's.
        program: names what makes a worker's program of the scenario of a name; it can be pickled.
        in_flight: how many schedules may be with the workers.
    """

    executor: Executor
    program: Callable[[str], Factory]
    in_flight: int


@dataclass(frozen=True)
class Explored:
    """What the exploration of a scenario found.

    Attributes:
        scenario: the scenario.
        report: what was run.
        outcomes: how often each combination of answers was seen.
        violation: what was wrong with the first wrong run; ``None`` if all were explained.
        schedules_to_violation: how many schedules had been run when it was found.
        seconds_to_violation: how long that took.
        execution: the run with the fewest switches that is wrong.
        schedule: its file.
        strays: statements that were sent while no process ran: they were not scheduled.
        exercised: the model's transitions in the histories that were explained.
        seconds: how long it took, minimization included.
    """

    scenario: Scenario
    report: Report
    outcomes: Mapping[Any, int] = field(default_factory=dict)
    violation: Violation | None = None
    schedules_to_violation: int | None = None
    seconds_to_violation: float | None = None
    execution: Execution | None = None
    schedule: Path | None = None
    strays: int = 0
    exercised: Mapping[Edge, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """``holds`` only if everything that the strategy calls for was run, and could be."""
        if self.violation is not None:
            return "violated"
        whole = self.report.complete and self.report.trustworthy and self.report.schedules > 0
        return "holds" if whole and not self.strays else "no verdict"

    @property
    def problem(self) -> str | None:
        """What is wrong, or why there is no verdict; ``None`` if it holds."""
        if self.violation is not None:
            return self.violation.explanation
        if self.verdict == "holds":
            return None
        reasons = [*self.report.divergences, *self.report.nondeterminism]
        if self.strays:
            reasons.append(f"{self.strays} statements came while no process ran, and were not scheduled")
        return "\n".join(reasons) or "not everything was run"

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "scenario": self.scenario.name,
            "verdict": self.verdict,
            "outcomes": len(self.outcomes),
            "problem": self.problem,
            "schedules_to_violation": self.schedules_to_violation,
            "seconds_to_violation": rounded(self.seconds_to_violation),
            "switches": None if self.execution is None else switches(self.execution.schedule),
            "schedule": None if self.schedule is None else str(self.schedule),
            **self.report.as_json(),
            "seconds": round(self.seconds, 3),
        }


async def explore_scenario(
    scenario: Scenario,
    service: ServiceUnderTest,
    make_strategy: MakeStrategy | None,
    folder: Path,
    *,
    probes: int = 0,
    workers: Workers | None = None,
    rerun_every: int = RERUN_EVERY,
    on_run: OnRun = lambda _runs: None,
) -> Explored:
    """Explore a scenario, and stop at the first run that the model does not explain.

    Args:
        scenario: what is raced.
        service: the service behind its gate.
        make_strategy: makes the strategy: which schedules are run. By default source-DPOR up to symmetry:
            of classes in which interchangeable actors change places it runs one, and each schedule once more
            with them in each other's place. If they turn out not to be interchangeable, it begins again
            without that.
        folder: where the schedule of a violation is written.
        probes: random schedules from which the number of all is estimated; 0 for no estimate.
        workers: run schedules there; one after the other here if not given.
        rerun_every: every how many schedules one is run twice, to see that it does the same; 0 for none.
        on_run: is told of each run.
    """
    started = time.perf_counter()
    program = ScenarioProgram(scenario, service)
    await program.prepare()
    symmetry = interchangeable(scenario) if make_strategy is None else None
    options = Options(rerun_every=rerun_every, result_key=_outcomes, symmetry=symmetry)
    exploration = _Exploration(scenario, on_run)
    asymmetry = ""

    async def explored_once() -> Report:
        nonlocal exploration, options, asymmetry
        exploration = _Exploration(scenario, on_run)
        groups = () if options.symmetry is None else options.symmetry.groups
        strategy = SourceDPOR(groups=groups) if make_strategy is None else make_strategy()
        found = await exploration.run(program, strategy, options, workers)
        if found.asymmetry:
            options, asymmetry = replace(options, symmetry=None), found.asymmetry
        return replace(found, asymmetry=asymmetry)

    report = await until_known(explored_once)
    naive = report.naive or (await _estimated(program, probes) if probes else None)
    path = None
    if exploration.violation is not None and exploration.execution is not None:
        await exploration.minimize(program)
        path = folder / f"{scenario.name}.schedule.json"
        explanation = with_output(exploration.violation.explanation, service.printed())
        exploration.violation = replace(exploration.violation, explanation=explanation)
        schedule = schedule_file.saved(scenario, service.name, exploration.execution, explanation)
        try:
            schedule_file.write(path, schedule)
        except OSError as error:
            path = None
            unwritten = f"{explanation}\nits schedule cannot be written: {error}"
            exploration.violation = replace(exploration.violation, explanation=unwritten)
    return Explored(
        scenario,
        _with_naive(report, naive),
        exploration.outcomes,
        exploration.violation,
        exploration.runs if exploration.violation is not None else None,
        None if exploration.found is None else exploration.found - started,
        exploration.execution,
        path,
        exploration.strays,
        exploration.exercised,
        time.perf_counter() - started,
    )


def end_if_interrupted() -> None:
    """Go on with an interrupt that was held back for what was found.

    Raises:
        CancelledError: there was one.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def rounded(seconds: float | None) -> float | None:
    """Seconds as reports show them."""
    return None if seconds is None else round(seconds, 3)


def _outcomes(raced: Raced) -> Any:  # noqa: ANN401 - whatever can be compared
    return raced.outcomes


class _Exploration:
    """Judges runs as they come."""

    def __init__(self, scenario: Scenario, on_run: OnRun) -> None:
        self.outcomes: Counter[Any] = Counter()
        self.violation: Violation | None = None
        self.execution: Execution | None = None
        self.runs = 0
        self.strays = 0
        self.found: float | None = None
        self._scenario = scenario
        self._on_run = on_run
        self._judge = Judge()

    async def run(
        self, program: ScenarioProgram, strategy: Strategy, options: Options, workers: Workers | None
    ) -> Report:
        """Run every schedule of the strategy, up to the first violation."""
        if workers is not None:
            return await asyncio.to_thread(
                explore_in_parallel,
                workers.executor,
                workers.program(self._scenario.name),
                strategy,
                in_flight=workers.in_flight,
                on_execution=self._take,
                options=options,
            )
        return await explore(program, strategy, on_execution=self._take, options=options)

    async def minimize(self, program: ScenarioProgram) -> None:
        """Replace the wrong run by one with fewer switches that is wrong as well, as far as there is time."""
        assert self.execution is not None
        # An interrupt too ends the minimization alone: what was found is told, and then `end_if_interrupted`.
        with suppress(DivergenceError, SchedulingError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_MINIMIZING_LIMIT_S):
                await minimize(
                    program,
                    self.execution,
                    self._is_wrong,
                    max_runs=_MINIMIZING_RUNS,
                    on_better=self._replace,
                )

    def _replace(self, execution: Execution) -> None:
        self.execution = execution
        self.violation = self._judge.violation(execution)

    @property
    def exercised(self) -> Mapping[Edge, int]:
        """The model's transitions in what was explained."""
        return self._judge.exercised

    def _is_wrong(self, execution: Execution) -> bool:
        return execution.complete and self._judge.violation(execution) is not None

    def _take(self, execution: Execution, _plan: Plan) -> bool:
        self.runs += 1
        self.strays += len(execution.result.strays)
        self.outcomes[execution.result.outcomes] += 1
        self._on_run(self.runs)
        self.violation = self._judge.violation(execution)
        if self.violation is not None:
            self.execution = execution
            self.found = time.perf_counter()
        return self.violation is not None


async def _estimated(program: ScenarioProgram, probes: int) -> NaiveCount | None:
    try:
        return await estimate_naive(program, probes=probes, seed=0)
    except (DivergenceError, SchedulingError):
        return None


def _with_naive(report: Report, naive: NaiveCount | None) -> Report:
    return replace(report, naive=naive)
