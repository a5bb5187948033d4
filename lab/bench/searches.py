"""What a search for a seeded bug came to, and what several of them say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

EXPLORER = "explorer"
"""Stands where other searches have the name of their arrivals."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of a scenario until the first violation.

    Attributes:
        how: the name of the arrivals of an uncontrolled race, or `EXPLORER`.
        runs: how many runs there were: races, or schedules.
        found: whether the last of them was wrong; if not, the search was given up after it.
        seconds: how long they took, from the first run's beginning.
        violation: what was wrong; empty if nothing was.
    """

    how: str
    runs: int
    found: bool
    seconds: float
    violation: str = ""


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """Every search for one bug.

    Attributes:
        bug: what was broken; empty for the service as it is.
        scenario: the scenario's name.
        searches: the searches.
    """

    bug: str
    scenario: str
    searches: list[Search]


@dataclass(frozen=True)
class Median:
    """The median of the runs that searches needed.

    Attributes:
        runs: how many.
        above: whether it is more than that: the median search was given up.
    """

    runs: int
    above: bool

    def __str__(self) -> str:
        return f">{self.runs}" if self.above else str(self.runs)


def median(searches: Sequence[Search]) -> Median:
    """The median; a search that was given up needs more runs than any that was not.

    Of an even number it is the greater of the two in the middle.

    Raises:
        ValueError: if there is no search.
    """
    if not searches:
        raise ValueError("no search, no median")
    middle = sorted(searches, key=lambda search: (not search.found, search.runs))[len(searches) // 2]
    return Median(middle.runs, above=not middle.found)


def by_how(searches: Sequence[Search]) -> dict[str, list[Search]]:
    """The searches of each kind."""
    kinds: dict[str, list[Search]] = {}
    for search in searches:
        kinds.setdefault(search.how, []).append(search)
    return kinds
