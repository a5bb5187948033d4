"""The service is right in every order, and each bug is found, with a schedule that replays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from examples.seats import races

if shutil.which("node") is None or not Path(__file__).with_name("node_modules").exists():
    pytest.skip("Node or its pg is not installed: make test-examples", allow_module_level=True)

RIGHT = {"two_want_it": 6, "hold_ends": 12, "it_is_taken_over": 42}
WRONG = {
    "no-lock": ("two_want_it", 2, "explains hold"),
    "holds-do-not-end": ("hold_ends", 1, "explains book anna -> True"),
    "looks-without-a-lock": ("hold_ends", 2, "explains book anna -> True"),
    "time-of-the-transaction": ("hold_ends", 2, "explains book anna -> True"),
}


@pytest.mark.parametrize("race", RIGHT)
def test_the_service_is_right_in_every_order(pgweave, race):
    result = pgweave.explore(**getattr(races, race))
    result.assert_holds()
    assert result.schedules == RIGHT[race]


@pytest.mark.parametrize("bug", WRONG)
def test_a_bug_is_found_and_replayed(pgweave, bug, monkeypatch):
    monkeypatch.setenv("BUG", bug)
    race, switches, told = WRONG[bug]
    result = pgweave.explore(**getattr(races, race))
    assert told in result.problem
    assert result.switches == switches
    again = pgweave.replay(**getattr(races, race))
    assert (again.problem, again.schedule) == (result.problem, result.schedule)
