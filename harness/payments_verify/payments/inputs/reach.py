"""Which classes of inputs a command has come to: seen in what the model stored before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from payments_model import Attempt, Authorized, Payment, Record
from payments_verify.payments.inputs.classes import (
    ALIKE_AMOUNTS,
    ALIKE_KEYS,
    AMOUNTS,
    ANOTHER_PAYMENTS_KEY,
    EDGES,
    INSTANTS,
    ODD_MICROSECONDS,
    STANDS_STILL,
    STEPS_BACK,
    WINDOWS,
)
from payments_verify.payments.specification.steps import PaymentState, value_of
from pgweave.history.linearizability import Part

_MILLISECOND = 1_000


def classes_reached(
    value: Mapping[str, Any], before: Record, after: Record, others: Iterable[Record], now: int
) -> Iterator[str]:
    """The classes that a capture came to, if it was decided and not repeated.

    Args:
        value: its arguments.
        before: what was stored of the payment.
        after: what is stored now.
        others: what is stored of other payments.
        now: the instant, in µs.
    """
    key = value["key"]
    decided = after.attempt(key)
    payment = before.payment
    if decided is None or before.attempt(key) is not None or payment is None:
        return
    yield from _of_keys(key, before, others)
    yield from _of_amounts(payment, decided)
    if isinstance(payment, Authorized):
        yield from _of_instants(payment, now)


def classes_of_parts(parts: Iterable[Part[PaymentState]]) -> Iterator[str]:
    """The classes that the captures of linearizations came to, each part's by itself."""
    for part in parts:
        before = Record()
        for step in part.order if part.verdict == "holds" else ():
            after, decided = step.state.record, step.state.decided
            if step.operation.f == "capture":
                yield from classes_reached(value_of(step.operation), before, after, (), decided)
            before = after


def classes_of_record(before: Record, after: Record) -> Iterator[str]:
    """The classes that the captures of a race came to: each beside all others that are stored after it."""
    for key, attempt in after.attempts:
        if before.attempt(key) is None:
            beside = replace(before, attempts=frozenset(each for each in after.attempts if each[0] != key))
            yield from classes_reached({"key": key}, beside, after, (), attempt.decided_at)


def _of_keys(key: str, before: Record, others: Iterable[Record]) -> Iterator[str]:
    known = {each for each, _ in before.attempts}
    for name, keys in ALIKE_KEYS.items():
        if key in keys and not known.isdisjoint(keys):
            yield name
    if any(each.attempt(key) is not None for each in others):
        yield ANOTHER_PAYMENTS_KEY


def _of_amounts(payment: Payment, decided: Attempt) -> Iterator[str]:
    if decided.amount == payment.amount:
        yield from (name for name, amounts in AMOUNTS.items() if decided.amount in amounts)
        return
    for name, (authorized, *alike) in ALIKE_AMOUNTS.items():
        if payment.amount == authorized and decided.amount in alike:
            yield name


def _of_instants(payment: Authorized, now: int) -> Iterator[str]:
    began, end = payment.authorized_at, payment.capture_expires_at
    if now == began:
        yield STANDS_STILL
    if now < began:
        yield STEPS_BACK
    if now - end not in EDGES:
        return
    yield EDGES[now - end]
    yield from (name for name, window in WINDOWS.items() if end - began == window)
    yield from (name for name, instant in INSTANTS.items() if began <= instant < end)
    if began % _MILLISECOND:
        yield ODD_MICROSECONDS
