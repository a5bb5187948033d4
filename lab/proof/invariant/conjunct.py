"""Conjuncts and properties: formulas over all clients, payments and keys, with the words for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lab.proof.logic import Map, Term, among, both, differ, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import RECORDED, Attempt, Row, State

Says: TypeAlias = Callable[[Protocol, State], Term]
SaysOfStored: TypeAlias = Callable[[Protocol, Map, Map], Term]
"""Of the rows, and what is stored under keys."""

SaysOfStep: TypeAlias = Callable[[Protocol, State, State, Term], Term]
"""Of the state before, the state after, and the client whose step it was."""

HELD = ("find", "clock", "update", "insert", "commit", "rollback")
"""Where a client can have the lock."""

READ = ("update", "insert", "commit")
"""Where a client has read all that it decides on."""


@dataclass(frozen=True)
class Conjunct:
    """One part of the invariant.

    Attributes:
        name: its name.
        words: what it says.
        says: the formula.
        invariants: the ids of the specification's invariants that it is about.
        needs_order: whether it holds only while the clock does not step back.
    """

    name: str
    words: str
    says: Says
    invariants: Sequence[str] = ()
    needs_order: bool = False


@dataclass(frozen=True)
class StepProperty:
    """What holds of every step."""

    name: str
    words: str
    says: SaysOfStep
    invariants: Sequence[str] = ()
    needs_order: bool = False


def conjunct(*invariants: str, needs_order: bool = False) -> Callable[[Says], Conjunct]:
    """Make a conjunct of a formula: its name is the function's, and its words are what it documents."""
    return lambda says: Conjunct(_name(says), _words(says), says, invariants, needs_order)


def stored_conjunct(*invariants: str, needs_order: bool = False) -> Callable[[SaysOfStored], Conjunct]:
    """The same of what is stored: once as it is, and once as the standby has it."""

    def made(says: SaysOfStored) -> Conjunct:
        def of_both(m: Protocol, s: State) -> Term:
            return both(says(m, s.row, s.under), says(m, s.kept_row, s.kept_under))

        return Conjunct(_name(says), _words(says), of_both, invariants, needs_order)

    return made


def step_property(*invariants: str, needs_order: bool = False) -> Callable[[SaysOfStep], StepProperty]:
    """Make a property of steps of a formula."""
    return lambda says: StepProperty(_name(says), _words(says), says, invariants, needs_order)


def _name(says: Callable[..., Term]) -> str:
    return says.__name__.replace("_", " ")


def _words(says: Callable[..., Term]) -> str:
    sentence = " ".join((says.__doc__ or "").split()).removesuffix(".")
    return sentence[:1].lower() + sentence[1:]


def stands_at(m: Protocol, s: State, p: Term, *places: str) -> Term:
    """Whether a client stands at one of these statements."""
    return among(s.at(p), *(getattr(m.words.place, each) for each in places))


def not_after(m: Protocol, one: Term, other: Term) -> Term:
    """Whether an instant is not after another."""
    return no(m.words.before(other, one))


def exists(m: Protocol, row: Row) -> Term:
    """Whether there is a payment."""
    return differ(row.state, m.words.state.none)


def is_stored(m: Protocol, attempt: Attempt) -> Term:
    """Whether something is stored under the key."""
    return differ(attempt.outcome, m.words.outcome.none)


def is_captured(m: Protocol, attempt: Attempt) -> Term:
    """Whether it is a success."""
    return same(attempt.outcome, m.words.outcome.captured)


def all_clients(m: Protocol, says: Callable[[Term], Term]) -> Term:
    """Whether it is so of every client."""
    return m.words.every("client", says)


def is_recorded(m: Protocol, outcome: Term) -> Term:
    """Whether the outcome is one that is stored under a key."""
    return among(outcome, *(getattr(m.words.outcome, each) for each in RECORDED))
