"""Faults at one statement after the other: which places there are, and where it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgweave.drive import arrivals, faults
from pgweave.drive.exploration import Explored
from pgweave.drive.race import Place, Race
from pgweave.gate import Fault
from pgweave.interleavings.report import Report
from pgweave.interleavings.strategy import Coverage
from tests.pgweave.drive.counting import Counting, run

STATEMENTS = 3
NOT_THERE = (0, 0)
"""PostgreSQL does not do it at the first statement of the first actor."""


def places(monkeypatch: pytest.MonkeyPatch, is_wrong: Callable[[Place], bool]) -> list[tuple[Place, bool]]:
    """The places that are explored, of actors with so many statements, and whether each holds."""

    async def explore(race: Race[str], **_options: object) -> Explored[str]:
        (place,) = race.faults
        race.injected = int(place[1] < STATEMENTS and place != NOT_THERE)
        race.passed_over = int(place == NOT_THERE)
        report = Report("fake", Coverage.CLASSES, True, 1, 0, 1, 0.0)
        return Explored(report=report, judge=race.domain, violation="wrong" if is_wrong(place) else None)  # type: ignore[arg-type]

    async def refuse(race: Race[str], **_options: object) -> Explored[str]:
        report = Report("fake", Coverage.CLASSES, True, 1, 0, 1, 0.0)
        return Explored(report=report, judge=race.domain, violation="wrong without a fault")  # type: ignore[arg-type]

    async def main() -> list[tuple[Place, bool]]:
        race = Race(Counting())
        found = faults.explore_faults(race, Fault.CUT_AFTER, [0, 1])
        return [(each.place, each.explored.holds) async for each in found]

    monkeypatch.setattr(faults, "explore_race", explore)
    monkeypatch.setattr(arrivals, "explore_race", refuse)
    return run(main())


def test_each_statement_of_each_actor_is_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    found = places(monkeypatch, lambda _place: False)
    assert found == [((0, 1), True), ((0, 2), True), *[((1, each), True) for each in range(STATEMENTS)]]


def test_what_is_wrong_with_one_actor_is_not_followed_by_what_is_right_with_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert places(monkeypatch, lambda place: place == (0, 2)) == [((0, 1), True), ((0, 2), False)]
