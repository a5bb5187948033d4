"""The exploration of a scenario: what the engine found, as a report with a file for `replay`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from payments_verify.payments.exploration.domain import ScenarioDomain, scenario_race
from payments_verify.payments.exploration.interchangeable import interchangeable
from payments_verify.payments.observed.http_steps import HttpRun
from payments_verify.payments.races.http import race_http
from payments_verify.payments.races.judge import Judge, Violation
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.state_edges import Edge
from pgweave.drive.exploration import Effort, Explored, Workers, explore_race
from pgweave.interleavings.minimize import switches
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from pgweave.verdict import Verdict

MakeStrategy = Callable[[], Strategy]
DEFAULT_EFFORT = Effort()


@dataclass(frozen=True, kw_only=True)
class ExploredScenario(Explored[Violation]):
    """What the exploration of a scenario found.

    Attributes:
        scenario: the scenario.
        schedule: the file of the wrong run's schedule.
        http: the wrong run as HTTP.
        seconds: how long it took, minimization included.
    """

    scenario: Scenario
    schedule: Path | None = None
    http: HttpRun = field(default_factory=HttpRun)
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """``holds`` only if everything that the strategy calls for was run, and could be."""
        if self.violation is not None:
            return "violated"
        return "holds" if self.holds else "no verdict"

    @property
    def problem(self) -> str | None:
        """What is wrong, or why there is no verdict; ``None`` if it holds."""
        if self.violation is not None:
            return self.violation.explanation
        return "\n".join(self.unclear) or None

    @property
    def exercised(self) -> Mapping[Edge, int]:
        """The model's transitions in the histories that were explained."""
        return self.judge.exercised if isinstance(self.judge, Judge) else {}

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
    effort: Effort = DEFAULT_EFFORT,
    workers: Workers | None = None,
    on_run: Callable[[int], object] = lambda _runs: None,
) -> ExploredScenario:
    """Explore a scenario, and stop at the first run that the model does not explain.

    Args:
        scenario: what is raced.
        service: the service behind its gate; schedules are run on those beside it, too.
        make_strategy: makes the strategy: which schedules are run. By default source-DPOR up to symmetry.
        folder: where the schedule of a violation is written.
        effort: how much is done.
        workers: run schedules there; one after the other here if not given.
        on_run: is told how many schedules have been run.
    """
    started = time.perf_counter()
    race = scenario_race(scenario, service)
    explored = await explore_race(
        race,
        make_strategy or SourceDPOR,
        symmetry=interchangeable(scenario) if make_strategy is None else None,
        effort=effort,
        workers=workers,
        beside=[race.beside(ScenarioDomain(scenario, each)) for each in service.beside],
        on_run=on_run,
    )
    found: dict[str, Any] = {each.name: getattr(explored, each.name) for each in fields(explored)}
    told = ExploredScenario(scenario=scenario, **found)
    if explored.violation is not None:
        told = replace(told, violation=explored.violation.with_output(service.printed()))
        if told.violation is not None and told.execution is not None:
            names = [actor.name for actor in scenario.actors]
            told = replace(told, http=race_http(told.execution.result, names, told.violation, service))
        told = _with_file(told, service.name, folder / f"{scenario.name}.schedule.json")
    return replace(told, seconds=time.perf_counter() - started)


def rounded(seconds: float | None) -> float | None:
    """Seconds as reports show them."""
    return None if seconds is None else round(seconds, 3)


def _with_file(explored: ExploredScenario, service: str, path: Path) -> ExploredScenario:
    """Write the wrong run's schedule; where that cannot be done, say so with what is wrong."""
    assert explored.violation is not None
    if explored.execution is None:
        return explored
    explanation = explored.violation.explanation
    schedule = schedule_file.saved(explored.scenario, service, explored.execution, explanation)
    try:
        schedule_file.write(path, schedule)
    except OSError as error:
        unwritten = f"{explanation}\nits schedule cannot be written: {error}"
        return replace(explored, violation=replace(explored.violation, explanation=unwritten))
    return replace(explored, schedule=path)
