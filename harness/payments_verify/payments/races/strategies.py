"""How races are drawn: what Hypothesis chooses, and what it shrinks to.

A race is a list of entries, each a command with the number of the client that sends it, a tick of the clock,
or a sweep; so one can be left out, or a command given to another client, without touching the others. The
schedule is a list of segments, each of which adds at most one switch that need not have been. Short lists
are simple, and so are small numbers: shrinking leads to few commands, few clients and few switches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from hypothesis import strategies as st

from payments_model import MAX_AMOUNT
from payments_verify.payments.inputs.classes import ALIKE_AMOUNTS, ALIKE_KEYS
from payments_verify.payments.programs.machine import RACED_KEYS, REASONS
from payments_verify.payments.races.source import source_of
from payments_verify.payments.scenarios.catalogue import WINDOW, Actor, Client, Command, Sweeper, Tick
from pgweave.interleavings.segments import Segment

Entry: TypeAlias = "tuple[int, Command] | Tick | Sweeper"
"""A command and the number of its client, or what is an actor by itself."""

_CLIENTS = 4
_ENTRIES = 6
"""As many as a race has at most: the judge tries every order in which its operations can end."""
_STEPS = (*range(1, 13), *(1,) * 8, *(2,) * 3, *(3,) * 2, *(12,) * 10)
"""How long segments are: often short, and often more than a command takes."""
_KINDS = (
    *("capture",) * 8,
    *("capture another amount", "fail", "read", "attempts", "authorize", "create", "create another amount"),
    *("tick", "tick", "tick", "sweep", "sweep"),
)
_LONGEST_KEY = 36
"""A race is printed as a test, which people read; longer keys race under stress."""
_KEYS = st.sampled_from(
    [RACED_KEYS] * 20 + [tuple(keys) for keys in ALIKE_KEYS.values() if max(map(len, keys)) <= _LONGEST_KEY]
)
"""The keys of a race: of one class, so that clients race with keys that a service may take for equal."""
_ARGUMENTS: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "fail": {"reason": REASONS},
    "authorize": {"window": st.just(WINDOW)},
}


@dataclass(frozen=True)
class DrawnRace:
    """A race as it is drawn; its ``repr`` is what Hypothesis prints."""

    actors: tuple[Actor, ...]
    segments: tuple[Segment, ...]

    def __repr__(self) -> str:
        segments = ", ".join(f"({segment.other}, {segment.steps})" for segment in self.segments)
        return f"{', '.join(map(source_of, self.actors))}; segments [{segments}]"


def drawn_races(
    amounts: Sequence[int], *, window_ends: bool = False, instances: int = 1
) -> st.SearchStrategy[DrawnRace]:
    """Races for payments.

    Args:
        amounts: what each payment amounts to, in cents.
        window_ends: whether the clock comes to the end of the first one's window in any case.
        instances: how many instances of the service there are to ask.
    """
    if window_ends:
        few = st.lists(_entries(amounts, instances), min_size=1, max_size=_ENTRIES - 1)
        entries = st.tuples(few, _ticks(st.just(0))).map(lambda drawn: [*drawn[0], drawn[1]])
    else:
        entries = st.lists(_entries(amounts, instances), min_size=2, max_size=_ENTRIES)
    segment = st.builds(Segment, st.integers(0, _CLIENTS - 1), st.sampled_from(_STEPS))
    segments = st.one_of(st.lists(segment, max_size=6), st.lists(segment, min_size=4, max_size=10))
    actors = st.builds(_with_keys, entries, _KEYS).map(actors_of)
    return st.builds(DrawnRace, actors, segments.map(tuple))


@st.composite
def _entries(draw: st.DrawFn, amounts: Sequence[int], instances: int) -> Entry:
    """An entry; a capture's key is the number of one of the race's."""
    kind = draw(st.sampled_from(_KINDS))
    if kind == "sweep":
        return Sweeper()
    which = st.sampled_from(range(len(amounts)))
    if kind == "tick":
        return draw(_ticks(which))
    payment = draw(which)
    client = draw(st.integers(0, _CLIENTS - 1))
    amount = amounts[payment]
    f = kind.partition(" ")[0]
    arguments = {name: draw(strategy) for name, strategy in _ARGUMENTS.get(f, {}).items()}
    if f == "capture":
        arguments["key"] = draw(st.integers(0, len(RACED_KEYS) - 1))
    if f in ("capture", "create"):
        is_another = kind.endswith("another amount")
        arguments["amount"] = draw(_other_amounts(amount)) if is_another else amount
    instance = draw(st.integers(0, instances - 1)) if instances > 1 else 0
    return client, Command(f, arguments, payment, instance)


def _with_keys(entries: Sequence[Entry], keys: Sequence[str]) -> list[Entry]:
    """The entries, with keys in the place of their numbers."""
    return [_with_key(each, keys) if isinstance(each, tuple) else each for each in entries]


def _with_key(entry: tuple[int, Command], keys: Sequence[str]) -> Entry:
    client, command = entry
    if command.f != "capture":
        return entry
    key = keys[command.arguments["key"] % len(keys)]
    return client, replace(command, arguments={**command.arguments, "key": key})


def _other_amounts(amount: int) -> st.SearchStrategy[int]:
    """Amounts that are not this one, and that a service may take for it."""
    alike = [other for first, *others in ALIKE_AMOUNTS.values() if first == amount for other in others]
    return st.sampled_from([amount % MAX_AMOUNT + 1, *alike])


def _ticks(which: st.SearchStrategy[int]) -> st.SearchStrategy[Tick]:
    return st.builds(Tick, st.sampled_from([0, -1, 1]), which)


def actors_of(entries: Sequence[Entry]) -> tuple[Actor, ...]:
    """Clients with their commands, in the order in which they come first; the others by themselves."""
    places: dict[int, int] = {}
    actors: list[Actor] = []
    for entry in entries:
        if isinstance(entry, Tick | Sweeper):
            actors.append(entry)
            continue
        number, command = entry
        known = actors[places[number]] if number in places else None
        if isinstance(known, Client):
            actors[places[number]] = Client((*known.commands, command))
        else:
            places[number] = len(actors)
            actors.append(Client((command,)))
    return tuple(actors)
