"""Scenarios that nobody wrote: what is discovered of the service, and of broken copies of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import uvloop
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.payments.exploration import discovery_check
from payments_verify.payments.exploration.discovery import Discovery, discover
from payments_verify.payments.exploration.discovery_check import DiscoveryResult, explore_discovered
from payments_verify.payments.exploration.scenario import explore_scenario
from payments_verify.payments.scenarios.discovered import scenario_named
from payments_verify.result import no_progress
from payments_verify.systems import gated
from tests.support.mutants import CATALOGUE, mutated_copy, run_harness

# In each state the pairs, the triples, and how many of both have an order that no serial one explains, as far
# as one run of each command shows. A number that changes says that the service sends other statements, or
# that what they touch is judged otherwise.
RACES = {
    "nothing": (39, 5, 14),
    "created": (74, 7, 36),
    "last-instant": (51, 13, 24),
    "past-window": (45, 3, 15),
    "captured": (40, 0, 6),
    "voided": (46, 4, 10),
    "expired": (36, 3, 6),
}
INDEPENDENT = {
    "authorize and read",
    "authorize and attempts",
    "authorize and sweep",
    "capture-k1-other and read",
    "capture-k1-other and sweep",
    "read and read",
    "read and attempts",
    "read and sweep",
    "attempts and attempts",
    "attempts and sweep",
    "sweep and sweep",
}
"""In the window's last instant: reads, and what then changes nothing that is read."""
SCHEDULES = {"captured": 127}
BUGS = {
    "no-row-lock": {"capture", "authorize", "void"},
    "unique-violation-answered-500": {"capture"},
    "window-checked-before-the-lock": {"clock"},
    "guarded-update-row-count-ignored": {"capture", "authorize", "void"},
    "sweeper-without-guard": {"sweep"},
}
"""Bugs of each kind, and the actors of which one is in the race that shows it."""


@pytest.fixture(scope="module")
def discovery(dsn: str) -> Discovery:
    async def run() -> Discovery:
        async with gated(dsn) as service:
            return await discover(service)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def explored(
    dsn: str, folder: Path, discovery: Discovery, monkeypatch: pytest.MonkeyPatch
) -> DiscoveryResult:
    """Explore what is in a discovery."""

    async def known(*_arguments: object) -> Discovery:
        return discovery

    async def run() -> DiscoveryResult:
        result = DiscoveryResult("in process")
        async with gated(dsn) as service:
            await explore_discovered(
                service,
                partial(explore_scenario, make_strategy=None, folder=folder),
                result,
                progress=no_progress,
            )
        return result

    monkeypatch.setattr(discovery_check, "discover", known)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def in_state(discovery: Discovery, state: str) -> Discovery:
    races = tuple(each for each in discovery.races if each.scenario.name.startswith(f"{state},"))
    return replace(discovery, races=races)


def test_what_is_discovered_of_the_service(discovery: Discovery) -> None:
    assert len(discovery.traced) == 114
    assert discovery.not_understood == discovery.left_out == ()
    sizes = Counter((each.scenario.name.split(",")[0], len(each.scenario.actors)) for each in discovery.races)
    foretold = Counter(each.scenario.name.split(",")[0] for each in discovery.races if each.is_foretold)
    assert {state: (sizes[state, 2], sizes[state, 3], foretold[state]) for state in RACES} == RACES
    assert sizes.total() == sum(pairs + triples for pairs, triples, _ in RACES.values())
    assert set(discovery.independent["last-instant"]) == INDEPENDENT


def test_captures_are_kept_apart_by_the_row_lock(discovery: Discovery) -> None:
    """No order of captures is foretold that no serial one explains; reads and the sweep take no lock."""
    foretold = [each.scenario.name for each in discovery.races if each.is_foretold]
    assert "last-instant,capture-k1,capture-k2" not in foretold
    assert "last-instant,capture-k1,capture-k2,clock" not in foretold
    assert "last-instant,capture-k1,read" in foretold
    assert "last-instant,capture-k1,sweep,clock" in foretold


def test_races_have_names_by_which_they_can_be_run_again(discovery: Discovery) -> None:
    for race in discovery.races:
        named = scenario_named(race.scenario.name)
        assert named is not None
        assert replace(named, anomaly=race.scenario.anomaly) == race.scenario
    assert scenario_named("last-instant,nobody") is scenario_named("captured") is None


@pytest.mark.invariant("I10")
def test_every_race_in_a_state_is_explored_and_holds(
    dsn: str, discovery: Discovery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = explored(dsn, tmp_path, in_state(discovery, "captured"), monkeypatch)
    assert result.verdict == "holds"
    assert all(each.report.complete for each in result.explored)
    assert sum(each.report.schedules for each in result.explored) == SCHEDULES["captured"]


def test_what_was_not_explored_is_no_verdict(discovery: Discovery) -> None:
    assert DiscoveryResult("a service", discovery).verdict == "no verdict"
    nothing = DiscoveryResult("a service")
    assert nothing.verdict == "no verdict"
    assert "no two commands share a row" in str(nothing.problem)


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_without_a_scenario(bug: str, tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path / "mutant", CATALOGUE.edits(bug))
    options = ["--discover", "--stop-at-first", "--json", "--output", str(tmp_path)]
    run = run_harness(mutant, ["explore", *options], limit_s=1_200)
    assert run.returncode == 1, run.stdout + run.stderr
    found = json.loads(run.stdout)[-1]
    assert found["verdict"] == "violated"
    actors = {each.split("-")[0] for each in found["scenario"].split(",")[1:]}
    assert actors & BUGS[bug], found["scenario"]
    assert Path(found["schedule"]).is_file()


@pytest.mark.long
@pytest.mark.invariant("I10")
def test_everything_that_is_discovered_of_the_service_holds(
    dsn: str, discovery: Discovery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = explored(dsn, tmp_path, discovery, monkeypatch)
    assert result.verdict == "holds", result.violated or list(result.unclear)


def test_a_discovered_scenario_is_explored_by_its_name() -> None:
    run = CliRunner().invoke(app, ["explore", "--scenario", "voided,read,clock", "--json"])
    assert run.exit_code == 0, run.stderr
    (found,) = json.loads(run.stdout)
    assert (found["scenario"], found["verdict"], found["complete"]) == ("voided,read,clock", "holds", True)
