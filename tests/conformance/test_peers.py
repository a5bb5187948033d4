"""Services that are not ours, with schemas and interfaces of their own, examined by their binding files.

``charges`` (Starlette and psycopg), and ``coalescing``, which answers some of its requests in memory, need
nothing that the harness lacks. Those of other stacks are installed and examined by `make test-peers`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from payments_verify.binding import load
from payments_verify.binding.coverage import traits_of, why_not
from payments_verify.cli import app
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.scenarios.discovered import scenario_named
from payments_verify.systems import empty_databases, examination_of, started_service
from pgweave.gate import OF_POSTGRESQL
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.docs.pages import ROOT
from tests.support.postgres import chosen_bin_dir

PEERS = ROOT / "examples" / "peers"
CHARGES = f"exec {sys.executable} {PEERS}/charges/app.py"
BINDING = PEERS / "charges" / "binding.toml"
COALESCING = f"exec {sys.executable} {PEERS}/coalescing/app.py"


def examined(command: str, binding: Path, folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    options = ["--command", command, "--binding", str(binding), "--json"]
    options += [] if "--discover" in arguments else ["--quick", "--seed", "1"]
    run = CliRunner().invoke(app, ["conformance", *options, "--output", str(folder), *arguments])
    assert run.stdout, run.stderr
    return run.exit_code, json.loads(run.stdout)


def explored(command: str, scenario: str, folder: Path) -> ExploredScenario:
    async def main() -> ExploredScenario:
        async with started_service(command, load(BINDING), new_database, behind_gate=True) as gated:
            return await explore_scenario(SCENARIOS[scenario], gated, SourceDPOR, folder)

    with empty_databases(chosen_bin_dir()) as new_database:
        return asyncio.run(main())


def test_charges_are_right_one_after_the_other() -> None:
    with empty_databases(chosen_bin_dir()) as new_database:
        open_service = partial(started_service, CHARGES, load(BINDING), new_database)
        machine = machine_check("charges", open_service, examples=15, steps=10, seed=1)
        windows = windows_check("charges", open_service)
    assert (machine.verdict, windows.verdict) == ("holds", "holds"), (machine, windows)
    outcomes = machine.details["outcomes"]
    assert outcomes["capture -> captured (replayed)"] > 0
    assert windows.cases > 10


def test_charges_without_a_lock_fail_under_real_concurrency_with_a_picture(tmp_path: Path) -> None:
    code, report = examined(CHARGES, BINDING, tmp_path, "--from", "3", "--level", "3")
    assert code == 1
    counterexample = report["levels"][2]["counterexample"]
    assert "not linearizable" in counterexample
    assert "time goes to the right" in counterexample
    assert any(each.startswith("commands.attempts: ") for each in report["unchecked"])
    assert any(each.startswith("payment.as_of: ") for each in report["unchecked"])


def test_two_captures_of_a_charge_without_a_lock_both_succeed(tmp_path: Path) -> None:
    found = explored(CHARGES, "different-keys", tmp_path)
    assert found.verdict == "violated"
    assert found.problem is not None
    assert "already_captured" in found.problem
    # What was found is replayed by the command line, over another new database.
    arguments = ["replay", str(found.schedule), "--command", CHARGES, "--binding", str(BINDING)]
    replayed = CliRunner().invoke(app, arguments)
    assert replayed.exit_code == 1, replayed.output
    assert "UPDATE charge" in replayed.stdout


@pytest.mark.parametrize("scenario", ["different-keys", "same-key-twice", "capture-and-sweep"])
def test_charges_with_a_lock_are_right_in_every_interleaving(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_LOCKED", "1")
    found = explored(CHARGES, scenario, tmp_path)
    assert found.verdict == "holds", found.problem
    assert found.report.schedules > 1


@pytest.mark.parametrize(("scenario", "schedules"), [("same-key-twice", 14), ("different-keys", 8)])
def test_requests_that_are_answered_in_memory_have_their_place(
    scenario: str, schedules: int, tmp_path: Path
) -> None:
    found = explored(COALESCING, scenario, tmp_path)
    assert found.verdict == "holds", found.problem
    assert found.report.schedules == schedules


def test_a_request_that_joins_another_one_is_found_out_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUG", "total")
    code, report = examined(COALESCING, BINDING, tmp_path, "--from", "4", "--level", "4")
    assert code == 1, report
    counterexample = report["levels"][3]["counterexample"]
    assert "captured (replayed)  but payments answers key_reused" in counterexample
    assert "capture k1 501 is sent" in counterexample
    (file,) = (tmp_path / "schedules").glob("*.schedule.json")
    again = ["replay", str(file), "--command", COALESCING, "--binding", str(BINDING)]
    assert CliRunner().invoke(app, again).exit_code == 1


def test_functions_whose_statements_are_one_step_are_named_and_each_command_is_hurt() -> None:
    command = f"exec {sys.executable} {PEERS}/plpgsql/app.py"
    with examination_of(command, load(BINDING), chosen_bin_dir(), quick=True) as examination:
        named = [each for each in examination.unchecked if each.startswith("function ")]
        hurt = {each.scenario.name: each.faults for each in examination.fault_plans}
    assert {name for name, faults in hurt.items() if faults == OF_POSTGRESQL} == {
        "one-capture",
        "one-create",
        "one-authorize",
        "one-void",
        "one-sweep",
    }
    assert [each.partition(":")[0] for each in named] == [
        "function capture (levels 4 and 5)",
        "function change (levels 4 and 5)",
    ]


@pytest.mark.long
def test_requests_that_are_answered_in_memory_reach_the_highest_level(tmp_path: Path) -> None:
    code, report = examined(COALESCING, BINDING, tmp_path)
    assert (code, report["level"]) == (0, 5), report


@pytest.mark.long
def test_charges_with_a_lock_reach_the_highest_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGES_LOCKED", "1")
    code, report = examined(CHARGES, BINDING, tmp_path)
    assert (code, report["level"]) == (0, 5), report


def test_a_creation_is_not_raced_where_the_service_chooses_ids() -> None:
    """It would make another payment."""
    binding = load(BINDING)
    traits = traits_of(binding, moves_clock=True)
    assert binding.ids.chosen_by == "service"
    for name in ("last-instant,create", "created,create,authorize"):
        scenario = scenario_named(name)
        assert scenario is not None
        assert why_not(scenario, binding, traits) == "ids.chosen_by = 'client'"
    captures = scenario_named("captured,capture-k1,capture-k2")
    assert captures is not None
    assert why_not(captures, binding, traits) is None


@pytest.mark.long
def test_what_is_discovered_of_charges_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHARGES_LOCKED", "1")
    code, found = examined(CHARGES, BINDING, tmp_path, "--discover")
    assert (code, found["verdict"], found["problem"]) == (0, "holds", None), found
    assert {each["verdict"] for each in found["races"]} == {"holds"}
    assert all(each["complete"] and each["why"] for each in found["races"])


@pytest.mark.long
def test_a_missing_lock_of_charges_is_discovered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHARGES_LOCKED", raising=False)
    code, found = examined(CHARGES, BINDING, tmp_path, "--discover")
    assert (code, found["verdict"]) == (1, "violated")
    (wrong,) = [each for each in found["races"] if each["verdict"] == "violated"]
    assert wrong["foretold"]
    assert "before" in wrong["why"]
    assert Path(wrong["schedule"]).is_file()
