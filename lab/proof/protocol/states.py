"""A step, and states that depend on a condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.proof.logic import Map, Term, choose
from lab.proof.vocabulary import State


@dataclass(frozen=True)
class ProtocolStep:
    """What a client may do: when, and the state afterwards."""

    guard: Term
    after: State


Action = Callable[[State, Term, Term], ProtocolStep]
"""Of a state, a client, and the instant at which a window that it opens will end."""


def constant(value: Term) -> Callable[..., Term]:
    """A function that has one value."""
    return lambda *_: value


def either_map(condition: Term, one: Map, other: Map) -> Map:
    """One map if the condition holds, and otherwise the other."""
    return other.where(lambda *_: condition, one)


def either_state(condition: Term, one: State, other: State) -> State:
    """One state if the condition holds, and otherwise the other."""
    if condition is True or condition is False:
        return one if condition else other
    chosen = {
        name: either_map(condition, value, getattr(other, name))
        for name, value in vars(one).items()
        if isinstance(value, Map)
    }
    return State(now=choose(condition, one.now, other.now), **chosen)
