"""Something goes wrong at every statement: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from payments_verify.gate import Fault
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import (
    BLIND_RETRY_AFTER_COMMIT,
    COMMIT_BEFORE_UPDATE,
    COMMIT_ERROR_SWALLOWED,
    KEY_COMMITTED_AFTER_CAPTURE,
)

BUGS: dict[str, tuple[Sequence[Edit], Fault]] = {
    "error of COMMIT swallowed": (COMMIT_ERROR_SWALLOWED, Fault.CANCELLED),
    "key committed before the capture": (COMMIT_BEFORE_UPDATE, Fault.CUT_BEFORE),
    "key committed after the capture": (KEY_COMMITTED_AFTER_CAPTURE, Fault.CUT_AFTER),
    "blind retry after an ambiguous commit": (BLIND_RETRY_AFTER_COMMIT, Fault.CUT_AFTER),
}


def explored(mutant: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    run = run_harness(mutant, ["faults", *arguments, "--json"])
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def test_a_capture_survives_every_fault_at_every_statement(tmp_path: Path) -> None:
    code, reports = explored(mutated_copy(tmp_path / "copy", ()), "--scenario", "one-capture")
    assert code == 0, reports
    assert [report["fault"] for report in reports] == [fault.value for fault in Fault]
    for report in reports:
        # A capture has seven statements, and each of them was hurt.
        assert report["places"] == 7
        assert report["injected"] >= 7
        assert (report["lost"], report["doubled"]) == (0, 0)


def test_racing_captures_survive_the_ambiguous_commit(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    code, (report,) = explored(copy, "--scenario", "same-key-twice", "--fault", Fault.CUT_AFTER.value)
    assert code == 0, report
    assert report["unanswered"] > 0
    assert report["acknowledged"] > 0
    assert (report["lost"], report["doubled"]) == (0, 0)


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_found(bug: str, tmp_path: Path) -> None:
    edits, fault = BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", edits)
    code, (report,) = explored(mutant, "--scenario", "one-capture", "--fault", fault.value)
    assert code == 1, report
    assert report["verdict"] == "violated"
