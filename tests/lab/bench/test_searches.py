"""What several searches say together, and when a benchmark has gone wrong."""

from __future__ import annotations

import pytest

from lab.bench.bench_explore import mistakes
from lab.bench.searches import EXPLORER, Search, Searched, median


def _search(runs: int, *, found: bool = True, how: str = "barrier") -> Search:
    return Search(how=how, runs=runs, found=found, seconds=0.1, violation="wrong" if found else "")


@pytest.mark.parametrize(
    ("searches", "said"),
    [
        ([_search(3)], "3"),
        ([_search(9), _search(1), _search(4)], "4"),
        ([_search(2), _search(7)], "7"),
        ([_search(1), _search(100, found=False), _search(2)], "2"),
        ([_search(1), _search(100, found=False), _search(100, found=False)], ">100"),
        # Given up after 100 is more than found in the 150th.
        ([_search(100, found=False), _search(150), _search(100, found=False)], ">100"),
        ([_search(100, found=False), _search(150), _search(150)], "150"),
    ],
)
def test_the_median_counts_a_search_that_was_given_up_as_more_than_any_other(
    searches: list[Search], said: str
) -> None:
    assert str(median(searches)) == said


def test_there_is_no_median_of_nothing() -> None:
    with pytest.raises(ValueError, match="no search"):
        median([])


def test_luck_that_finds_nothing_is_no_mistake() -> None:
    searches = [_search(2, how=EXPLORER), _search(100, found=False)]
    assert mistakes([Searched(bug="a bug", scenario="s", searches=searches)]) == []


def test_a_bug_that_the_explorer_misses_is_a_mistake() -> None:
    searches = [_search(6, found=False, how=EXPLORER), _search(2)]
    assert mistakes([Searched(bug="a bug", scenario="s", searches=searches)]) == [
        "the explorer missed: a bug"
    ]


def test_a_violation_where_nothing_is_broken_is_a_mistake() -> None:
    searches = [_search(6, found=False, how=EXPLORER), _search(2)]
    (mistake,) = mistakes([Searched(bug="", scenario="s", searches=searches)])
    assert "nothing is broken" in mistake
