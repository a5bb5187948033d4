"""What a window's history shows: each way in which it can be wrong is seen, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from payments_verify.nemesis.judge import Judgement, judge, kept
from payments_verify.nemesis.window import Incident
from tests.harness.nemesis.windows import GOOD, Step, authorize, capture, create, rows, window

BEGUN = [create("p"), authorize("p")]


def judged(folder: Path, steps: Sequence[Step]) -> Judgement:
    return judge(window(folder, 1, steps))


def test_a_window_in_which_all_is_well(tmp_path: Path) -> None:
    path = window(tmp_path, 1, GOOD, Incident(fault="immediate stop", effects=1))
    assert kept(path) is None
    found = judge(path)
    assert (found.verdict, found.problem) == ("holds", None)
    assert (found.acknowledged, found.lost, found.doubled, found.operations) == (1, 0, 0, len(GOOD))
    assert kept(path) == found


def test_a_capture_that_nobody_heard_of_may_be_there_or_not(tmp_path: Path) -> None:
    unheard = [*BEGUN, capture("p", outcome="?")]
    for number, after in enumerate((rows("p"), rows("p", "k1"))):
        found = judge(window(tmp_path, number, [*unheard, *after]))
        assert (found.verdict, found.acknowledged, found.lost) == ("holds", 0, 0)


def test_an_acknowledged_capture_that_is_not_there(tmp_path: Path) -> None:
    found = judged(tmp_path, [*BEGUN, capture("p"), *rows("p")])
    assert (found.verdict, found.acknowledged, found.lost, found.doubled) == ("violated", 1, 1, 0)
    assert found.problem is not None
    assert "I7" in found.problem
    assert "not linearizable" in found.problem


def test_an_acknowledged_capture_whose_payment_is_not_there(tmp_path: Path) -> None:
    gone: Step = ("attempts", {"payment": "p", "from": "database"}, "fail", {"outcome": "not_found"})
    found = judged(tmp_path, [*BEGUN, capture("p"), gone])
    assert (found.verdict, found.lost) == ("violated", 1)


def test_another_key_than_the_acknowledged_one(tmp_path: Path) -> None:
    found = judged(tmp_path, [*BEGUN, capture("p", "k1"), *rows("p", "k2")])
    assert (found.verdict, found.lost) == ("violated", 1)


@pytest.mark.parametrize("keys", [("k1", "k1"), ("k1", "k2")])
def test_a_payment_that_is_captured_twice(tmp_path: Path, keys: tuple[str, ...]) -> None:
    found = judged(tmp_path, [*BEGUN, capture("p"), *rows("p", *keys)])
    assert (found.verdict, found.lost, found.doubled) == ("violated", 0, 1)


def test_two_clients_that_are_told_of_a_capture(tmp_path: Path) -> None:
    found = judged(tmp_path, [*BEGUN, capture("p", "k1"), capture("p", "k2"), *rows("p", "k1")])
    assert (found.verdict, found.lost, found.doubled) == ("violated", 1, 1)


def test_a_history_that_is_not_linearizable_although_nothing_is_lost(tmp_path: Path) -> None:
    refused = capture("p", "k2", outcome="not_authorized")
    found = judged(tmp_path, [*BEGUN, capture("p"), refused, *rows("p", "k1")])
    assert (found.verdict, found.lost, found.doubled) == ("violated", 0, 0)


def test_a_finding_of_the_window(tmp_path: Path) -> None:
    found = judge(window(tmp_path, 1, GOOD, findings=["I9: a connection is lost"]))
    assert found.verdict == "violated"
    assert found.problem is not None
    assert "a connection is lost" in found.problem


def test_what_was_not_looked_at_is_not_lost_but_has_no_verdict(tmp_path: Path) -> None:
    found = judged(tmp_path, [*BEGUN, capture("p")])
    assert (found.verdict, found.lost) == ("no verdict", 0)
    assert found.problem is not None
    assert "not asked about 1" in found.problem


def test_a_look_through_the_service_does_not_count_as_a_direct_one(tmp_path: Path) -> None:
    seen = [(f, {"payment": "p"}, kind, answer) for f, _, kind, answer in rows("p", "k1")]
    found = judged(tmp_path, [*BEGUN, capture("p"), *seen])
    assert found.verdict == "no verdict"


def test_a_window_that_did_not_end(tmp_path: Path) -> None:
    assert judge(window(tmp_path, 1, GOOD, is_complete=False)).verdict == "no verdict"


def test_a_fault_that_could_not_be_injected(tmp_path: Path) -> None:
    found = judge(window(tmp_path, 1, GOOD, Incident(fault="disk full", problem="no tmpfs")))
    assert found.verdict == "no verdict"
    assert found.problem is not None
    assert "no tmpfs" in found.problem


def test_a_file_that_is_no_history(tmp_path: Path) -> None:
    path = window(tmp_path, 1, GOOD)
    path.write_text("nothing of the kind\n")
    assert judge(path).verdict == "no verdict"
