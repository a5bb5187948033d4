"""A service that answers "in progress, ask again": rightly, with nothing in flight, and after a change."""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments_verify.binding import BindingFileError, load, parse
from payments_verify.cli import app
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.faults.exploration import FaultReport, explore_fault
from payments_verify.payments.faults.kills import KillReport, explore_kills
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.scenarios.catalogue import ONE_CAPTURE, SCENARIOS
from payments_verify.payments.stress.round import Load, StressReport
from payments_verify.payments.stress.run import stress
from payments_verify.systems import empty_databases, started_service
from pgweave.gate import Fault
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.docs.pages import ROOT
from tests.support.postgres import chosen_bin_dir

BUSY = ROOT / "examples" / "peers" / "busy"
COMMAND = f"exec {sys.executable} {BUSY}/app.py"


def with_bug(monkeypatch: pytest.MonkeyPatch, bug: str | None) -> None:
    if bug is not None:
        monkeypatch.setenv("BUG", bug)


def explored(folder: Path, scenario: str = "same-key-twice") -> ExploredScenario:
    """Two captures, in every order."""

    async def main() -> ExploredScenario:
        async with started_service(COMMAND, load(BUSY / "binding.toml"), new, behind_gate=True) as gated:
            return await explore_scenario(SCENARIOS[scenario], gated, SourceDPOR, folder)

    with empty_databases(chosen_bin_dir()) as new:
        return asyncio.run(main())


@pytest.mark.parametrize("bug", [None, "charges"])
def test_in_every_order_it_may_be_answered_and_may_change_nothing(
    bug: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bug(monkeypatch, bug)
    found = explored(tmp_path)
    assert found.verdict == ("holds" if bug is None else "violated"), found.problem
    if bug is None:
        assert any("in_progress" in str(outcomes) for outcomes in found.outcomes)


def test_captures_with_keys_of_their_own_try_locks_of_their_own(tmp_path: Path) -> None:
    found = explored(tmp_path, "different-keys")
    assert (found.verdict, found.report.schedules) == ("holds", 8), found.problem


def test_one_after_the_other_a_key_that_stays_in_progress_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_bug(monkeypatch, "stays")
    with empty_databases(chosen_bin_dir()) as new:
        open_service = partial(started_service, COMMAND, load(BUSY / "binding.toml"), new)
        found = machine_check("busy", open_service, examples=8, steps=8, seed=1)
    assert found.verdict == "violated"
    assert "No other request with this key was in flight" in str(found.counterexample)


@pytest.mark.parametrize("bug", [None, "lost"])
def test_after_a_fault_a_key_that_stays_in_progress_is_found(
    bug: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bug(monkeypatch, bug)

    async def main() -> FaultReport:
        async with started_service(COMMAND, load(BUSY / "binding.toml"), new, behind_gate=True) as gated:
            return await explore_fault(ONE_CAPTURE, Fault.CUT_BEFORE, gated)

    with empty_databases(chosen_bin_dir()) as new:
        found = asyncio.run(main())
    assert found.verdict == ("holds" if bug is None else "violated"), found
    if bug is not None:
        assert found.violation is not None
        assert "no other request with its key was in flight" in found.violation.explanation
        assert found.execution is not None
        hurt = [step for step in found.execution.steps if step.details.get("answer") == "cut before"]
        assert len(hurt) == 1


@pytest.mark.parametrize(
    ("bug", "lease", "told"),
    [
        ("lost", 30, None),
        ("lost", 61, "no other request with its key was in flight"),
        ("stays", 30, None),
    ],
)
def test_a_key_may_stay_in_progress_until_its_lease_ends(
    bug: str, lease: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bug(monkeypatch, bug)
    monkeypatch.setenv("LEASE", str(lease))
    binding = parse(f"{(BUSY / 'binding.toml').read_text()}\n[in_progress]\nlease = 60\n", "mine.toml")

    async def main() -> FaultReport:
        async with started_service(COMMAND, binding, new, behind_gate=True) as gated:
            return await explore_fault(ONE_CAPTURE, Fault.CUT_BEFORE, gated)

    with empty_databases(chosen_bin_dir()) as new:
        found = asyncio.run(main())
    assert found.verdict == ("holds" if told is None else "violated"), found
    if told is not None:
        assert found.violation is not None
        assert told in found.violation.explanation


@pytest.mark.parametrize(
    ("bug", "lease", "told"),
    [(None, None, None), ("handled", None, "capture is in progress for ever"), ("handled", 60, None)],
)
def test_a_key_that_a_killed_process_had_claimed_is_found(
    bug: str | None, lease: int | None, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bug(monkeypatch, bug)
    section = ""
    if lease is not None:
        monkeypatch.setenv("LEASE", "30")
        section = f"[in_progress]\nlease = {lease}\n"
    binding = parse(f"{(BUSY / 'binding.toml').read_text()}\n{section}", "mine.toml")

    async def main() -> KillReport:
        async with started_service(COMMAND, binding, new, behind_gate=True) as gated:
            return await explore_kills(gated, lambda _text: None)

    with empty_databases(chosen_bin_dir()) as new:
        found = asyncio.run(main())
    assert found.verdict == ("holds" if told is None else "violated"), found.told
    assert (told or "") in str(found.told)
    assert found.places == (1 if told or bug is None else 3)


@pytest.mark.parametrize("lease", ["0", "4000"])
def test_a_lease_has_a_length_and_an_answer(lease: str) -> None:
    text = (BUSY / "binding.toml").read_text()
    with pytest.raises(BindingFileError, match=r"in_progress\.lease: is no number of seconds"):
        parse(f"{text}\n[in_progress]\nlease = {lease}\n", "mine.toml")
    without = text.replace('outcome = "in_progress"', 'outcome = "already_captured"')
    with pytest.raises(BindingFileError, match=r"in_progress\.lease: belongs to an answer"):
        parse(f"{without}\n[in_progress]\nlease = 60\n", "mine.toml")


def test_clients_that_race_for_real_ask_again_once_nothing_is_in_flight(tmp_path: Path) -> None:
    async def main() -> StressReport:
        async with started_service(COMMAND, load(BUSY / "binding.toml"), new) as service:
            report = StressReport()
            for first in range(10):
                load_ = Load(clients=6, payments=1, commands=4, repeat=0.5)
                await stress(service, tmp_path, rounds=1, seed=1, first=first, load=load_, report=report)
                if report.outcomes["capture -> in_progress"]:
                    break
            return report

    with empty_databases(chosen_bin_dir()) as new:
        report = asyncio.run(main())
    assert report.violation is None
    assert report.outcomes["capture -> in_progress"] > 0


def test_only_a_capture_has_a_key_and_can_be_in_progress() -> None:
    text = (BUSY / "binding.toml").read_text()
    wrong = text.replace('outcome = "already_authorized"', 'outcome = "in_progress"')
    with pytest.raises(BindingFileError, match=r"commands\.authorize\.answers: only a capture has a key"):
        parse(wrong, "mine.toml")


@pytest.mark.long
def test_it_is_right_one_after_the_other_and_at_once(tmp_path: Path) -> None:
    options = [
        "--command",
        COMMAND,
        "--binding",
        str(BUSY / "binding.toml"),
        "--quick",
        "--seed",
        "1",
        "--json",
    ]
    run = CliRunner().invoke(app, ["conformance", *options, "--output", str(tmp_path), "--level", "3"])
    assert (run.exit_code, json.loads(run.stdout)["level"]) == (0, 3), run.stdout
