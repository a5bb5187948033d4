"""Z3's terms: any number of clients, payments, keys, amounts and instants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from types import SimpleNamespace

import z3

from lab.proof.logic import Map, Record, Term
from lab.proof.vocabulary import FIELDS, PARTS, STATIC, WORDS, State, Vocabulary


class Symbols(Vocabulary):
    """The terms.

    Attributes:
        axioms: what is assumed of them: instants have a total order with a least one.
    """

    def __init__(self, constraints: bool | None = None) -> None:
        self._context = z3.Context()
        names = ("client", "payment", "key", "amount", "instant")
        self.sorts: dict[str, z3.SortRef] = {
            name: z3.DeclareSort(name.capitalize(), self._context) for name in names
        }
        self.sorts["truth"] = z3.BoolSort(self._context)
        for name, words in WORDS.items():
            sort, constants = z3.EnumSort(name.capitalize(), [f"{name}_{w}" for w in words], self._context)
            self.sorts[name] = sort
            setattr(self, name, SimpleNamespace(**dict(zip(words, constants, strict=True))))
        self.fixed = SimpleNamespace(
            **{
                name: z3.Function(
                    f"fixed_{name}", *(self.sorts[each] for each in arguments), self.sorts[value]
                )
                for name, (arguments, value) in STATIC.items()
            }
        )
        self.zero = z3.Const("least", self.sorts["instant"])
        self.nothing = z3.Const("nothing", self.sorts["amount"])
        truth = self.sorts["truth"]
        self.constraints = (
            z3.Const("constraints", truth) if constraints is None else z3.BoolVal(constraints, self._context)
        )
        instant = self.sorts["instant"]
        self._before = z3.Function("before", instant, instant, truth)
        self.axioms = list(self._order())

    @property
    def context(self) -> z3.Context:
        """Where these terms live."""
        return self._context

    def before(self, one: Term, other: Term) -> Term:
        """Whether an instant comes before another, in their total order."""
        return self._before(one, other)

    def some(self, sort: str, condition: Callable[[Term], Term]) -> Term:
        """An existential quantifier."""
        each = z3.FreshConst(self.sorts[sort], sort)
        return z3.Exists([each], condition(each))

    def every(self, sort: str, condition: Callable[[Term], Term]) -> Term:
        """A universal quantifier."""
        each = z3.FreshConst(self.sorts[sort], sort)
        return z3.ForAll([each], condition(each))

    def _order(self) -> Iterable[Term]:
        a, b, c = z3.Consts("a b c", self.sorts["instant"])
        less = self._before
        yield z3.ForAll([a], z3.Not(less(a, a)))
        yield z3.ForAll([a, b, c], z3.Implies(z3.And(less(a, b), less(b, c)), less(a, c)))
        yield z3.ForAll([a, b], z3.Or(less(a, b), a == b, less(b, a)))
        yield z3.ForAll([a], z3.Or(self.zero == a, less(self.zero, a)))

    def any_state(self) -> State:
        """A state of which nothing is known."""
        parts = {name: self._map(name, arguments, value) for name, (arguments, value) in PARTS.items()}
        return State(now=z3.Const("now", self.sorts["instant"]), **parts)

    def _map(self, name: str, arguments: tuple[str, ...], value: type[Record] | str) -> Map:
        sorts = [self.sorts[each] for each in arguments]
        if isinstance(value, str):
            function = z3.Function(name, *sorts, self.sorts[value])
            return Map(function)
        parts = {
            field.name: z3.Function(f"{name}.{field.name}", *sorts, self.sorts[FIELDS[field.name]])
            for field in fields(value)
        }
        return Map(lambda *where: value(**{name: part(*where) for name, part in parts.items()}))
