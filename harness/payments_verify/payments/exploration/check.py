"""The exploration of many scenarios as one check of the main job."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from payments_verify.called import command_line
from payments_verify.payments.exploration.pictures import draw
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.races.timeline import timeline_of
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.told.drawings import Drawing, schedule
from payments_verify.payments.told.http import http_details, http_drawings, with_http
from payments_verify.result import CheckResult, Progress, no_progress, violation_kept
from payments_verify.state_edges import Edge, edge_counts
from pgweave.drive.exploration import Effort, end_if_interrupted
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.verdict import Verdict, worst
from pgweave.visible import counted


def interleavings_check(
    name: str,
    open_service: OpenService,
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    probes: int = 0,
    progress: Progress = no_progress,
) -> CheckResult:
    """Explore scenarios by source-DPOR, each to completion.

    Args:
        name: the service's name in the result.
        open_service: makes the service and its gate ready, and ends them.
        scenarios: what is raced.
        folder: where schedules of violations are written.
        probes: random schedules from which the number of all is estimated, for each; 0 for no estimate.
        progress: is told of each schedule.

    Returns:
        ``holds`` only if every scenario was explored to its end and every run explained by the model. The
        cases are the schedules that were run.
    """
    found: list[ExploredScenario] = []

    def told() -> str:
        problems = [f"{each.scenario.name}: {each.problem}" for each in found if each.problem is not None]
        problems += [
            f"run it again: {command_line('replay', each.schedule)}" for each in found if each.schedule
        ]
        return "\n".join(problems) or "no scenario was explored"

    explore = partial(explore_scenario, make_strategy=SourceDPOR, folder=folder, effort=Effort(probes=probes))
    exploring = partial(explore_scenarios, open_service, scenarios, explore, found, progress)
    return _checked(name, len(scenarios), found, told, exploring)


def drawn_interleavings_check(
    name: str,
    open_service: OpenService,
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    replay: str,
    progress: Progress = no_progress,
) -> CheckResult:
    """Explore scenarios by source-DPOR up to the first that is violated, and draw that.

    Args:
        name: the service's name in the result.
        open_service: makes the service and its gate ready, and ends them.
        scenarios: what is raced.
        folder: where the schedule of a violation and its pictures are written.
        replay: the command line that runs a schedule's file again, but for the file.
        progress: is told of each schedule.

    Returns:
        ``holds`` only if every scenario was explored to its end and every run explained by the model.
    """
    found: list[ExploredScenario] = []
    explore = partial(explore_scenario, make_strategy=SourceDPOR, folder=folder, effort=Effort())
    exploring = partial(
        explore_scenarios,
        open_service,
        scenarios,
        explore,
        found,
        progress,
        is_the_last=lambda verdict: verdict != "holds",
    )
    return _checked(name, len(scenarios), found, lambda: _drawn(found, name, replay), exploring)


def _checked(
    name: str,
    scenarios: int,
    found: Sequence[ExploredScenario],
    told: Callable[[], str],
    exploring: Callable[[], Coroutine[Any, Any, None]],
) -> CheckResult:
    """What an exploration found, also where it was ended early."""
    started = time.monotonic()

    def result() -> CheckResult:
        verdict = worst(each.verdict for each in found)
        return CheckResult(
            name=f"every interleaving, {counted(scenarios, 'scenario')}: {name}",
            kind="interleavings",
            cases=sum(each.report.schedules for each in found),
            verdict=verdict,
            seconds=time.monotonic() - started,
            details=_details(found),
            counterexample=told() if verdict != "holds" else None,
            timelines=[drawing for each in found for drawing in _drawings(each, name)],
        )

    with violation_kept(result), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(exploring())
        return result()


def _details(found: Sequence[ExploredScenario]) -> dict[str, object]:
    exercised: Counter[Edge] = Counter()
    for each in found:
        exercised.update(each.exercised)
    return {
        "complete": all(each.report.complete for each in found),
        "scenarios": [each.as_json() for each in found],
        "exercised": edge_counts(exercised),
        **next((http_details(each.http) for each in found if each.http), {}),
    }


def _drawings(explored: ExploredScenario, service: str) -> Iterator[Drawing]:
    """The wrong run, statement by statement, and the attempt to linearize it."""
    if explored.violation is not None and explored.execution is not None:
        yield schedule(timeline_of(explored.scenario, service, explored.execution, explored.violation))
        yield from http_drawings(explored.http, f"{explored.scenario.name}, as its clients saw it")
        if explored.violation.drawing is not None:
            yield explored.violation.drawing


def _drawn(found: Sequence[ExploredScenario], name: str, replay: str) -> str:
    last = next((each for each in found if each.problem is not None), None)
    if last is None:
        return "no scenario can be run"
    lines = [f"{last.scenario.name}: {last.problem}"]
    if last.violation is not None and last.execution is not None and last.schedule is not None:
        picture = draw(last.scenario, name, last.execution, last.violation, last.schedule)
        lines += ["", picture, "", f"run it again: {replay} {last.schedule}"]
    return with_http("\n".join(lines), last.http)


async def explore_scenarios(
    open_service: OpenService,
    scenarios: Sequence[Scenario],
    explore_one: Callable[..., Awaitable[ExploredScenario]],
    found: list[ExploredScenario],
    progress: Progress,
    is_the_last: Callable[[Verdict], bool] = lambda _verdict: False,
) -> None:
    """Explore one scenario after the other.

    Args:
        open_service: makes the service and its gate ready, and ends them.
        scenarios: what is raced.
        explore_one: explores one of them, as `explore_scenario` does.
        found: what became of each is added to it.
        progress: is told of each schedule.
        is_the_last: whether a verdict lets the scenarios after it be left out.
    """
    async with open_service() as service:
        for number, scenario in enumerate(scenarios):

            def on_run(count: int, number: int = number, name: str = scenario.name) -> None:
                progress(number, len(scenarios), f"scenarios; {name}: {counted(count, 'schedule')}")

            found.append(await explore_one(scenario, service, on_run=on_run))
            end_if_interrupted()
            if is_the_last(found[-1].verdict):
                return
