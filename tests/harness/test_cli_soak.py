"""``payments-verify soak``: what it says, and how it ends. Runs are in tests/differential."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner, Result

from payments_verify.cli import app
from payments_verify.nemesis import disk_faults
from payments_verify.nemesis.catalog import FAULTS
from payments_verify.nemesis.check import soak_check
from payments_verify.nemesis.soak import RUN_FILE, OnWindow, RunReport, SoakPlan
from payments_verify.nemesis.soak_report import judge_rest
from payments_verify.nemesis.window import Incident
from payments_verify.result import ViolationFound
from tests.harness.nemesis.windows import GOOD, Step, authorize, capture, create, rows, run, window

LOST = [create("p"), authorize("p"), capture("p"), *rows("p")]


def soak(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["soak", *arguments], env={"COLUMNS": "200"})


def test_the_list_names_every_fault() -> None:
    listed = soak("--list")
    assert listed.exit_code == 0
    for name, fault in FAULTS.items():
        assert name in listed.stdout
        assert fault.about in listed.stdout


def test_the_list_says_what_this_machine_does_not_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_faults, "cannot_mount", lambda: "nobody may mount here")
    assert soak("--list").stdout.count("nobody may mount here") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--faults", "earthquake"], "no such fault: earthquake"),
        (["--server-setting", "fsync"], "'fsync' is not NAME=VALUE"),
        (["--check", "nowhere"], "holds no histories"),
        (["--minutes", "0"], "0.05"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], says: str, tmp_path: Path) -> None:
    refused = soak("--folder", str(tmp_path / "none"), *arguments)
    assert refused.exit_code == 2
    assert says in refused.stderr


def test_a_folder_that_holds_a_soak_is_not_written_to(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    refused = soak("--folder", str(tmp_path))
    assert refused.exit_code == 2
    assert "holds a soak already" in refused.stderr


def test_a_saved_soak_that_holds(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD, Incident(fault="restart", effects=1, served_again=0.25))
    run(tmp_path, "restart")
    checked = soak("--check", str(tmp_path))
    assert checked.exit_code == 0
    assert "1 capture acknowledged, 0 lost, 0 doubled" in checked.stdout
    assert checked.stdout.rstrip().endswith("holds")
    shown = json.loads(soak("--check", str(tmp_path), "--json").stdout)
    assert (shown["verdict"], shown["acknowledged"], shown["problems"]) == ("holds", 1, [])
    (fault,) = shown["faults"]
    assert (fault["fault"], fault["injected"], fault["served_again_worst_s"]) == ("restart", 1, 0.25)


def test_a_saved_soak_with_a_violation(tmp_path: Path) -> None:
    window(tmp_path, 1, LOST)
    run(tmp_path)
    checked = soak("--check", str(tmp_path))
    assert checked.exit_code == 1
    assert "1 acknowledged captures are lost" in checked.stdout
    assert "not linearizable" in checked.stdout


def test_a_saved_soak_is_judged_again(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    run(tmp_path)
    assert soak("--check", str(tmp_path)).exit_code == 0
    window(tmp_path, 1, LOST)
    assert soak("--check", str(tmp_path)).exit_code == 1


@pytest.mark.parametrize(
    ("played", "code", "says"), [([LOST], 1, "are lost"), ([GOOD], 2, "come to its end"), ([], 2, "")]
)
def test_an_error_leaves_what_was_played_to_be_judged(
    played: Sequence[Sequence[Step]], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(_plan: SoakPlan, folder: Path, _on_window: OnWindow) -> RunReport:
        for number, steps in enumerate(played, 1):
            window(folder, number, steps)
        raise psycopg.OperationalError("nobody listens")

    monkeypatch.setattr("payments_verify.cli.soak.run_soak", ends)
    ended = soak("--folder", str(tmp_path / "soak"))
    assert ended.exit_code == code, ended.output
    assert "nobody listens" in ended.stderr
    assert says in ended.stdout


@pytest.mark.parametrize("error", [psycopg.OperationalError("nobody listens"), KeyboardInterrupt()])
def test_a_check_keeps_the_violation_that_it_found(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(_plan: SoakPlan, folder: Path, _on_window: OnWindow) -> RunReport:
        window(folder, 1, LOST)
        judge_rest(folder)
        raise error

    monkeypatch.setattr("payments_verify.nemesis.check.soak", ends)
    with pytest.raises(ViolationFound, match="1 acknowledged captures are lost"):
        soak_check(tmp_path / "soak", seconds=1, seed=1)


def test_a_saved_soak_that_was_broken_off(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    checked = soak("--check", str(tmp_path))
    assert checked.exit_code == 2
    assert "did not come to its end" in checked.stdout


def test_a_fault_that_this_machine_did_not_allow_is_shown(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    report = RunReport(
        seed=1, windows=1, faults=[], absent={"disk full": "nobody may mount here"}, is_complete=True
    )
    (tmp_path / RUN_FILE).write_bytes(msgspec.json.encode(report))
    checked = soak("--check", str(tmp_path))
    assert checked.exit_code == 0
    assert "disk full: could not run here: nobody may mount here" in checked.stdout
