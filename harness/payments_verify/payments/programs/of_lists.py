"""Programs that fill the list of payments, and a payment's list of attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payments_verify.payments.inputs.classes import (
    DATED_LIST,
    FULL_LIST,
    INSTANTS,
    LONG_LIST,
    LONG_LIST_LENGTH,
    SECOND,
    left_out,
)
from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.programs.compared import ComparedCalls

_AMOUNT = 500
_AT_ONCE = 3
"""Payments of one instant."""


def long_list(calls: ComparedCalls) -> None:
    """More attempts than a page has."""
    payment = calls.authorized(_AMOUNT)
    for number in range(LONG_LIST_LENGTH):
        calls.perform("capture", payment, key=f"{number}", amount=_AMOUNT + 1)
    for look in calls.system.traits.looks:
        calls.perform(look, payment)
    calls.tally.inputs[LONG_LIST] += 1


def full_list(calls: ComparedCalls) -> None:
    """Where no more refusals are stored, what is stored is answered, and a capture that succeeds is made."""
    payment, most = calls.authorized(_AMOUNT), calls.system.traits.max_stored_refusals or 0
    _refused(calls, payment, most + 1)
    if calls.reuses_keys:
        for key, amount in (("0", _AMOUNT + 1), (f"{most - 1}", _AMOUNT + 1), ("0", _AMOUNT)):
            calls.perform("capture", payment, key=key, amount=amount)
    for key in ("captured", "too late"):
        calls.perform("capture", payment, key=key, amount=_AMOUNT)
    calls.everything_visible_agrees()
    for moves, full_after in _moves(calls.system.traits):
        _full_after(calls, moves, full_after, most)
    calls.tally.inputs[FULL_LIST] += 1


def _moves(traits: Traits) -> Iterator[tuple[Sequence[str], int]]:
    """What becomes of payments, and after which move the last refusal is stored that may be."""
    if not traits.creates_authorized:
        yield ("create", "authorize", "capture"), 0
        yield ("create", "authorize", "capture"), 1
    yield ("open", "capture"), 1
    if "fail" in traits.commands:
        yield ("open", "fail"), 1
    if traits.moves_clock and traits.has_windows:
        yield ("open", "end", "sweep"), 1
        yield ("open", "end", "sweep"), 2


def _full_after(calls: ComparedCalls, moves: Sequence[str], full_after: int, most: int) -> None:
    """Once the last refusal is stored that may be, no more is, in that state or a later one."""
    payment, window = calls.new_id(), calls.system.traits.window(SECOND)
    for number, move in enumerate(moves):
        _moved(calls, payment, move, window)
        if number == 0:
            _refused(calls, payment, most - 1)
        if number >= full_after:
            for key in (f"the last after {move}", f"one more after {move}"):
                calls.perform("capture", payment, key=key, amount=_AMOUNT + 1)
    for look in calls.system.traits.looks:
        calls.perform(look, payment)
    calls.drop([payment])


def _moved(calls: ComparedCalls, payment: str, move: str, window: int) -> None:
    match move:
        case "create":
            calls.perform("create", payment, amount=_AMOUNT)
        case "authorize":
            calls.perform("authorize", payment, window=window)
        case "open":
            for f, asked in calls.system.traits.opening(payment, _AMOUNT, window):
                calls.perform(f, **asked)
        case "capture":
            calls.perform("capture", payment, key="captured", amount=_AMOUNT)
        case "fail":
            calls.perform("fail", payment, reason="voided")
        case "end":
            calls.set_clock(calls.now + window)
        case "sweep" if calls.system.traits.sweeps:
            calls.expire()


def _refused(calls: ComparedCalls, payment: str, number: int) -> None:
    for each in range(number):
        calls.perform("capture", payment, key=f"{each}", amount=_AMOUNT + 1)


def dated_list(calls: ComparedCalls) -> None:
    """Payments of just before something ends, and several of just then: in order, page by page."""
    out = left_out(calls.system.traits)
    for instant in (each for name, each in INSTANTS.items() if name not in out):
        for at, number in ((instant - 1, 1), (instant, _AT_ONCE)):
            if at >= calls.system.traits.since:
                calls.set_clock(at)
                for _ in range(number):
                    calls.perform("create", calls.new_id(), amount=calls.system.traits.amount(_AMOUNT))
    calls.everything_visible_agrees()
    calls.surface_agrees(page_by_page=True)
    calls.tally.inputs[DATED_LIST] += 1
