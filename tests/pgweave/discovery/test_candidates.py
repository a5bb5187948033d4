"""Which groups of commands are to be explored, and how it is told."""

from __future__ import annotations

from pgweave.discovery.candidates import Group, plan
from pgweave.discovery.telling import called, explain
from pgweave.discovery.trace import Trace
from tests.pgweave.discovery.traces import (
    CLOCK_BEFORE_LOCK,
    CLOCK_UNDER_LOCK,
    LOCKED,
    MOVES_CLOCK,
    READS,
    UNLOCKED,
    anything,
    trace,
)


def planned(*traces: Trace, **options: object) -> tuple[list[Group], tuple[Group, ...], tuple[Group, ...]]:
    found = plan(len(traces), lambda group: [(traces[each],) for each in group], **options)  # type: ignore[arg-type]
    return [each.members for each in found.candidates], found.independent, found.serial


def test_pairs_that_share_rows_are_explored_and_no_others() -> None:
    candidates, independent, serial = planned(LOCKED, READS)
    assert candidates == [(0, 0), (0, 1)]
    assert independent == ((1, 1),)
    assert serial == ((0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1))


def test_a_triple_is_explored_where_three_are_needed() -> None:
    candidates, _, serial = planned(CLOCK_BEFORE_LOCK, MOVES_CLOCK)
    assert candidates == [(0, 0), (0, 1), (0, 0, 1)]
    assert (0, 0, 1) not in serial
    assert planned(CLOCK_UNDER_LOCK, MOVES_CLOCK)[0] == [(0, 0), (0, 1)]


def test_of_groups_that_are_alike_one_is_explored() -> None:
    candidates, _, _ = planned(LOCKED, LOCKED, alike=len)
    assert candidates == [(0, 0)]


def test_what_cannot_race_is_not_planned() -> None:
    candidates, independent, _ = planned(MOVES_CLOCK, UNLOCKED, is_possible=lambda group: group.count(0) < 2)
    assert (candidates, independent) == ([(1, 1)], ((0, 1),))


def test_one_of_several_traces_is_enough_for_a_candidate() -> None:
    found = plan(1, lambda group: [(LOCKED, UNLOCKED) for _ in group])
    assert found.candidates[0].traces == (LOCKED, UNLOCKED)
    assert found.candidates[0].anomaly is not None


def test_who_changes_something_comes_before_who_only_reads() -> None:
    found = plan(2, lambda group: [((UNLOCKED, READS)[each],) for each in group]).candidates
    assert [each.members for each in sorted(found, key=lambda each: each.order)] == [(0, 0), (0, 1)]
    assert READS.only_reads
    assert not UNLOCKED.only_reads
    assert not trace("report", anything()).only_reads


def test_an_unlocked_check_is_told() -> None:
    (candidate,) = plan(1, lambda group: [(UNLOCKED,) for _ in group]).candidates
    told = explain(candidate)
    assert told == (
        "withdraw (B) sees accounts(id 1) by `SELECT balance FROM accounts` before withdraw (A) changes it by"
        " `UPDATE accounts SET balance = $1`.\n"
        "withdraw (A) changes accounts(id 1) by `UPDATE accounts SET balance = $1` before withdraw (B)"
        " sees it by `UPDATE accounts SET balance = $1`.\n"
        "So each comes before the other, and nothing makes withdraw (A) wait"
    )


def test_that_locks_cover_is_told() -> None:
    (candidate,) = plan(1, lambda group: [(LOCKED,) for _ in group]).candidates
    assert candidate.anomaly is None
    assert explain(candidate).startswith("withdraw (A) and withdraw (B) use accounts(id 1); in each order")


def test_what_is_not_understood_is_told() -> None:
    unknown = trace("report", anything(), anything())
    (candidate,) = plan(1, lambda group: [(unknown,) for _ in group]).candidates
    assert "what one of them touches is not known" in explain(candidate)
    assert unknown.not_understood == ("CALL something()",)


def test_names_that_are_there_twice_are_told_apart() -> None:
    assert called(["a", "b", "a"]) == ["a (A)", "b", "a (B)"]
