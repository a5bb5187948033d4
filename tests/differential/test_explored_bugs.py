"""Break the service, and see the explorer find it, with a shortest schedule that always fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.mutants import mutated_copy, run_harness
from tests.support.seeded_bugs import EXPLORED_BUGS

REPLAYS = 20


@pytest.mark.parametrize("bug", EXPLORED_BUGS)
def test_exploration_finds_the_bug_and_its_schedule_fails_each_time(bug: str, tmp_path: Path) -> None:
    edits, scenario, switches = EXPLORED_BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", edits)
    output = str(tmp_path / "schedules")
    found = run_harness(mutant, ["explore", "--scenario", scenario, "--output", output, "--json"])
    assert found.returncode == 1, found.stdout + found.stderr
    (result,) = json.loads(found.stdout)
    assert result["verdict"] == "violated"
    assert result["switches"] <= switches
    again = run_harness(mutant, ["replay", result["schedule"], "--times", str(REPLAYS), "--json"])
    assert again.returncode == 1, again.stdout + again.stderr
    assert json.loads(again.stdout)["violations"] == REPLAYS


@pytest.mark.parametrize("scenario", sorted({scenario for _, scenario, _ in EXPLORED_BUGS.values()}))
def test_an_unbroken_copy_passes(scenario: str, tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    run = run_harness(copy, ["explore", "--scenario", scenario, "--json"])
    assert run.returncode == 0, run.stdout + run.stderr
