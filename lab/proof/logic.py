"""The words that the protocol is written in, with two meanings.

Of Z3's expressions they make formulas, for any number of clients; of Python's values they compute, for a few.
So one text of the protocol is both proved and run. A record is a bundle of fields, each a term of its own:
that keeps the formulas in the fragment that Z3 decides (see ``check``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypeVar

import z3

Term: TypeAlias = Any
"""A Z3 expression, or a value; or a record of terms."""

_R = TypeVar("_R", bound="Record")


@dataclass(frozen=True)
class Record:
    """A bundle of terms."""


def both(*conditions: Term) -> Term:
    """Whether all hold."""
    if any(z3.is_expr(each) for each in conditions):
        return z3.And(*conditions)
    return all(conditions)


def either(*conditions: Term) -> Term:
    """Whether one holds."""
    if any(z3.is_expr(each) for each in conditions):
        return z3.Or(*conditions)
    return any(conditions)


def no(condition: Term) -> Term:
    """Whether it does not hold."""
    return z3.Not(condition) if z3.is_expr(condition) else not condition


def implies(condition: Term, conclusion: Term) -> Term:
    """Whether the conclusion holds where the condition does."""
    return either(no(condition), conclusion)


def same(one: Term, other: Term) -> Term:
    """Whether two terms are equal; of records, field by field."""
    if isinstance(one, Record):
        names = [field.name for field in fields(one)]
        return both(*(same(getattr(one, name), getattr(other, name)) for name in names))
    return one == other


def differ(one: Term, other: Term) -> Term:
    """Whether two terms are not equal."""
    return no(same(one, other))


def among(term: Term, *terms: Term) -> Term:
    """Whether a term is one of these."""
    return either(*(same(term, each) for each in terms))


def choose(condition: Term, one: Term, other: Term) -> Term:
    """One term if the condition holds, and otherwise the other; of records, field by field."""
    if not z3.is_expr(condition):
        return one if condition else other
    if isinstance(one, Record):
        names = [field.name for field in fields(one)]
        return replace(
            one, **{name: choose(condition, getattr(one, name), getattr(other, name)) for name in names}
        )
    return z3.If(condition, one, other)


def first(*cases: tuple[Term, Term], otherwise: Term) -> Term:
    """The term of the first case whose condition holds."""
    chosen = otherwise
    for condition, term in reversed(cases):
        chosen = choose(condition, term, chosen)
    return chosen


class Map:
    """A function of the state: what each client, payment or key has.

    Args:
        value: the value of one argument, or of several.
        domain: the arguments there are, where they can be listed; then the values are computed at once.
    """

    def __init__(self, value: Callable[..., Term], domain: Sequence[tuple[Term, ...]] | None = None) -> None:
        self._domain = domain
        self._known: Mapping[tuple[Term, ...], Term] | None = (
            None if domain is None else {arguments: value(*arguments) for arguments in domain}
        )
        self._value = value

    def __call__(self, *arguments: Term) -> Term:
        """The value there."""
        return self._value(*arguments) if self._known is None else self._known[arguments]

    def with_value(self, *arguments: Term, value: Term) -> Map:
        """The same, but for one place."""
        here = tuple(arguments)
        return self.where(lambda *others: both(*map(same, others, here)), lambda *_: value)

    def where(self, condition: Callable[..., Term], value: Callable[..., Term]) -> Map:
        """The same, but for the places where the condition holds."""
        return Map(lambda *others: choose(condition(*others), value(*others), self(*others)), self._domain)

    def values(self) -> tuple[Term, ...]:
        """All values, in the order of the domain; for a map whose domain can be listed."""
        assert self._known is not None
        return tuple(self._known.values())
