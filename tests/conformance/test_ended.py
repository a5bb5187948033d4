"""However an examination ends, what was reached is said, and JSON is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from payments_verify.payments.conformance.levels import Conformance, LevelResult, LevelVerdict, conclude
from payments_verify.payments.service.under_test import with_output

STUBBED = """
import os, signal, sys, time
from payments_verify import cli
from payments_verify.payments.conformance import examination as conformance
from payments_verify.result import CheckResult, ViolationFound
kind, *arguments = sys.argv[1:]

def check(verdict):
    why = None if verdict == "holds" else "the capture was lost"
    return CheckResult(name="x", kind="x", cases=1, verdict=verdict, seconds=0.0, counterexample=why)

def examine_level(_subject, _trials, level, *, folder, progress, **_options):
    (folder / "histories").mkdir(parents=True, exist_ok=True)
    if level < 3:
        return conformance.LevelResult(level, "holds", (check("holds"),))
    progress(2, 30, "rounds, 57 operations")
    try:
        if kind == "error":
            raise ZeroDivisionError
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    except BaseException as error:
        if kind == "found":
            raise ViolationFound(check("violated")) from error
        raise

conformance.examine_level = examine_level
sys.argv = ["payments-verify", "conformance", "--url", "http://127.0.0.1:1", *arguments]
cli.main()
"""


def stubbed(kind: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STUBBED, kind, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "code", "third"),
    [("ended", 2, "no verdict"), ("error", 2, "no verdict"), ("found", 1, "violated")],
)
def test_two_levels_that_hold_are_told_when_the_third_is_ended(
    kind: str, code: int, third: str, tmp_path: Path
) -> None:
    done = stubbed(kind, tmp_path, "--json")
    assert done.returncode == code, done.stderr
    report = json.loads(done.stdout)
    assert [level["verdict"] for level in report["levels"]] == ["holds", "holds", third, "not run", "not run"]
    assert (report["level"], report["exit_code"]) == (2, code)
    came = "it came to 2 of 30 rounds, 57 operations, and had found no violation"
    assert (came in str(report["levels"][2]["reason"])) == (kind != "found")
    assert "the histories so far lie in build/conformance/histories" in done.stderr
    shown = stubbed(kind, tmp_path)
    assert shown.returncode == code
    assert "http://127.0.0.1:1: level 2, seed" in shown.stdout
    assert ("interrupted" in shown.stderr) == (kind != "error")


def test_what_was_left_out_is_not_told_as_failed(tmp_path: Path) -> None:
    done = stubbed("ended", tmp_path, "--from", "2", "--level", "2")
    assert done.returncode == 0
    assert "level 2 holds; 1 left out, seed" in done.stdout
    done = stubbed("ended", tmp_path, "--from", "3")
    assert done.returncode == 2
    assert "level 0" not in done.stdout
    assert "level 3 was asked for first, and does not hold or has no verdict; 1 to 2 left out" in done.stdout


def made(first: int, *verdicts: LevelVerdict) -> Conformance:
    results = [LevelResult(number, verdict) for number, verdict in enumerate(verdicts, first)]
    return conclude("x", range(first, 6), results)


def test_the_level_that_is_reached_is_one_that_was_asked_for() -> None:
    assert (made(1, "violated").reached, made(1, "violated").summary) == (0, "level 0")
    assert made(1, "holds", "violated").reached == 1
    assert made(3, "violated").reached is None
    assert made(3, "holds", "holds", "violated").summary == "levels 3 to 4 hold; 1 to 2 left out"
    assert made(3, "holds", "holds", "violated").verdict == "violated"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--command", "echo no database; exit 3"],
        ["--command", "echo no database; exit 3", "--scenario", "same-key-twice"],
        ["--url", "http://127.0.0.1:1"],
    ],
)
def test_a_service_that_does_not_serve_is_told_as_json_too(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "payments_verify", "conformance", *arguments, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    first = report["asked"][0]
    assert first == (4 if "--scenario" in arguments else 1)
    found = {each["level"]: each for each in report["levels"]}
    assert {each["verdict"] for each in found.values()} == {"no verdict", "not run"}
    assert found[first]["verdict"] == "no verdict"
    assert found[first]["reason"]
    if "--command" in arguments:
        assert "it ended with 3" in found[first]["reason"]
        assert "no database" in found[first]["reason"]


def test_what_the_service_printed_stands_beside_an_answer_that_hides_it() -> None:
    told = "I9: capture {} got no definite answer: {'status': 500}"
    printed = "Traceback\nCheckViolation: capture_once\n"
    assert with_output(told, printed).endswith("printed:\n  Traceback\n  CheckViolation: capture_once")
    assert with_output(told, "") == told
    assert with_output("not linearizable", printed) == "not linearizable"
    assert "secret" not in with_output(told, "postgresql://u:secret@host/db")
