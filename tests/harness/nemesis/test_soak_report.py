"""A soak's report is made from its files: by fault, and in all; nothing that is missing looks green."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from payments_verify.nemesis import soak_report as module
from payments_verify.nemesis.judge import kept
from payments_verify.nemesis.soak_report import histories, judge_rest, summed_up
from payments_verify.nemesis.window import Incident
from tests.harness.nemesis.windows import GOOD, authorize, capture, create, rows, run, window

LOST = [create("p"), authorize("p"), capture("p"), *rows("p")]


def test_the_report_adds_up(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD, Incident(fault="b", effects=3, served_again=0.5))
    both = (Incident(fault="a", effects=1), Incident(fault="b", effects=2, served_again=1.5))
    window(tmp_path, 2, GOOD, *both)
    window(tmp_path, 3, GOOD, Incident(fault="a", effects=0, served_again=9.0))
    run(tmp_path, "a", "b")
    judge_rest(tmp_path)
    report = summed_up(tmp_path)
    assert (report.verdict, report.problems) == ("holds", [])
    assert (report.windows, report.acknowledged, report.unknown) == (3, 3, 3)
    a, b = report.faults
    assert (a.name, a.injected, a.effects, a.missed, a.acknowledged, a.median_s) == ("a", 1, 1, 1, 1, None)
    assert (b.name, b.injected, b.effects, b.missed, b.acknowledged) == ("b", 2, 5, 0, 2)
    assert (b.median_s, b.worst_s) == (1.0, 1.5)


def test_a_violation_outweighs_what_has_no_verdict(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD, is_complete=False)
    window(tmp_path, 2, LOST, Incident(fault="a", effects=1))
    run(tmp_path, "a")
    judge_rest(tmp_path)
    report = summed_up(tmp_path)
    assert (report.verdict, report.lost, report.doubled) == ("violated", 1, 0)
    assert (report.faults[0].lost, report.faults[0].doubled) == (1, 0)


def test_the_last_look_counts(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    run(tmp_path, lost=2, doubled=1)
    judge_rest(tmp_path)
    report = summed_up(tmp_path)
    assert (report.verdict, report.lost, report.doubled) == ("violated", 2, 1)


def test_the_audit_counts(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    run(tmp_path, damaged=["I12  payment p, event 2: expected an event, found event 3"])
    judge_rest(tmp_path)
    report = summed_up(tmp_path)
    assert report.verdict == "violated"
    assert report.problems == ["the audit found: I12  payment p, event 2: expected an event, found event 3"]


def test_a_soak_that_was_broken_off_has_no_verdict(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    judge_rest(tmp_path)
    assert summed_up(tmp_path).verdict == "no verdict"
    run(tmp_path, is_complete=False)
    assert summed_up(tmp_path).verdict == "no verdict"
    run(tmp_path)
    assert summed_up(tmp_path).verdict == "holds"


def test_a_soak_without_windows_has_no_verdict(tmp_path: Path) -> None:
    run(tmp_path)
    assert summed_up(tmp_path).verdict == "no verdict"


def test_a_window_that_is_not_judged_has_no_verdict(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    run(tmp_path)
    report = summed_up(tmp_path)
    assert report.verdict == "no verdict"
    assert "not judged" in report.problems[0]


def test_judging_is_resumed_where_it_was_left(tmp_path: Path) -> None:
    first, second = window(tmp_path, 1, GOOD), window(tmp_path, 2, LOST)
    assert histories(tmp_path) == [first, second]
    told: list[tuple[int, int]] = []
    judge_rest(tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    before = kept(first)
    first.with_suffix(".verdict.json").write_text("{")  # broken off while it was written
    told.clear()
    judge_rest(tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    again = kept(first)
    assert before is not None
    assert again is not None
    assert (again.verdict, again.operations) == (before.verdict, before.operations)


def _die(_history: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_judge_that_is_killed_leaves_windows_without_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window(tmp_path, 1, GOOD)
    run(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "judge", _die)
        judge_rest(tmp_path)
    report = summed_up(tmp_path)
    assert (report.verdict, report.windows) == ("no verdict", 1)
    assert f"soak --check {tmp_path}" in report.problems[0]
    judge_rest(tmp_path)
    assert summed_up(tmp_path).verdict == "holds"


def test_windows_that_are_lost_leave_no_verdict(tmp_path: Path) -> None:
    window(tmp_path, 1, GOOD)
    run(tmp_path, windows=3)
    judge_rest(tmp_path)
    report = summed_up(tmp_path)
    assert (report.verdict, report.problems) == ("no verdict", ["3 windows were begun, and 1 are here"])


def test_judging_again_forgets_what_was_found_before(tmp_path: Path) -> None:
    path = window(tmp_path, 1, GOOD)
    run(tmp_path)
    judge_rest(tmp_path)
    window(tmp_path, 1, LOST)
    judge_rest(tmp_path)
    assert summed_up(tmp_path).verdict == "holds"
    judge_rest(tmp_path, again=True)
    assert summed_up(tmp_path).verdict == "violated"
    assert (found := kept(path)) is not None
    assert found.verdict == "violated"
