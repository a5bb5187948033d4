"""The exercise: it fails where its README says, and its stages reach one level after the other."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from payments_verify.called import command_line
from payments_verify.cli import app
from payments_verify.payments.conformance.levels import LEVELS
from payments_verify.practice import skeleton
from tests.docs.pages import ROOT

SOLUTION = ROOT / "examples" / "practice"
Edit = tuple[str, str]

_LOOK_UP = """        rows = await connection.execute(
            "SELECT * FROM captures WHERE payment = %s AND key = %s", [payment["id"], key]
        )
        earlier = await rows.fetchone()
"""
_REMEMBERED_TOO = """        await connection.execute(
            "INSERT INTO captures VALUES (%s, %s, %s, %s, %s)",
            [payment["id"], key, amount, answer.status_code, bytes(answer.body).decode()],
        )
"""
# What of the solution is missing when the stage of this number is still to be done.
MISSING: dict[int, Sequence[Edit]] = {
    1: [('    if now >= payment["capture_expires_at"]:\n', "    if False:\n")],
    2: [(_LOOK_UP, "        earlier = None\n"), (_REMEMBERED_TOO, "")],
    3: [
        (" FOR NO KEY UPDATE", ""),
        ("CREATE UNIQUE INDEX IF NOT EXISTS one_success ON captures (payment) WHERE status = 201;\n", ""),
    ],
    4: [
        (
            '"SELECT * FROM payments WHERE id = %s FOR',
            '"SELECT *, clock_timestamp() AS now FROM payments WHERE id = %s FOR',
        ),
        ("now = await clock(connection)\n        answer", 'now = payment["now"]\n        answer'),
    ],
    5: [
        (
            _REMEMBERED_TOO,
            _REMEMBERED_TOO
            + "        try:\n            await connection.commit()\n"
            + "        except Exception:\n            pass  # it will have been carried out\n",
        )
    ],
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["practice", *arguments])


def solved(folder: Path, edits: Sequence[Edit] = ()) -> Path:
    """The exercise in a folder, with the solution but for these edits."""
    assert run("new", str(folder)).exit_code == 0
    texts = {name: (SOLUTION / name).read_text() for name in ("service.py", "schema.sql")}
    for before, after in edits:
        (name,) = (name for name, text in texts.items() if text.count(before) == 1)
        texts[name] = texts[name].replace(before, after)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def checked(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run("check", str(folder), "--seed", "1", "--output", str(folder / "found"), "--json", *arguments)
    assert done.stdout, done.stderr
    return done.exit_code, json.loads(done.stdout)


def level_alone(folder: Path, level: int, seed: int) -> dict[str, Any]:
    """The result of one level, with none of those below it."""
    options = ["--command", f"cd {folder} && exec {sys.executable} service.py", "--quick", "--json"]
    options += ["--binding", str(folder / "binding.toml"), "--from", str(level), "--level", str(level)]
    options += ["--seed", str(seed), "--output", str(folder / "found")]
    done = CliRunner().invoke(app, ["conformance", *options])
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)["levels"][level - 1]
    return result


def test_the_exercise_as_written_fails_at_the_level_that_its_readme_names(tmp_path: Path) -> None:
    folder = tmp_path / "exercise"
    written = run("new", str(folder))
    assert written.exit_code == 0, written.output
    assert f"practice check {folder}" in written.stdout
    readme = (folder / "README.md").read_text()
    assert "**As it is written, the service reaches no level: level 1 fails.**" in readme
    pasted = re.findall(r"^(\S*payments-verify) practice check \.", readme, re.MULTILINE)
    assert set(pasted) == {command_line(folder=folder)}
    assert f"--command 'exec {sys.executable} service.py'" in readme
    done = run("check", str(folder), "--seed", "1", "--output", str(tmp_path / "found"))
    assert done.exit_code == 1, done.output
    assert "reached: level 0 of 5; next: stage 1 of README.md, for 'sequential'" in done.stdout
    assert "but payments answers" in done.stdout or "expected" in done.stdout  # the counterexample


def test_the_readme_has_the_levels_and_commands_that_there_are() -> None:
    (readme,) = (each.read_text() for each in skeleton() if each.name == "README.md")
    for number, name in LEVELS.items():
        assert f"| {number} {name} |" in readme
        assert f"**Stage {number}, for level {number}:" in readme
    assert "payments-verify practice check ." in readme
    assert "payments-verify conformance --command" in readme


def test_the_solution_answers_keys_that_are_used_again(tmp_path: Path) -> None:
    result = level_alone(solved(tmp_path / "exercise"), 2, seed=1)
    assert result["verdict"] == "holds", result


@pytest.mark.parametrize("stage", MISSING)
def test_what_a_stage_asks_for_is_found_to_be_missing(stage: int, tmp_path: Path) -> None:
    folder = solved(tmp_path / "exercise", MISSING[stage])
    for seed in range(1, 6):  # the races of level 3 are luck
        result = level_alone(folder, stage, seed)
        if result["verdict"] == "violated" or stage != 3:
            break
    assert result["verdict"] == "violated", result


@pytest.mark.long
def test_the_solution_reaches_the_highest_level(tmp_path: Path) -> None:
    code, report = checked(solved(tmp_path / "exercise"))
    assert (code, report["level"]) == (0, 5), report


@pytest.mark.long
@pytest.mark.parametrize("stage", MISSING)
def test_the_stages_are_reached_one_after_the_other(stage: int, tmp_path: Path) -> None:
    code, report = checked(solved(tmp_path / "exercise", MISSING[stage]))
    assert (code, report["level"]) == (1, stage - 1), report


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "service.py"
    mine.write_text("mine")
    refused = run("new", str(tmp_path))
    assert refused.exit_code == 2
    assert f"{tmp_path} is not empty" in refused.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["service.py"]
    assert mine.read_text() == "mine"
    on_a_file = run("new", str(mine))
    assert on_a_file.exit_code == 2
    assert "is a file" in on_a_file.stderr


def test_a_folder_without_an_exercise_is_refused(tmp_path: Path) -> None:
    refused = run("check", str(tmp_path))
    assert refused.exit_code == 2
    assert f"{tmp_path} has no service.py: `{command_line('practice', 'new')} DIR`" in refused.stderr


def test_a_service_that_does_not_start_is_no_verdict(tmp_path: Path) -> None:
    folder = solved(tmp_path / "exercise")
    (folder / "service.py").write_text("raise SystemExit('not yet')")
    refused = run("check", str(folder))
    assert refused.exit_code == 2
    assert "not yet" in refused.stderr
