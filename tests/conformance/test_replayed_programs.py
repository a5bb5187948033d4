"""A program that conformance has written is run again from the command line, and shows the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.payments.programs.program_file import ProgramError, is_program, read, with_file
from payments_verify.payments.programs.reproduction import Call, as_text
from payments_verify.result import CheckResult
from tests.harness.test_practice import MISSING, solved

HUGE = 18_446_744_073_709_552_116
CALLS = [
    Call("set_clock", {"now": 5}),
    Call("perform", {"f": "create", "payment": "p", "amount": 500, "is_step": True}),
    Call("refused_as_malformed", {"f": "capture", "payment": "p", "key": "it's", "amount": HUGE}),
    Call("refused_as_malformed", {"f": "capture", "payment": "p", "key": "é", "amount": 500.0}),
    Call("expire"),
]


def found(calls: str | None) -> CheckResult:
    return CheckResult("x", "x", 1, "violated", 0.0, details={"program": calls}, counterexample="lost")


def command_of(folder: Path) -> list[str]:
    options = ["--command", f"cd {folder} && exec {sys.executable} service.py"]
    return [*options, "--binding", str(folder / "binding.toml")]


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.stdout, done.stderr
    return done.exit_code, json.loads(done.stdout)


def test_a_program_is_written_and_read_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "programs" / "level-2.program.json"
    told = with_file(found(as_text(CALLS)), "a service", file, reuses_keys=True, replay="replay it")
    assert told.counterexample == f"lost\n\nrun it again: replay it {file}"
    program = read(file)
    assert (program.program, program.reuses_keys, program.violation) == (CALLS, True, "lost")
    assert [type(call.arguments.get("amount")) for call in program.program][-2] is float
    assert is_program(file)
    assert not is_program(tmp_path)


def test_what_tells_of_no_program_is_left_as_it_is(tmp_path: Path) -> None:
    for each in (found(None), CheckResult("x", "x", 1, "holds", 0.0)):
        assert with_file(each, "x", tmp_path / "x", reuses_keys=True, replay="") is each
    (tmp_path / "file").write_text("")
    told = with_file(found("[]"), "x", tmp_path / "file" / "x", reuses_keys=True, replay="")
    assert "the program cannot be written: " in str(told.counterexample)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "Invalid enum value 2"),
        (
            {"calls": [{"method": "__init__", "arguments": {}}]},
            r"Invalid enum value '__init__' - at `\$\.calls",
        ),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_what_is_no_program_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    content = {
        "format": "payments-verify-program",
        "version": 1,
        "service": "x",
        "reuses_keys": True,
        "calls": [],
    }
    file = tmp_path / "x.json"
    file.write_text(json.dumps(content | change))
    with pytest.raises(ProgramError, match=told):
        read(file)
    assert CliRunner().invoke(app, ["replay", str(file), "--url", "http://127.0.0.1:1"]).exit_code == 2


def test_a_schedule_is_not_run_at_a_url(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["replay", str(tmp_path), "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 2
    assert "a schedule is run where its statements can be held" in " ".join(done.stderr.split())


@pytest.mark.long
def test_the_program_of_a_counterexample_fails_again_and_holds_once_the_service_is_right(
    tmp_path: Path,
) -> None:
    wrong = solved(tmp_path / "wrong", MISSING[2])
    options = ["--level", "2", "--from", "2", "--quick", "--seed", "1", "--output", str(tmp_path / "found")]
    code, told = run("conformance", *command_of(wrong), *options)
    assert code == 1
    file = tmp_path / "found" / "programs" / "level-2.program.json"
    assert f"run it again: {told['levels'][1]['counterexample'].split('run it again: ')[1]}".endswith(
        str(file)
    )
    code, again = run("replay", str(file), *command_of(wrong))
    assert (code, again["violations"]) == (1, 1)
    (shown,) = (each for each in again["http"] if each["wrong"])
    assert shown["expected"]
    code, mended = run("replay", str(file), *command_of(solved(tmp_path / "right")))
    assert (code, mended["violations"], mended["http"]) == (0, 0, [])
