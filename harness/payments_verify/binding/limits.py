"""Limits that cannot be examined: beyond the model's, below what the harness sends, or against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from payments_model import MAX_AMOUNT, MAX_WINDOW, MIN_AMOUNT
from payments_verify.binding.requests import written_as
from payments_verify.binding.sections import Binding, Values
from payments_verify.binding.values import read_amount
from payments_verify.payments.inputs.classes import SECOND
from payments_verify.payments.scenarios.catalogue import AMOUNT, WINDOW

_LEAST_MAX_AMOUNT = 2 * AMOUNT
_LEAST_REFUSALS = 10
_LEAST_LENGTH, _LONGEST_KEY = 8, 255
_KEYS_OF_PROGRAMS = ("1", "k1", "k1 1000", "at -1", "captured")
_SOME = 1_000


def limit_problems(binding: Binding) -> Iterator[tuple[str, str]]:
    """The keys of a file whose limits cannot be examined, and why."""
    limits = binding.limits
    yield from _range_problem("limits.min_amount", limits.min_amount, MIN_AMOUNT, AMOUNT)
    if limits.min_amount > MIN_AMOUNT and "malformed" not in binding.outcomes_of("create"):
        yield "limits.min_amount", "needs an answer to commands.create with the outcome 'malformed'"
    yield from _range_problem("limits.max_amount", limits.max_amount, _LEAST_MAX_AMOUNT, MAX_AMOUNT)
    least, most = WINDOW // SECOND, MAX_WINDOW // SECOND
    yield from _range_problem("limits.max_window_seconds", limits.max_window_seconds, least, most)
    if limits.fixed_window_seconds is not None:
        yield from _range_problem("limits.fixed_window_seconds", limits.fixed_window_seconds, 1, most)
        if binding.asks_for_windows:
            yield "limits.fixed_window_seconds", "belongs to a service whose requests name no {window}"
    bound = limits.max_stored_refusals
    if bound is not None and bound < _LEAST_REFUSALS:
        yield "limits.max_stored_refusals", f"must be {_LEAST_REFUSALS} at least: as many captures race"
    if (bound is not None) != ("too_many_refusals" in binding.outcomes_of("capture")):
        yield "limits.max_stored_refusals", "belongs to an answer with the outcome 'too_many_refusals'"
    for number, amount in enumerate(limits.malformed_amounts or ()):
        if _is_amount(amount, binding):
            told = (
                f"{amount!r} is an amount, from limits.min_amount = {limits.min_amount} up to"
                f" limits.max_amount = {limits.max_amount}"
            )
            yield f"limits.malformed_amounts[{number}]", told
    yield from _key_problems(binding)


def _range_problem(key: str, value: int, least: int, most: int) -> Iterator[tuple[str, str]]:
    if not least <= value <= most:
        told = f"must be {least}, which the harness needs, to {most}, where the model ends, and is {value}"
        if value > most:
            told += ": a service that takes more is examined up to there; see also limits.malformed_amounts"
        yield key, told


def _is_amount(amount: Any, binding: Binding) -> bool:  # noqa: ANN401 - any TOML value
    """Whether it is an amount that the service takes; whole numbers in a file are cents, however sent."""
    values, limits = binding.values, binding.limits
    if type(amount) is int:
        return limits.min_amount <= amount <= limits.max_amount
    is_text = isinstance(amount, str) and (values.amount.endswith("text") or binding.amounts_are_text)
    if not is_text and not (isinstance(amount, float) and values.amount == "decimal number"):
        return False
    if is_text and values.amount == "cents":
        values = Values(amount="cents text")
    try:
        return limits.min_amount <= read_amount(amount, values) <= limits.max_amount
    except (ValueError, ArithmeticError):
        return False


def _key_problems(binding: Binding) -> Iterator[tuple[str, str]]:
    keys, length = binding.limits.keys, binding.keys.length
    try:
        refused = [key for key in _KEYS_OF_PROGRAMS if re.fullmatch(keys, key) is None]
    except re.error as error:
        yield "limits.keys", f"{keys!r} is no regular expression: {error}"
        return
    if refused and binding.key_form is None:
        yield "limits.keys", f"does not take {refused[0]!r}, which the harness sends: use keys.form instead"
    if length is None:
        return
    if not _LEAST_LENGTH <= length <= _LONGEST_KEY:
        yield "keys.length", f"must be {_LEAST_LENGTH} to {_LONGEST_KEY}"
    elif binding.key_form is None:
        yield "keys.length", "belongs to keys.form"
    else:
        # What keys share must not be all that is left of them.
        keys_made = (written_as(binding.key_form, uuid5(NAMESPACE_OID, str(each))) for each in range(_SOME))
        if len({key[:length] for key in keys_made}) < _SOME:
            yield "keys.length", f"leaves too little of {binding.key_form!r}: keys would be equal"
