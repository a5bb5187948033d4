"""A counterexample to induction: a state that the invariant allows, and a step that it does not keep it by.

Z3 is asked for one with few clients, payments, keys, amounts and instants. What it finds is read back as
values, and the step is taken again with them, by the same text of the protocol: it has to come out the
same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product

import z3

from lab.proof.check import Proof
from lab.proof.few import Client, Race, Values
from lab.proof.invariant import Conjunct, StepProperty
from lab.proof.logic import Map, Record, Term, no
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import FIELDS, PARTS, State

_SIZES: Sequence[Mapping[str, int]] = (
    {"client": 1, "payment": 1, "key": 1, "amount": 2, "instant": 2},
    {"client": 2, "payment": 1, "key": 1, "amount": 2, "instant": 3},
    {"client": 2, "payment": 1, "key": 2, "amount": 2, "instant": 4},
    {"client": 3, "payment": 2, "key": 2, "amount": 3, "instant": 4},
)


class NoCounterexampleError(ValueError):
    """The step keeps what it was asked about, with so few."""


@dataclass(frozen=True)
class Counterexample:
    """A step that leads out of the invariant.

    Attributes:
        step: what is done.
        goal: what does not hold afterwards.
        client: who does it.
        race: who there is.
        before: the state before.
        after: the state afterwards.
    """

    step: str
    goal: Conjunct | StepProperty
    client: int
    race: Race
    before: State
    after: State


def find(
    proof: Proof, step: str, goal: Conjunct | StepProperty, assumed: Sequence[Conjunct]
) -> Counterexample:
    """The smallest counterexample.

    Args:
        proof: the protocol.
        step: the step.
        goal: what it does not keep, or is not.
        assumed: the conjuncts that hold before.

    Raises:
        NoCounterexampleError: there is none.
    """
    taken = proof.steps[step]
    if isinstance(goal, Conjunct):
        formula = goal.says(proof.protocol, taken.after)
    else:
        formula = goal.says(proof.protocol, proof.state, taken.after, proof.client)
    for sizes in _SIZES:
        solver = proof.solver()
        members = _members(proof, solver, sizes)
        solver.add(*(each.says(proof.protocol, proof.state) for each in assumed))
        solver.add(taken.guard, no(formula))
        if solver.check() == z3.sat:
            return _read(proof, step, goal, solver.model(), members)
    raise NoCounterexampleError(f"{step} keeps {goal.name!r}, as far as a few clients show")


def _members(proof: Proof, solver: z3.Solver, sizes: Mapping[str, int]) -> dict[str, list[z3.ExprRef]]:
    """Names for all that there is of each sort."""
    members: dict[str, list[z3.ExprRef]] = {}
    for sort, count in sizes.items():
        named = [z3.Const(f"{sort}_{number}", proof.words.sorts[sort]) for number in range(count)]
        each = z3.Const("each", proof.words.sorts[sort])
        solver.add(z3.ForAll([each], z3.Or(*(each == one for one in named))))
        members[sort] = named
    return members


def _read(
    proof: Proof,
    step: str,
    goal: Conjunct | StepProperty,
    model: z3.ModelRef,
    members: Mapping[str, Sequence[z3.ExprRef]],
) -> Counterexample:
    reader = _Reader(proof, model, members)
    race = reader.race()
    words = Values(race)
    protocol = Protocol(words, proof.options)
    before = reader.state(words)
    client: int = reader.value("client", proof.client)
    end: int = reader.value("instant", z3.Const("end", proof.words.sorts["instant"]))
    taken = {**protocol.statements(), **protocol.faults()}[step](before, client, end)
    holds = (
        goal.says(protocol, taken.after)
        if isinstance(goal, Conjunct)
        else goal.says(protocol, before, taken.after, client)
    )
    if not taken.guard or holds:
        raise AssertionError(f"a counterexample that does not compute: {step}, {goal.name}")
    return Counterexample(step, goal, client, race, before, taken.after)


class _Reader:
    """Reads values off a model: clients and payments by number, instants and amounts by their order."""

    def __init__(self, proof: Proof, model: z3.ModelRef, members: Mapping[str, Sequence[z3.ExprRef]]) -> None:
        self._proof = proof
        self._model = model
        distinct = {
            sort: list({self._text(each): each for each in named}.values()) for sort, named in members.items()
        }
        instants = distinct["instant"]
        distinct["instant"] = sorted(
            instants, key=lambda one: sum(self._is_before(each, one) for each in instants)
        )
        nothing = self._text(proof.words.nothing)
        distinct["amount"].sort(key=lambda one: self._text(one) != nothing)
        self.members = distinct
        self._numbers = {
            sort: {self._text(each): number for number, each in enumerate(named)}
            for sort, named in distinct.items()
        }

    def _is_before(self, one: Term, other: Term) -> bool:
        return bool(z3.is_true(self._model.eval(self._proof.words.before(one, other), model_completion=True)))

    def _text(self, term: Term) -> str:
        return str(self._model.eval(term, model_completion=True))

    def value(self, sort: str, term: Term) -> Term:
        """A term's value."""
        if isinstance(term, bool):
            return term
        text = self._text(term)
        if sort == "truth":
            return text == "True"
        if sort == "key":
            return f"k{self._numbers[sort][text] + 1}"
        if sort in self._numbers:
            return self._numbers[sort][text]
        return text.removeprefix(f"{sort}_")

    def race(self) -> Race:
        """Who there is."""
        fixed = self._proof.words.fixed
        clients = [
            Client(
                self.value("does", fixed.does(p)),
                self.value("key", fixed.key(p)),
                self.value("amount", fixed.amount(p)),
                self.value("instant", fixed.to(p)),
                self.value("payment", fixed.of(p)),
            )
            for p in self.members["client"]
        ]
        constraints = self.value("truth", self._proof.words.constraints)
        return Race(clients, constraints=constraints)

    def state(self, words: Values) -> State:
        """The state before the step."""
        words.members = {
            "client": range(len(self.members["client"])),
            "payment": range(len(self.members["payment"])),
            "key": [f"k{number + 1}" for number in range(len(self.members["key"]))],
        }
        maps = {name: self._map(words, name, *shape) for name, shape in PARTS.items()}
        return State(now=self.value("instant", self._proof.state.now), **maps)

    def _map(self, words: Values, name: str, arguments: Sequence[str], value: type[Record] | str) -> Map:
        part = getattr(self._proof.state, name)
        domain = list(product(*(words.members[each] for each in arguments)))
        terms = list(product(*(self.members[each] for each in arguments)))
        known = {here: self._of(value, part(*there)) for here, there in zip(domain, terms, strict=True)}
        return Map(lambda *here: known[here], domain)

    def _of(self, value: type[Record] | str, term: Term) -> Term:
        if isinstance(value, str):
            return self.value(value, term)
        read = {each.name: self.value(FIELDS[each.name], getattr(term, each.name)) for each in fields(value)}
        return value(**read)
