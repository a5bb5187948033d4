"""Each level holds on this repository's own service, and fails on a service that breaks exactly it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import COMMIT_ERROR_SWALLOWED, NO_ROW_LOCK, STORE

CLI = f"{sys.executable} -m payments_core"
COMMAND = f"{CLI} migrate >/dev/null && exec {CLI} serve --port $PORT"

WINDOW_END_INSIDE = Edit("domain/capture.py", "now >= capture_expires_at", "now > capture_expires_at")
STATE_BEFORE_KEY = Edit(
    "application/use_cases.py",
    "if locked.attempt is not None:",
    'if locked.attempt is not None and locked.payment.state == "authorized":',
)
# No client of the stress creates what another is creating.
_INSERT = (
    "                "
    "inserted = await _row(connection, sql.INSERT_PAYMENT, (payment_id, Int8(amount.cents)), first)\n"
)
LOOKED_UP_THEN_CREATED = Edit(
    STORE,
    _INSERT
    + "                row = inserted or await _row(connection, sql.FIND_CREATED, (payment_id,), first)\n",
    "                row = await _row(connection, sql.GET_PAYMENT, (payment_id,))\n"
    "                inserted = None\n"
    "                if row is None:\n    " + _INSERT + "                    row = inserted\n",
)

# The level that is the first to fail, what breaks it, and what the counterexample says.
BROKEN: dict[int, tuple[Sequence[Edit], str]] = {
    1: ((WINDOW_END_INSIDE,), "window_expired"),
    2: ((STATE_BEFORE_KEY,), "capture"),
    3: ((NO_ROW_LOCK,), "capture"),
    4: ((LOOKED_UP_THEN_CREATED,), "create-twice"),
    5: (COMMIT_ERROR_SWALLOWED, "one-capture"),
}


@pytest.fixture(autouse=True)
def own_programs_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default binding sweeps by ``payments-core sweep``."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def examined(copy: Path, folder: Path, *arguments: str, seed: int = 1) -> tuple[int, dict[str, Any]]:
    options = ["--command", COMMAND, "--quick", "--seed", str(seed), "--output", str(folder), "--json"]
    run = run_harness(copy, ["conformance", *options, *arguments], limit_s=600)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def verdicts(report: dict[str, Any]) -> list[str]:
    return [level["verdict"] for level in report["levels"]]


@pytest.mark.parametrize("level", BROKEN)
def test_the_level_alone_finds_what_breaks_it(level: int, tmp_path: Path) -> None:
    edits, told = BROKEN[level]
    copy = mutated_copy(tmp_path / "mutant", edits)
    for seed in range(1, 6):  # the races of level 3 are luck, and a busy machine has little of it
        only = ("--from", str(level), "--level", str(level))
        code, report = examined(copy, tmp_path / "found", *only, seed=seed)
        if code == 1 or level != 3:
            break
    others = [each for number, each in enumerate(verdicts(report), start=1) if number != level]
    assert (verdicts(report)[level - 1], set(others)) == ("violated", {"not run"}), report
    assert code == 1
    assert told in report["levels"][level - 1]["counterexample"]


@pytest.mark.long
@pytest.mark.parametrize("level", BROKEN)
def test_a_service_that_breaks_one_level_fails_at_it(level: int, tmp_path: Path) -> None:
    edits, told = BROKEN[level]
    code, report = examined(mutated_copy(tmp_path / "mutant", edits), tmp_path / "found")
    assert verdicts(report) == ["holds"] * (level - 1) + ["violated"] + ["not run"] * (5 - level), report
    assert (code, report["level"]) == (1, level - 1)
    assert told in report["levels"][level - 1]["counterexample"]


@pytest.mark.long
def test_an_unbroken_service_reaches_the_highest_level(tmp_path: Path) -> None:
    code, report = examined(mutated_copy(tmp_path / "copy", ()), tmp_path / "found")
    assert verdicts(report) == ["holds"] * 5, report
    assert (code, report["level"]) == (0, 5)
