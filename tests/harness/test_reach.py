"""A verdict is on what happened: what was planned and did not happen is said beside it, and never holds."""

from __future__ import annotations

import io
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.cli.running import show
from payments_verify.nemesis.soak import RunReport
from payments_verify.nemesis.soak_report import FaultTally, SoakReport
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.specification.transitions import commands_reached
from payments_verify.result import CheckResult, Reach, line_of, overall_line
from payments_verify.systems import in_memory

SIX = ["a", "b", "c", "d", "e", "f"]


def result(reach: Reach | None, verdict: str = "holds") -> CheckResult:
    return CheckResult(
        name="soak",
        kind="faults",
        cases=1,
        verdict=verdict,  # type: ignore[arg-type]
        seconds=0.0,
        counterexample=None if verdict == "holds" else "why",
        reach=reach,
    )


def test_what_was_not_reached_stands_on_the_line() -> None:
    two = result(Reach("kinds of fault", SIX, {"a", "b"}))
    assert two.line == "holds for 2 of 6 kinds of fault; not reached: c, d, e, f"
    assert two.as_json()["reach"] == {"kinds": "kinds of fault", "planned": SIX, "not_reached": SIX[2:]}
    assert result(Reach("kinds of fault", SIX, SIX)).line == "holds"
    assert result(None).line == "holds"
    assert result(two.reach, "violated").line == "violated"
    shown = io.StringIO()
    show([two], Console(file=shown, width=200))
    assert two.line in shown.getvalue()
    assert LevelResult(1, "holds", (two,)).left_out == "2 of 6 kinds of fault; not reached: c, d, e, f"
    assert LevelResult(1, "violated", (result(two.reach, "violated"),)).left_out is None


def test_the_end_of_several_says_what_none_of_them_reached() -> None:
    most = result(Reach("kinds of fault", SIX, SIX[:5]))
    assert overall_line([most, result(None)]) == (
        "holds as far as it reached; soak: 5 of 6 kinds of fault; not reached: f"
    )
    assert overall_line([result(Reach("kinds of fault", SIX, SIX)), result(None)]) == "holds"
    assert overall_line([replace(result(None), note="31 of 31 proved before")]) == "holds"
    assert overall_line([most, result(None, "violated")]) == "violated"
    assert overall_line([most, result(None, "no verdict")]) == "no verdict"
    assert overall_line([]) == "no verdict"


def test_verify_ends_with_what_was_not_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = [result(Reach("kinds of fault", SIX, SIX[:5])), result(None)]
    command = import_module("payments_verify.cli.verify")
    monkeypatch.setattr(
        command, "run_at_once", lambda _count, _plan, job, _tell: job.found.update({0: found})
    )
    done = CliRunner().invoke(app, ["verify", "--quick", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    last = " ".join(done.stdout.splitlines()[-2:])
    assert last.startswith("holds as far as it reached; soak: 5 of 6 kinds of fault; not reached: f ")
    report = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    assert (report["verdict"], report["exit_code"]) == ("holds", 0)
    assert "holds as far as it reached" in (tmp_path / "index.html").read_text()


def test_a_soak_says_which_faults_struck() -> None:
    run = RunReport(seed=1, faults=["cut", "killed"], absent={"disk full": "nobody may mount here"})
    report = SoakReport(run=run, faults=[FaultTally("cut", injected=1), FaultTally("killed", missed=3)])
    assert line_of("holds", report.reach) == (
        "holds for 1 of 3 kinds of fault; not reached: killed, disk full"
    )
    assert report.as_json()["reach"]["not_reached"] == ["killed", "disk full"]
    assert SoakReport().reach is None


def test_a_run_of_the_machine_says_what_it_did_not_send() -> None:
    sent = ["capture -> captured", "capture -> key_reused", "read -> read"]
    assert str(commands_reached(["capture", "fail"], sent)) == "1 of 2 commands; not reached: fail"
    # The programs of the classes of inputs alone send every command.
    long = machine_check("long", in_memory, examples=1, steps=1, seed=1)
    assert long.line == "holds"
    assert long.reach is not None
    assert {"capture", "create", "fail"} <= set(long.reach.planned)
    assert msgspec.json.encode(long.as_json())
