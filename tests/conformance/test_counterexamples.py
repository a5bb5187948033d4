"""Counterexamples are HTTP: lines that can be pasted, among them the wrong request, and what was expected."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from payments_verify.binding import default_binding, default_text, load, parse
from payments_verify.binding.expected import expected_answer
from payments_verify.cli import app
from payments_verify.payments.exploration.check import drawn_interleavings_check
from payments_verify.payments.exploration.pictures import with_pictures
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.programs.program_file import with_file
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import empty_databases, started_service
from pgweave.service.command import running_command
from tests.conformance.test_peers import BINDING, CHARGES
from tests.harness.test_practice import MISSING, solved
from tests.support.postgres import chosen_bin_dir
from tests.support.tools import require_tool

require_tool("curl", purpose="which the lines call")
require_tool("jq", purpose="which takes ids out of answers")


def lines_of(result: CheckResult) -> str:
    """The lines for bash in a counterexample."""
    assert result.counterexample is not None
    _, _, lines = result.counterexample.partition("As HTTP, to be pasted into bash")
    return lines[lines.index("\nURL=") :]


def wrong_of(result: CheckResult) -> dict[str, Any]:
    """The request that is marked as wrong; there is one."""
    (wrong,) = (each for each in result.details["http"] if each["wrong"])
    assert f"#  ✗ expected {wrong['expected']}" in lines_of(result)
    return dict(wrong)


def pasted(lines: str, command: str, new_database: Any) -> list[int]:
    """The statuses that curl prints when the lines are pasted, with the service running anew."""

    async def paste() -> str:
        async with running_command(command, {"DATABASE_URL": new_database()}, "/readyz") as running:
            there = re.sub("\nURL=.*", f"\nURL={running.url}", lines)
            bash = await asyncio.create_subprocess_exec(
                "bash", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            printed, _ = await bash.communicate(there.encode())
            return printed.decode()

    return [int(status) for status in re.findall(r"^HTTP/1.1 (\d+)", asyncio.run(paste()), re.MULTILINE)]


@pytest.fixture
def wrong_service(tmp_path: Path) -> Any:
    """The exercise's solution without a stage, as an open service and its command."""

    def made(stage: int) -> Any:
        folder = solved(tmp_path / "exercise", MISSING[stage])
        command = f"cd {folder} && exec {sys.executable} service.py"
        return command, partial(started_service, command, load(folder / "binding.toml"), new_database)

    with empty_databases(chosen_bin_dir()) as new_database:
        made.new_database = new_database  # type: ignore[attr-defined]
        yield made


def test_level_1_the_lines_do_what_the_program_did(wrong_service: Any, tmp_path: Path) -> None:
    command, open_service = wrong_service(2)
    result = machine_check("the exercise", open_service, examples=30, steps=10, seed=1)
    assert result.verdict == "violated"
    wrong = wrong_of(result)
    assert wrong["asked"].startswith("capture key=")
    assert [each["asked"].split()[0] for each in result.details["http"]][:2] == ["create", "authorize"]
    assert result.timelines[0]["kind"] == "schedule"
    statuses = [each["status"] for each in result.details["http"]]
    drawn = with_pictures(result, tmp_path / "pictures", "level-1")
    assert f"picture: {tmp_path}/pictures/level-1.svg" in str(drawn.counterexample)
    assert wrong["expected"][:3] in (tmp_path / "pictures" / "level-1.svg").read_text()
    kept = with_file(result, "x", tmp_path / "level-1.program.json", reuses_keys=False, replay="replay")
    assert "run it again: replay" in str(kept.counterexample)
    assert judged(tmp_path / "level-1.history.jsonl") == 1
    assert pasted(lines_of(result), command, wrong_service.new_database) == statuses
    assert len(statuses) < 8  # without the looks after each command


def test_level_4_keeps_the_history_of_the_schedule(tmp_path: Path) -> None:
    scenarios = [SCENARIOS["different-keys"]]
    with empty_databases(chosen_bin_dir()) as new_database:
        opening = partial(started_service, CHARGES, load(BINDING), new_database, behind_gate=True)
        result = drawn_interleavings_check("charges", opening, scenarios, tmp_path, replay="replay")
    assert result.verdict == "violated"
    assert judged(tmp_path / "different-keys.history.jsonl") == 1


def judged(history: Path) -> int:
    """How `history` ends on a file."""
    return CliRunner().invoke(app, ["history", str(history)]).exit_code


def test_the_windows_of_level_1(wrong_service: Any) -> None:
    _, open_service = wrong_service(1)
    result = windows_check("the exercise", open_service)
    wrong = wrong_of(result)
    assert (wrong["status"], wrong["expected"]) == (201, '409 {"error":"window_expired"}')
    assert "clock: set to 20" in lines_of(result)


def test_level_3_shows_who_overlapped_whom(tmp_path: Path) -> None:
    with empty_databases(chosen_bin_dir()) as new_database:
        open_service = partial(started_service, CHARGES, load(BINDING), new_database)
        result = stress_check("charges", open_service, tmp_path, rounds=50, seed=1, progress=None)
    assert result.verdict == "violated"
    lines = lines_of(result)
    assert re.search(r"^ID1=\$\(curl .* \| jq -r '\.charge\.id'\)$", lines, re.MULTILINE)
    assert re.search(r'^curl .*"\$URL"/charges/"\$\{ID1\}"/capture .* &$', lines, re.MULTILINE)
    assert "\nwait" in lines
    assert any(each["wrong"] and each["expected"] for each in result.details["http"])
    kinds = [each["kind"] for each in result.timelines]
    assert kinds == ["schedule", "attempt"]
    subprocess.run(["bash", "-n"], input=lines, text=True, check=True)


@pytest.mark.parametrize(
    ("f", "answer", "said"),
    [
        ("capture", {"outcome": "already_captured"}, '409 {"type":"/problems/already_captured",'),
        (
            "capture",
            {"outcome": "captured", "replayed": False},
            "201, without the header Idempotent-Replayed",
        ),
        ("capture", {"outcome": "captured", "replayed": True}, "the bytes of its first answer"),
        (
            "read",
            {"outcome": "read", "payment": {"state": "failed", "reason": "voided"}},
            '200 {"state":"failed"',
        ),
        (
            "attempts",
            {"outcome": "read", "attempts": [{"key": "k"}]},
            '200 {"captures":[{"idempotency_key":"k"}]}',
        ),
        ("create", {"outcome": "created", "payment": {"state": "pending", "amount": 5}}, '"amount_cents":5'),
        ("read", {"outcome": "read", "payment": {}, "as_of": 1}, '"as_of":"1970-01-01T00:00:00.000001Z"'),
        ("read", {"outcome": "in_progress"}, "in_progress, for which the binding has no answer"),
        ("nothing", {"outcome": "read"}, ""),
    ],
)
def test_what_the_model_answers_in_the_words_of_the_service(
    f: str, answer: dict[str, Any], said: str
) -> None:
    shown = expected_answer(default_binding(), f, answer)
    assert said in shown
    assert bool(said) == bool(shown)


def test_an_expected_answer_says_what_is_there_and_what_is_not() -> None:
    text = default_text().replace(
        '{ status = 201, outcome = "captured" }',
        "{ status = 201, where = { result = { exists = true }, error = { exists = false } },"
        ' outcome = "captured" }',
    )
    shown = expected_answer(parse(text, "mine.toml"), "capture", {"outcome": "captured"})
    assert shown == "201, with result, without error"
