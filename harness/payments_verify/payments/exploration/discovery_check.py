"""The exploration of what discovery has found to be worth it, and what is told of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from payments_verify.payments.exploration.discovery import Discovered, Discovery, Lacking, discover
from payments_verify.payments.exploration.scenario import DEFAULT_EFFORT, ExploredScenario
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.result import Progress
from pgweave.drive.exploration import Effort, end_if_interrupted
from pgweave.verdict import EXIT_CODES, Verdict, worst
from pgweave.visible import counted

ExploreOne = Callable[..., Awaitable[ExploredScenario]]
"""Explores one scenario; see `explore_scenario`, with everything given but ``effort`` and ``on_run``."""


@dataclass
class DiscoveryResult:
    """What became of the races that were discovered; filled as they are explored.

    Attributes:
        service: what was examined, for people.
        discovery: what is to be explored.
        explored: what was, in the same order.
        ended_by: what ended it early; ``None`` if nothing did.
    """

    service: str
    discovery: Discovery = field(default_factory=Discovery)
    explored: list[ExploredScenario] = field(default_factory=list)
    ended_by: str | None = None

    @property
    def verdict(self) -> Verdict:
        """``holds`` only if every race was explored to its end, there were some, and nothing was wrong."""
        found = [each.verdict for each in self.explored]
        if len(found) < max(1, len(self.discovery.races)):
            found.append("no verdict")
        return worst(found)

    @property
    def problem(self) -> str | None:
        """Why there is no verdict where no race says it; ``None`` if nothing stands in the way."""
        if self.ended_by is not None:
            return self.ended_by
        if self.discovery.races:
            return None
        return (
            "no two commands share a row: does the service use the database that it is given, and does it"
            " answer?"
        )

    @property
    def violated(self) -> ExploredScenario | None:
        """The first race in which something is wrong."""
        return next((each for each in self.explored if each.violation is not None), None)

    @property
    def unclear(self) -> Iterator[ExploredScenario]:
        """The races without a verdict."""
        return (each for each in self.explored if each.verdict == "no verdict")

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        done = {each.scenario.name: each for each in self.explored}
        return {
            "format": "payments-verify-discovery",
            "version": 1,
            "service": self.service,
            "verdict": self.verdict,
            "exit_code": EXIT_CODES[self.verdict],
            "problem": self.problem,
            "traced": list(self.discovery.traced),
            "races": [_race_json(each, done) for each in self.discovery.races],
            "independent": {state: list(pairs) for state, pairs in self.discovery.independent.items()},
            "serial": self.discovery.serial,
            "not_understood": list(self.discovery.not_understood),
            "left_out": list(self.discovery.left_out),
        }


async def explore_discovered(
    service: ServiceUnderTest,
    explore_one: ExploreOne,
    result: DiscoveryResult,
    *,
    progress: Progress,
    effort: Effort = DEFAULT_EFFORT,
    lacking: Lacking = lambda _scenario: None,
    to_the_first: bool = False,
) -> None:
    """Discover races, and explore each to its end.

    Args:
        service: the service behind its gate.
        explore_one: explores one race, as `explore_scenario` does.
        result: is filled.
        progress: is told of each trace and each schedule.
        effort: how much is done in each race; a dry run is made where more race than before.
        lacking: what the service lacks for a scenario.
        to_the_first: whether to leave out what comes after the first violation.

    Raises:
        SchedulingError: a command alone did not come to its end.
        DivergenceError: it did not do the same when it was run again.
    """

    def on_trace(done: int, total: int, name: str) -> None:
        progress(done, total, f"commands, each alone: {name}")

    result.discovery = await discover(service, lacking, on_trace)
    warmed = 0  # by how many actors the service was asked at once
    for number, race in enumerate(result.discovery.races):

        def on_run(runs: int, number: int = number, name: str = race.scenario.name) -> None:
            progress(number, len(result.discovery.races), f"races; {name}: {counted(runs, 'schedule')}")

        actors = len(race.scenario.actors)
        for_this = replace(effort, dry_run=actors > warmed)
        explored = await explore_one(race.scenario, service, effort=for_this, on_run=on_run)
        warmed = max(warmed, actors)
        result.explored.append(explored)
        end_if_interrupted()
        if to_the_first and explored.violation is not None:
            return


def _race_json(race: Discovered, done: Mapping[str, ExploredScenario]) -> dict[str, Any]:
    explored = done.get(race.scenario.name)
    found: dict[str, Any] = {"verdict": "not run"} if explored is None else explored.as_json()
    return {
        **found,
        "scenario": race.scenario.name,
        "actors": [actor.name for actor in race.scenario.actors],
        "rows": race.rows,
        "foretold": race.is_foretold,
        "why": race.scenario.anomaly,
    }
