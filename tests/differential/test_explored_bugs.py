"""Break the service, and see the explorer find it, with a shortest schedule that always fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import (
    CLOCK_IN_LOCKING_STATEMENT,
    COMMIT_BEFORE_UPDATE,
    GUARDED_UPDATE_ROW_COUNT_IGNORED,
    KEY_BEFORE_LOCK,
    LOCK_AND_LOOK_UP_IN_ONE,
    NO_CONSTRAINTS,
    NO_ROW_LOCK,
    SWEEPER_WITHOUT_GUARD,
    TRANSACTION_START,
)

REPLAYS = 20

# The bug, the scenario that shows it, and how often its schedule switches between processes, at most.
BUGS: dict[str, tuple[Sequence[Edit], str, int]] = {
    "no row lock": ((NO_ROW_LOCK,), "different-keys", 3),
    "key looked up before the lock": ((KEY_BEFORE_LOCK,), "same-key-twice", 3),
    "no unique key and no lock": ((NO_ROW_LOCK, NO_CONSTRAINTS), "different-keys", 3),
    "now() for the clock": ((TRANSACTION_START,), "window-closes-behind-lock", 4),
    "clock read in the locking statement, holder only locks": (
        CLOCK_IN_LOCKING_STATEMENT,
        "window-closes-behind-lock",
        4,
    ),
    "clock read in the locking statement, holder rolls back": (
        CLOCK_IN_LOCKING_STATEMENT,
        "window-closes-behind-rollback",
        4,
    ),
    "lock and look-up in one statement": (LOCK_AND_LOOK_UP_IN_ONE, "same-key-twice", 3),
    "commit before update": (COMMIT_BEFORE_UPDATE, "different-keys", 2),
    "guarded update whose row count is ignored": (GUARDED_UPDATE_ROW_COUNT_IGNORED, "different-keys", 3),
    "sweeper that updates without a guard": (SWEEPER_WITHOUT_GUARD, "capture-and-sweep", 4),
}


@pytest.mark.parametrize("bug", BUGS)
def test_exploration_finds_the_bug_and_its_schedule_fails_each_time(bug: str, tmp_path: Path) -> None:
    edits, scenario, switches = BUGS[bug]
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


@pytest.mark.parametrize("scenario", sorted({scenario for _, scenario, _ in BUGS.values()}))
def test_an_unbroken_copy_passes(scenario: str, tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    run = run_harness(copy, ["explore", "--scenario", scenario, "--json"])
    assert run.returncode == 0, run.stdout + run.stderr
