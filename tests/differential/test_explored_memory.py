"""The in-memory implementation in the same explorer: the same scenarios, verdicts and outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.payments.exploration import discovery_check
from payments_verify.payments.exploration.discovery import Discovered, Discovery
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import SCENARIOS, WINDOW, Holder, Leaving, Scenario, Sweeper
from payments_verify.payments.scenarios.discovered import scenario_named
from payments_verify.systems import scheduled_store
from payments_verify.systems.memory_store import InMemoryPaymentStore
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.footprint import Access, Mode
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.support.exploring import explored, outcomes
from tests.support.mutants import run_harness

# Schedules of each scenario: one of each class, and all of them. Where a capture waits for the lock, more
# classes than on PostgreSQL differ by the clock: there it is read in a step of its own, after the wait; here
# the step that waits reads it.
COUNTS = {
    "same-key-twice": (6, 6),
    "different-keys": (6, 6),
    "different-keys-and-tick": (20, 42),
    "three-captures": (54, 72),
    "same-key-different-amounts": (6, 6),
    "capture-and-void": (6, 6),
    "capture-and-sweep": (18, 59),
    "two-sweepers": (8, 12),
    "authorize-twice": (6, 6),
    "window-closes-behind-update": (21, 42),
    "window-closes-behind-lock": (17, 42),
    "window-closes-behind-rollback": (17, 30),
    "capture-and-ticks": (6, 20),
    "read-while-captured": (12, 60),
    "create-twice": (2, 2),
    "capture-during-authorize": (5, 6),
    "retry-while-under-way": (11, 15),
    "four-captures": (672, None),
}


def test_every_scenario_has_its_counts() -> None:
    assert set(COUNTS) == set(SCENARIOS)


@pytest.mark.parametrize("name", COUNTS)
def test_every_interleaving_is_explained_and_the_reduction_leaves_no_outcome_out(
    name: str, tmp_path: Path
) -> None:
    classes, every = COUNTS[name]
    found = explored(name, tmp_path)
    assert found.problem is None
    assert found.verdict == "holds"
    assert found.report.complete
    assert (found.report.schedules, found.report.abandoned) == (classes, 0)
    if every is not None:
        naive = explored(name, tmp_path, Naive)
        assert naive.verdict == "holds"
        assert naive.report.schedules == every
        assert set(naive.outcomes) == set(found.outcomes)


@pytest.mark.parametrize(
    ("mode", "scenario"),
    [
        (Mode.READ, SCENARIOS["different-keys-and-tick"]),
        (Mode.LOCK, SCENARIOS["different-keys"]),
        (Mode.PUBLISH, SCENARIOS["read-while-captured"]),
        (
            Mode.RELEASE,
            Scenario(
                "hold-and-sweep",
                "A sweep waits for a session that holds the payment's lock.",
                (Holder(Leaving.ROLLED_BACK), Sweeper()),
                waited=WINDOW,
            ),
        ),
    ],
)
def test_footprints_that_say_too_little_lose_outcomes(
    mode: Mode, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = outcomes(scenario, InMemoryPaymentStore, Naive())
    assert outcomes(scenario, InMemoryPaymentStore, SourceDPOR()) == every
    turn = scheduled_store.take_turn

    async def say_less(label: str, *accesses: Access) -> None:
        await turn(label, *(access for access in accesses if access.mode is not mode))

    monkeypatch.setattr(scheduled_store, "take_turn", say_less)
    assert outcomes(scenario, InMemoryPaymentStore, SourceDPOR()) < every


# ---- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "options"),
    [
        ("in memory", ["--system", "in-process"]),
        ("in memory", ["--command", "serve"]),
        ("in process", ["--system", "in-memory"]),
    ],
)
def test_a_schedule_of_one_service_is_not_replayed_on_another(
    service: str, options: list[str], tmp_path: Path
) -> None:
    steps = tuple(schedule_file.SavedStep(process, "lock payment") for process in (0, 1))
    saved = schedule_file.SavedSchedule(
        scenario="different-keys", service=service, schedule=(0, 1), steps=steps, actors=("a", "b")
    )
    schedule_file.write(tmp_path / "saved.json", saved)
    refused = run_harness(tmp_path, ["replay", str(tmp_path / "saved.json"), *options])
    assert refused.returncode == 2
    assert f"a schedule of the service '{service}', whose steps are others" in refused.stderr


def test_a_command_is_not_run_in_memory(tmp_path: Path) -> None:
    refused = run_harness(tmp_path, ["explore", "--system", "in-memory", "--command", "serve"])
    assert refused.returncode == 2
    assert "never in-memory" in refused.stderr


def test_workers_find_the_same(tmp_path: Path) -> None:
    name = "different-keys-and-tick"
    arguments = ["--system", "in-memory", "--scenario", name, "--workers", "2", "--no-symmetry", "--json"]
    together = run_harness(tmp_path, ["explore", *arguments])
    assert together.returncode == 0, together.stdout + together.stderr
    (found,) = json.loads(together.stdout)
    assert (found["verdict"], found["schedules"]) == ("holds", COUNTS[name][0])


@pytest.mark.parametrize(
    ("options", "strategy"),
    [
        (["--strategy", "bounded", "--bound", "1"], "bounded(1)"),
        (["--strategy", "naive"], "naive"),
    ],
)
def test_discovery_honours_the_options_of_explore(
    options: list[str], strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = scenario_named("captured,capture-k1,void")
    assert race is not None

    async def known(*_arguments: object) -> Discovery:
        return Discovery(races=(Discovered(race),))

    monkeypatch.setattr(discovery_check, "discover", known)
    arguments = ["--discover", "--system", "in-memory", "--json", "--output", str(tmp_path), *options]
    done = CliRunner().invoke(app, ["explore", *arguments])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["scenario"], found["verdict"], found["strategy"]) == (race.name, "holds", strategy)


def test_discovery_takes_no_scenario() -> None:
    done = CliRunner().invoke(app, ["explore", "--discover", "--scenario", "different-keys"])
    assert done.exit_code == 2
    assert "--scenario: it would not be used: --discover" in " ".join(done.output.split())
