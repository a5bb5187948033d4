"""What a round of stress asks for: keys and amounts that a service may take for equal, and an odd µs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from payments_verify.payments.inputs.classes import (
    ALIKE_AMOUNTS,
    ALIKE_KEYS,
    AMOUNTS,
    EPOCH,
    SECOND,
    amounts_of,
    keys_of,
)
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.observed.traits import Traits

_KEYS = ("k1", "k2", "k3")
_WEIGHTS = {"capture": 60, "read": 15, "attempts": 5, "fail": 5, "authorize": 10, "create": 5}


@dataclass(frozen=True)
class RoundInputs:
    """The inputs of one round.

    Attributes:
        keys: the keys that its clients share.
        amount: what its payments amount to, in cents.
        other_amounts: what some captures ask for instead.
        start: where the clock stands when it begins, in µs.
    """

    keys: Sequence[str]
    amount: int
    other_amounts: Sequence[int]
    start: int


def inputs_of_round(number: int, rng: random.Random, traits: Traits) -> RoundInputs:
    """The inputs of a round: each takes the next class of keys, and the next of amounts.

    Args:
        number: the round's.
        rng: draws what is left open.
        traits: what the service takes.
    """
    amount, *others = _amounts(number, rng, traits)
    return RoundInputs(_keys(number, rng, traits), amount, others, EPOCH + 2 * rng.randrange(SECOND // 2) + 1)


def _keys(number: int, rng: random.Random, traits: Traits) -> Sequence[str]:
    classes = [] if traits.keys is None else [keys_of(traits, name) for name in ALIKE_KEYS]
    classes = [keys for keys in classes if len(keys) > 1]
    if not classes:
        return _KEYS
    keys = classes[number % len(classes)]
    first = 2 * rng.randrange(len(keys) // 2)  # where a class is made of pairs, one of them
    return keys[first : first + 3]


def _amounts(number: int, rng: random.Random, traits: Traits) -> Sequence[int]:
    """An amount, and others that are not captured."""
    alike = [found for each in ALIKE_AMOUNTS.values() if len(found := amounts_of(traits, each)) > 1]
    ends = [found for each in AMOUNTS.values() if (found := amounts_of(traits, each))]
    chosen = [*alike, *ends][number % (len(alike) + len(ends))]
    if chosen in alike:
        return chosen
    amount = rng.choice(chosen)
    return amount, amount + 1 if amount < traits.max_amount else amount - 1


def drawn_command(rng: random.Random, payment: str, inputs: RoundInputs, traits: Traits) -> Invocation:
    """A command for a payment.

    Args:
        rng: draws it.
        payment: its id.
        inputs: the round's.
        traits: what the service takes.
    """
    known = traits.commands if traits.chooses_ids else traits.commands - {"create"}
    weights = [weight if f in known else 0 for f, weight in _WEIGHTS.items()]
    kind = rng.choices(list(_WEIGHTS), weights=weights)[0]
    value: dict[str, Any] = {"payment": payment}
    if kind == "capture":
        is_other = rng.random() >= 0.85 and traits.captures_amounts
        amount = rng.choice(inputs.other_amounts) if is_other else inputs.amount
        value |= {"key": rng.choice(inputs.keys), "amount": amount}
    elif kind == "fail":
        value["reason"] = rng.choice(["declined", "voided"])
    elif kind == "authorize":
        value["window"] = traits.window(rng.choice([1, 2, 30]) * SECOND)
    elif kind == "create":
        value["amount"] = inputs.amount
    return Invocation(kind, traits.asked(kind, value))
