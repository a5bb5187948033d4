"""Scenarios that nobody wrote: each is a state of a payment, and some of the actors that there can be.

Its name says what it is, ``authorized,capture-k1,void``, so that it can be run again by its name alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations

from payments_verify.payments.scenarios.catalogue import (
    AMOUNT,
    AUTHORIZE,
    CREATE,
    READ,
    VOID,
    WINDOW,
    Actor,
    Client,
    Command,
    Holder,
    Leaving,
    Prepared,
    Scenario,
    Sweeper,
    Tick,
    capture,
    client,
)
from payments_verify.payments.scenarios.named import NAMED

_KEYS = ("k1", "k2", "k3")
_AT_THE_END = WINDOW - 1

STATES: Mapping[str, Scenario] = {
    each.name: each
    for each in (
        Scenario("authorized", "", ()),
        Scenario("last-instant", "", (), waited=_AT_THE_END),
        Scenario("past-window", "", (), waited=WINDOW),
        Scenario("created", "", (), Prepared.CREATED),
        Scenario("nothing", "", (), Prepared.NOTHING),
        Scenario("captured", "", (), further=(capture("k1"),)),
        Scenario("voided", "", (), further=(VOID,)),
        Scenario("expired", "", (), waited=WINDOW, further=(Sweeper(),)),
    )
}
"""The states of a payment that make a difference to a command, those first in which most can happen.

The last instant is the window's last µs.
"""

ACTORS: Mapping[str, Actor] = {
    "create": client(CREATE),
    "create-other": client(Command("create", {"amount": AMOUNT + 1})),
    "authorize": client(AUTHORIZE),
    **{f"capture-{key}": client(capture(key)) for key in _KEYS},
    **{f"capture-{key}-other": client(capture(key, AMOUNT + 1)) for key in _KEYS},
    "void": client(VOID),
    "read": client(READ, READ),
    "attempts": client(Command("attempts", {})),
    "sweep": Sweeper(),
    "clock": Tick(),
    "hold": Holder(Leaving.ONLY_LOCKED),
    "hold-and-void": Holder(Leaving.VOIDED),
    "hold-and-roll-back": Holder(Leaving.ROLLED_BACK),
}
"""Who can take part: commands, with equal and other keys and amounts, the sweep, the clock, and sessions that
hold the payment's row. Who reads does so twice, so that it is seen whether time goes back."""


def scenario_of(state: Scenario, actors: Sequence[str], anomaly: str = "") -> Scenario:
    """The scenario in which these actors race in a state."""
    racing = tuple(ACTORS[each] for each in actors)
    return replace(state, name=",".join((state.name, *actors)), anomaly=anomaly, actors=racing)


def scenario_named(name: str) -> Scenario | None:
    """The scenario of a name, whoever wrote it; ``None`` if there is none."""
    state, *actors = name.split(",")
    if state in STATES and actors and all(each in ACTORS for each in actors):
        return scenario_of(STATES[state], actors)
    return NAMED.get(name)


def require_scenario(name: str) -> Scenario:
    """The scenario of a name.

    Raises:
        KeyError: there is none.
    """
    found = scenario_named(name)
    if found is None:
        raise KeyError(name)
    return found


def can_race(actors: Sequence[str], state: Scenario) -> bool:
    """Whether these are raced in a state: the clock moves once, and one session holds the row.

    Where there is a payment, all that a creation does is to find it: that is raced by pairs, and once.
    """
    racing = [ACTORS[each] for each in actors]
    if any(each.startswith("create") for each in actors) and state.prepared is not Prepared.NOTHING:
        return state.prepared is Prepared.CREATED and len(actors) == 2
    return all(sum(isinstance(each, kind) for each in racing) < 2 for kind in (Tick, Holder))


def canonical(actors: Sequence[str]) -> Hashable:
    """What is the same for actors that differ in nothing but which keys they use."""
    keys = tuple(dict.fromkeys(key for each in actors for key in _KEYS if key in each.split("-")))
    return min(
        tuple(sorted(_renamed(each, dict(zip(keys, others, strict=True))) for each in actors))
        for others in permutations(_KEYS, len(keys))
    )


def is_there(actor: str, state: Scenario) -> bool:
    """Whether an actor can act in a state: no row is held before there is one, and no clock goes back."""
    match ACTORS[actor]:
        case Holder():
            return state.prepared is not Prepared.NOTHING
        case Tick():
            return not state.past_window
        case Client() | Sweeper():
            return True


def _renamed(actor: str, keys: Mapping[str, str]) -> str:
    return "-".join(keys.get(word, word) for word in actor.split("-"))
