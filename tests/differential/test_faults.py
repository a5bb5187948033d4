"""Something goes wrong at every statement: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pgweave.gate import OF_POSTGRESQL, Fault
from tests.support.mutants import CATALOGUE, Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import (
    BLIND_RETRY_AFTER_LOST_COMMIT,
    COMMIT_BEFORE_UPDATE,
    COMMIT_ERROR_SWALLOWED,
    KEY_COMMITTED_AFTER_CAPTURE,
    LOST_COMMIT_TAKEN_FOR_CONFLICT,
    RESPONSE_BEFORE_COMMIT,
    RETRY_WITH_FIRST_READ,
    TRANSIENT_ERROR_STORED,
)

# The bug, the scenario and the fault that show it, and what the report says of it.
BUGS: dict[str, tuple[Sequence[Edit], str, Fault, str]] = {
    "error of COMMIT swallowed": (
        COMMIT_ERROR_SWALLOWED,
        "one-capture",
        Fault.CANCELLED,
        "not linearizable",
    ),
    "key committed before the capture": (
        COMMIT_BEFORE_UPDATE,
        "one-capture",
        Fault.CUT_BEFORE,
        "not linearizable",
    ),
    "key committed after the capture": (
        KEY_COMMITTED_AFTER_CAPTURE,
        "one-capture",
        Fault.CUT_AFTER,
        "not linearizable",
    ),
    "answer sent before COMMIT": (
        RESPONSE_BEFORE_COMMIT,
        "one-capture",
        Fault.CUT_BEFORE,
        "not linearizable",
    ),
    "blind retry after a lost COMMIT": (
        BLIND_RETRY_AFTER_LOST_COMMIT,
        "one-capture",
        Fault.CUT_AFTER,
        "not linearizable",
    ),
    "lost COMMIT taken for a conflict": (
        (LOST_COMMIT_TAKEN_FOR_CONFLICT,),
        "authorize-twice",
        Fault.CUT_AFTER,
        "not linearizable",
    ),
    "retry after 40001 with what was read before it": (
        RETRY_WITH_FIRST_READ,
        "different-keys",
        Fault.SERIALIZATION_FAILURE,
        "not linearizable",
    ),
    "retry after 40P01 with what was read before it": (
        RETRY_WITH_FIRST_READ,
        "different-keys",
        Fault.DEADLOCK,
        "not linearizable",
    ),
    "retry after 40001 with the time that was read before it": (
        CATALOGUE.edits("retry-with-the-first-clock"),
        "different-keys-and-tick",
        Fault.SERIALIZATION_FAILURE,
        "not linearizable",
    ),
    "sweep again with what was found due before 40001": (
        CATALOGUE.edits("sweep-again-with-what-was-due"),
        "void-and-sweep",
        Fault.SERIALIZATION_FAILURE,
        "not linearizable",
    ),
    "a deadlock's victim is told of it": (
        CATALOGUE.edits("deadlock-not-run-again"),
        "one-capture",
        Fault.DEADLOCK,
        "I9: capture",
    ),
    "transient error stored under the key": (
        TRANSIENT_ERROR_STORED,
        "one-capture",
        Fault.CUT_BEFORE,
        "I9",
    ),
}


def explored(mutant: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    run = run_harness(mutant, ["faults", *arguments, "--json"])
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


@pytest.mark.invariant("I7")
def test_a_capture_survives_every_fault_at_every_statement(tmp_path: Path) -> None:
    code, reports = explored(mutated_copy(tmp_path / "copy", ()), "--scenario", "one-capture")
    assert code == 0, reports
    assert [report["fault"] for report in reports] == [fault.value for fault in OF_POSTGRESQL]
    for report in reports:
        # A capture has seven statements, and each of them was hurt: only BEGIN meets no other transaction.
        conflict = Fault(report["fault"]).is_conflict
        assert report["places"] == (6 if conflict else 7)
        assert report["injected"] >= report["places"]
        assert (report["lost"], report["doubled"]) == (0, 0)


@pytest.mark.invariant("I7")
def test_racing_captures_survive_the_ambiguous_commit(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    code, (report,) = explored(copy, "--scenario", "same-key-twice", "--fault", Fault.CUT_AFTER.value)
    assert code == 0, report
    assert report["unanswered"] > 0
    assert report["acknowledged"] > 0
    assert (report["lost"], report["doubled"]) == (0, 0)


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_found(bug: str, tmp_path: Path) -> None:
    edits, scenario, fault, says = BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", edits)
    code, (report,) = explored(mutant, "--scenario", scenario, "--fault", fault.value)
    assert code == 1, report
    assert report["verdict"] == "violated"
    assert says in report["problem"]


@pytest.mark.parametrize(
    ("scenario", "fault"), sorted({(scenario, fault.value) for _, scenario, fault, _ in BUGS.values()})
)
def test_the_same_fault_breaks_nothing_in_an_unbroken_copy(scenario: str, fault: str, tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    code, (report,) = explored(copy, "--scenario", scenario, "--fault", fault)
    assert (code, report["verdict"]) == (0, "holds"), report
    assert report["injected"] > 0
