"""How many schedules there are of captures, known from outside, and how many of them are run."""

from __future__ import annotations

import math

import pytest

from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.report import NaiveCount
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored, outcomes


def schedules_of_two(first: int) -> list[tuple[int, int]]:
    """For the captures of two clients, where the second's BEGIN and lock go between the steps of the first.

    The first to have the lock takes so many steps, lock second. The second's lock comes somewhere after that,
    and its BEGIN anywhere before; unless its lock comes after the first's COMMIT, it waits for that, and
    the rest of its steps come after it.
    """
    waiting = [(begin, gap) for gap in range(2, first) for begin in range(gap + 1)]
    return waiting + [(begin, first) for begin in range(first + 1)]


def test_two_clients_have_66_schedules() -> None:
    report, _ = explored(captures("a", "b"), Naive())
    assert report.schedules == 2 * len(schedules_of_two(first=7)) == 66
    assert report.naive == NaiveCount(66, "counted")
    assert report.complete
    assert report.abandoned == 0
    assert report.deepest == 13


def test_a_movement_of_the_clock_goes_anywhere() -> None:
    """The first to have the lock writes the payment, one step more, if it reads the clock before the tick."""
    expected = 0
    for writes, steps in ((True, 7), (False, 6)):
        for begin, gap in schedules_of_two(first=steps):
            # The clock is the first's fourth step; the second's BEGIN and lock may come before it.
            clock = 3 + (begin <= 3) + (gap <= 3)
            expected += steps + 6 - clock if writes else clock + 1
    report, _ = explored(captures("a", "b", clock=1), Naive())
    assert report.schedules == 2 * expected == 852


@pytest.mark.parametrize(
    "keys", ["ab", "aa", "abc", "aab", "aaa", "abcd", "aabb"], ids=lambda keys: f"keys {keys}"
)
def test_clients_have_as_many_classes_as_orders_of_locks_and_commits(keys: str) -> None:
    """Any order of the locks; and each may come after any of the commits that precede its grant.

    A lock cannot come before the one before it, nor later than the commit that frees it: those are the
    sequences that the Catalan numbers count.
    """
    clients = len(keys)
    report, _ = explored(captures(*keys), SourceDPOR())
    catalan = math.comb(2 * clients, clients) // (clients + 1)
    assert report.schedules == math.factorial(clients) * catalan
    assert report.schedules == {2: 4, 3: 30, 4: 336}[clients]
    assert report.abandoned == 0
    assert report.complete


@pytest.mark.parametrize(
    ("keys", "ticks", "classes"), [("ab", 0, 4), ("aa", 0, 4), ("ab", 1, 12), ("aa", 1, 12), ("ab", 2, 24)]
)
def test_classes_have_the_outcomes_of_all_schedules(keys: str, ticks: int, classes: int) -> None:
    every, naive = explored(captures(*keys, clock=ticks), Naive())
    one_each, dpor = explored(captures(*keys, clock=ticks), SourceDPOR())
    assert every.complete
    assert one_each.complete
    assert one_each.schedules == classes
    assert outcomes(dpor) == outcomes(naive)


def test_random_programs_have_these_classes_and_few_runs_are_abandoned() -> None:
    reports = [explored(random_program(seed), SourceDPOR())[0] for seed in range(300)]
    assert sum(report.schedules for report in reports) == 2_993
    assert sum(report.abandoned for report in reports) == 31
