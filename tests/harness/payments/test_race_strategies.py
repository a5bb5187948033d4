"""How races are drawn, and what they shrink to."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import Phase, find, given, settings

from payments_verify.payments.inputs.classes import ALIKE_KEYS
from payments_verify.payments.races.machine import contents
from payments_verify.payments.races.runner import capture, client, fail, read, sweep, tick
from payments_verify.payments.races.strategies import DrawnRace, Entry, actors_of, drawn_races
from payments_verify.payments.scenarios.catalogue import Client, Command, Tick
from pgweave.interleavings.segments import Segment

QUIET = settings(
    database=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    max_examples=2_000,
    deadline=None,
)


def test_commands_go_to_their_clients_and_the_rest_stands_alone() -> None:
    entries: list[Entry] = [(3, capture("k1")), tick(), (0, read()), (3, fail("voided")), sweep(), sweep()]
    assert actors_of(entries) == (
        client(capture("k1"), fail("voided")),
        tick(),
        client(read()),
        sweep(),
        sweep(),
    )


@given(drawn_races([500, 1]) | drawn_races([500, 1], window_ends=True))
def test_a_race_is_small_enough_to_be_judged(drawn: DrawnRace) -> None:
    found = contents(drawn.actors)
    assert 2 <= found["commands"] + found["ticks"] + found["sweeps"] <= 6
    assert found["clients"] <= 4
    commands = [each for actor in drawn.actors if isinstance(actor, Client) for each in actor.commands]
    assert {command.payment for command in commands} <= {0, 1}
    assert all(segment.steps >= 1 for segment in drawn.segments)


@pytest.mark.parametrize(
    ("wanted", "simplest"),
    [
        pytest.param(
            lambda race: repr(race).count("client(capture(") >= 2 and race.segments,
            r'client\(capture\("k1", 500\)\), client\(capture\("k1", 500\)\); segments \[\(0, 1\)\]',
            id="two clients and an interruption",
        ),
        pytest.param(
            lambda race: sum(segment.steps for segment in race.segments) >= 5,
            r"client\(\w+\([^)]*\), \w+\([^)]*\)\); segments \[\(0, 5\)\]",
            id="one segment rather than many",
        ),
        pytest.param(
            lambda race: contents(race.actors)["ticks"] >= 2,
            r"tick\(\), tick\(\); segments \[\]",
            id="no commands where none are needed",
        ),
    ],
)
def test_what_is_not_needed_is_shrunk_away(wanted: Callable[[DrawnRace], bool], simplest: str) -> None:
    found = repr(find(drawn_races([500, 1]), lambda race: bool(wanted(race)), settings=QUIET))
    assert re.fullmatch(simplest, found), found


@given(drawn_races([500, 1], window_ends=True))
def test_the_window_ends_where_it_is_asked_to(drawn: DrawnRace) -> None:
    assert any(isinstance(actor, Tick) and actor.payment == 0 for actor in drawn.actors)


def test_every_kind_of_entry_is_drawn() -> None:
    for f in ("capture", "fail", "read", "attempts", "authorize", "create"):
        found = find(drawn_races([500]), lambda race, f=f: f"{f}(" in repr(race), settings=QUIET)  # type: ignore[misc]
        assert found.segments == ()
    other = find(drawn_races([500]), lambda race: ", 501)" in repr(race), settings=QUIET)
    assert Segment(0, 1) not in other.segments


def captures(race: DrawnRace) -> list[Command]:
    commands = [each for actor in race.actors if isinstance(actor, Client) for each in actor.commands]
    return [each for each in commands if each.f == "capture"]


def test_clients_race_with_keys_and_amounts_that_a_service_may_take_for_equal() -> None:
    def has_alike_keys(race: DrawnRace) -> bool:
        keys = {each.arguments["key"] for each in captures(race)}
        return any(len(keys & set(alike)) > 1 for alike in ALIKE_KEYS.values())

    def has_an_alike_amount(race: DrawnRace) -> bool:
        return any(
            each.arguments["amount"] in (500 + 2**8, 500 + 2**16, 500 + 2**32) for each in captures(race)
        )

    find(drawn_races([500]), has_alike_keys, settings=QUIET)
    find(drawn_races([500]), has_an_alike_amount, settings=QUIET)
