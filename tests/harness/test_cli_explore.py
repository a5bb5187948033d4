"""The commands explore and replay: what they print and write, and how they end."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from payments_verify.cli import app
from payments_verify.cli import replay as replay_command
from payments_verify.cli.explorations import show_explored
from payments_verify.payments.exploration.scenario import ExploredScenario
from payments_verify.payments.races.judge import Judge
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.payments.scenarios.schedule_file import (
    SavedFault,
    SavedSchedule,
    SavedStep,
    ScheduleError,
)
from pgweave.gate import Fault
from pgweave.interleavings.report import NaiveCount, Report
from pgweave.interleavings.strategy import Coverage

# Two captures with keys of their own, one after the other.
ONE_AFTER_THE_OTHER = (0,) * 7 + (1,) * 6
SCHEDULE: dict[str, Any] = {
    "format": "payments-verify-schedule",
    "version": 1,
    "scenario": "different-keys",
    "service": "in process",
    "schedule": list(ONE_AFTER_THE_OTHER),
    "steps": [],
    "actors": ["capture k1 500", "capture k2 500"],
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "a.schedule.json"
    path.write_text(json.dumps(SCHEDULE | changes))
    return path


def test_the_list_says_what_each_scenario_looks_for() -> None:
    listed = run("explore", "--list")
    assert listed.exit_code == 0
    for scenario in NAMED.values():
        assert scenario.name in listed.stdout
        assert scenario.anomaly in listed.stdout


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    refused = run("explore", "--scenario", "none-such")
    assert refused.exit_code == 2
    assert "same-key-twice" in refused.stderr


@pytest.mark.parametrize("executor", ["none_such:f", "json:none_such", "json:dumps", "payments_verify:x:y"])
def test_an_executor_that_is_none_is_refused(executor: str) -> None:
    refused = run("explore", "--scenario", "create-twice", "--executor", executor)
    assert refused.exit_code == 2


@pytest.mark.parametrize("strategy", ["dpor", "naive", "bounded", "pct", "random"])
def test_every_strategy_reports_what_it_ran(strategy: str) -> None:
    done = run("explore", "--scenario", "create-twice", "--strategy", strategy, "--runs", "5", "--json")
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    assert result["verdict"] == "holds"
    assert result["strategy"].startswith({"dpor": "source-dpor"}.get(strategy, strategy))
    assert result["schedules"] == {"pct": 5, "random": 5, "dpor": 1}.get(strategy, 2)
    assert result["interchangeable"] == ([[0, 1]] if strategy == "dpor" else [])
    assert (result["naive"] is not None) == (strategy in ("naive", "bounded"))


def test_the_table_says_who_is_interchangeable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = run("explore", "--system", "in-memory", "--scenario", "three-captures")
    assert "  9      complete, up to symmetry of 3 clients  holds" in told.stdout
    told = run("explore", "--system", "in-memory", "--scenario", "three-captures", "--no-symmetry")
    assert " 54      complete: one of each class  holds" in told.stdout


def _explored(scenario: Scenario, ran: Report) -> ExploredScenario:
    return ExploredScenario(scenario=scenario, report=ran, judge=Judge())


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_loses_nothing_in_80_columns(width: int) -> None:
    counts = NaiveCount(12_345_678.0, "counted"), NaiveCount(1_234_567_890.0, "estimated")
    ran = Report(
        "source-dpor", Coverage.CLASSES, True, 213_840, 0, 42, 12_345.6, interchangeable=(tuple(range(8)),)
    )
    incomplete = replace(ran, complete=False, interchangeable=())
    found = [_explored(NAMED["window-closes-behind-rollback"], replace(ran, naive=count)) for count in counts]
    found.append(_explored(NAMED["eight-captures"], incomplete))
    shown = io.StringIO()
    show_explored(found, Console(file=shown, width=width))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    told = " ".join(shown.getvalue().split())
    assert "…" not in told
    assert "verdict seconds" in told
    for whole in ("213,840 12,345,678 ", "about 1.23e+09 ", "up to symmetry of 8 clients", "incomplete"):
        assert whole in told
    assert next(line for line in lines if line.startswith("eight")).split()[-3:] == ["no", "verdict", "0.0"]


def test_why_clients_are_not_interchangeable_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Report(
        "source-dpor", Coverage.CLASSES, True, 6, 0, 7, 0.1, asymmetry="schedule [0], and again: [1]"
    )
    show_explored([_explored(NAMED["different-keys"], ran)], Console(width=200))
    assert "clients are not interchangeable\nschedule [0], and again: [1]" in capsys.readouterr().out


def test_a_replay_draws_the_run(tmp_path: Path) -> None:
    done = run("replay", str(written(tmp_path)), "--times", "2")
    assert done.exit_code == 0, done.output
    assert "runs: 2; hold: 2, violated: 0, no verdict: 0" in done.stdout
    assert "< already_captured" in done.stdout
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert "<html" in (tmp_path / "a.html").read_text()


def test_a_schedule_that_cannot_be_run_is_no_success(tmp_path: Path) -> None:
    short = written(tmp_path, schedule=[0, 0])
    done = run("replay", str(short), "--json")
    assert done.exit_code == 2
    assert "the schedule ends after 2 steps" in json.loads(done.stdout)["not_run"][0]


BOUND = ["--command", "exec app", "--binding", "b.toml"]
FAULT = [SavedFault(process=0, statement=1, fault=Fault.CUT_AFTER)]


@pytest.mark.parametrize(
    ("changes", "options", "line"),
    [
        ({}, [], "explore --scenario different-keys"),
        ({}, BOUND, "conformance --scenario different-keys --level 4 --command 'exec app' --binding b.toml"),
        ({"faults": FAULT}, BOUND[2:], "conformance --scenario different-keys --level 5 --binding b.toml"),
        ({"faults": FAULT}, [], "faults --scenario different-keys"),
        (
            {"faults": FAULT, "scenario": "one-capture"},
            BOUND[2:],
            "conformance --scenario one-capture --level 5 --binding b.toml",
        ),
        ({"service": "in memory"}, [], "explore --scenario different-keys --system in-memory"),
        (
            {"scenario": "last-instant,capture-k1,sweep,clock"},
            BOUND[2:],
            "conformance --discover --binding b.toml",
        ),
    ],
)
def test_what_was_changed_is_explored(changes: dict[str, Any], options: list[str], line: str) -> None:
    schedule = msgspec.convert(SCHEDULE, SavedSchedule)
    given = {"--command": None, "--binding": None} | dict(zip(options[::2], options[1::2], strict=True))
    assert replay_command.line_that_explores(msgspec.structs.replace(schedule, **changes), given).endswith(
        f"payments-verify {line}"
    )


def test_a_step_that_was_another_is_no_success(tmp_path: Path) -> None:
    steps = [{"process": process, "label": "BEGIN"} for process in ONE_AFTER_THE_OTHER]
    done = run("replay", str(written(tmp_path, steps=steps)), "--json")
    assert done.exit_code == 2
    assert "should take 'BEGIN'" in json.loads(done.stdout)["not_run"][0]
    assert "if what it ran was changed, explore that: " in done.stderr
    assert "explore --scenario different-keys" in done.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "another"}, "its format is not"),
        ({"version": 2}, "version 2 is not supported"),
        ({"scenario": "none-such"}, "no scenario is named 'none-such'"),
        ({"schedule": [0, 2]}, "has processes 0 to 1"),
        ({"schedule": "010"}, "not a valid schedule"),
        ({"steps": [{"process": 0, "label": "BEGIN"}]}, "1 step for a schedule of 13"),
        ({"more": 1}, "not a valid schedule"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ScheduleError, match=said):
        schedule_file.read(path)
    refused = run("replay", str(path))
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_bytes(b"{")
    (tmp_path / "list.json").write_bytes(b"[]")
    for name in ("missing.json", "broken.json", "list.json"):
        refused = run("replay", str(tmp_path / name))
        assert refused.exit_code == 2
        assert name in refused.stderr


def test_a_schedule_is_read_as_it_was_written(tmp_path: Path) -> None:
    schedule = SavedSchedule(
        scenario="different-keys",
        service="in process",
        schedule=(0, 1),
        steps=(SavedStep(0, "BEGIN", answer="BEGIN"), SavedStep(1, "COMMIT", blocked=True, woke=(0,))),
        actors=("a", "b"),
        violation="I1",
    )
    path = tmp_path / "folder" / "x.schedule.json"
    schedule_file.write(path, schedule)
    assert schedule_file.read(path) == schedule
