"""A command of the lab that is ended inside one of its checks tells what that check had found by then."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab import alarms
from lab.alarms import AlarmRun, run_once
from lab.cli import app
from lab.cli import false_alarms as alarms_command
from lab.static_checks import check
from lab.static_checks.check import Shipped, static_check
from lab.static_checks.findings import Findings
from payments_verify.result import CheckResult, ViolationFound
from payments_verify.suite import QUICK, Planned
from pgweave.verdict import Verdict


@pytest.mark.parametrize("ended_by", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize(("problems", "code"), [(["I1: an amount of nothing"], 1), ([], 2)])
def test_static_keeps_what_it_found(
    ended_by: type[BaseException], problems: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_session: object) -> Findings:
        raise ended_by

    monkeypatch.setattr(check, "check_schema", lambda _dsn: Findings(7, problems))
    monkeypatch.setattr(check, "check_session", end)
    none = Findings(0, [])
    shipped = Shipped("", {}, none, none, {}, lambda: none, [], [], Path(), b"", lambda _: None, {})
    command = importlib.import_module("lab.cli.static")
    monkeypatch.setattr(command, "shipped_static_check", lambda _bin, **_rest: static_check("x", shipped))
    done = CliRunner().invoke(app, ["static", "--json"])
    (result,) = json.loads(done.stdout)
    assert (done.exit_code, result["cases"]) == (code, 7)
    assert result["problems"] == [f"schema: {each}" for each in problems]
    for part in ("session", "statements", "sources"):
        assert f"{part}: not looked at" in result["counterexample"]


def result_of(name: str, verdict: Verdict) -> CheckResult:
    why = None if verdict == "holds" else "two captures succeed"
    return CheckResult(name, "x", 5, verdict, 0.0, counterexample=why)


@pytest.fixture
def alarm_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., AlarmRun]:
    """A run of two checks, of which the second raises."""

    def made(first: Verdict, second: BaseException, **_rest: object) -> AlarmRun:
        def fail(**_options: object) -> CheckResult:
            raise second

        def checks(*_arguments: object) -> Iterator[Planned]:
            yield Planned("first", lambda **_options: result_of("first", first))
            yield Planned("second", fail)

        monkeypatch.setattr(alarms, "prepared_database", lambda *_arguments: nullcontext("dsn"))
        monkeypatch.setattr(alarms, "_with_chance", checks)
        monkeypatch.setattr(alarms, "_as_somebody_elses", lambda *_arguments: None)
        return run_once(sources="now", postgres="here", bin_dir=None, seed=1, effort=QUICK, folder=tmp_path)

    return made


def test_a_run_keeps_the_checks_before_an_error(alarm_run: Callable[..., AlarmRun]) -> None:
    run = alarm_run("holds", ZeroDivisionError("by 0"))
    assert (run.verdict, run.cases["first"]) == ("no verdict", 5)
    assert [(each.check, each.counterexample) for each in run.problems] == [
        ("second", "ZeroDivisionError: by 0")
    ]
    assert alarm_run("violated", ZeroDivisionError()).verdict == "violated"


def test_an_alarm_is_kept_when_its_run_is_interrupted(alarm_run: Callable[..., AlarmRun]) -> None:
    run = alarm_run("violated", KeyboardInterrupt())
    assert [each.check for each in run.problems] == ["first"]
    found = alarm_run("holds", ViolationFound(result_of("second", "violated")))
    assert [each.check for each in found.problems] == ["second"]
    with pytest.raises(KeyboardInterrupt):
        alarm_run("holds", KeyboardInterrupt())


@pytest.mark.parametrize(("first", "code", "lines"), [("violated", 1, 1), ("holds", 2, 0)])
def test_an_interrupted_command_tells_the_runs_so_far(
    alarm_run: Callable[..., AlarmRun],
    first: Verdict,
    code: int,
    lines: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once = partial(alarm_run, first, KeyboardInterrupt())
    monkeypatch.setattr(alarms_command, "run_once", once)
    monkeypatch.setattr(alarms_command, "server_version", lambda _folder: "here")
    done = CliRunner().invoke(app, ["false-alarms", "--postgres-bin", "x", "--output", str(tmp_path)])
    assert done.exit_code == code, done.output
    assert f"{lines} of 50" in done.stdout
