"""The service is right in every order, and each bug is found, with a schedule that replays."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: make test-examples")
pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed: make test-examples")

from examples.transfers import races
from examples.transfers.service import application

RIGHT = {"opposite": 6, "too_much": 6, "seen": 2, "in_a_ring": 139}
WRONG = {
    "no-lock": ("too_much", 2, "the accounts are"),
    "in-the-order-given": ("opposite", 3, "raised HTTPStatusError: Server error '500"),
    "looks-before-it-locks": ("too_much", 2, "an account is overdrawn"),
    "two-transactions": ("seen", 2, "not linearizable: no order of the operations explains total"),
}


@pytest.mark.parametrize(
    "race", [pytest.param(race, marks=pytest.mark.long if race == "in_a_ring" else ()) for race in RIGHT]
)
def test_the_service_is_right_in_every_order(pgweave, race):
    result = pgweave.explore(**getattr(races, race))
    result.assert_holds()
    assert result.schedules == RIGHT[race]


@pytest.mark.parametrize("bug", WRONG)
def test_a_bug_is_found_and_replayed(pgweave, bug):
    race, switches, told = WRONG[bug]
    scenario = {**getattr(races, race), "service": partial(application, bug=bug)}
    result = pgweave.explore(**scenario)
    assert told in result.problem
    assert result.switches == switches
    again = pgweave.replay(**scenario)
    assert (again.problem, again.schedule) == (result.problem, result.schedule)
