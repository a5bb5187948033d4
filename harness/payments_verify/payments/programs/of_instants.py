"""Programs of the clock: where windows end, what they hold, how long something is due, and steps back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payments_verify.payments.inputs.classes import DUE_FOR, DUE_FOR_LONG, EDGES, HALF_HOUR, SECOND
from payments_verify.payments.programs.compared import ComparedCalls

_AMOUNT = 500
_OFFSETS = (1, 499_999, 999_999)  # cut to ms, or rounded, each is another instant
_STEPS = (-SECOND - 1, 0, SECOND + 1)
"""How far the clock goes from each decision of a life to the next."""
_KEYS = "2", "4", "1", "3"
"""Those of a life, as they are used: in another order than theirs."""


def window_around(calls: ComparedCalls, instant: int, window: int) -> None:
    """A window that holds the instant; where windows may be short, one before and one after it, too."""
    calls.set_clock(max(calls.system.traits.since, instant - window // 2))
    payments, end = _authorized(calls, window), calls.now + window
    for at in (instant - HALF_HOUR, instant + HALF_HOUR) if calls.system.traits.fixed_window is None else ():
        if at >= calls.system.traits.since:
            calls.set_clock(at)
            _edges_of(calls, SECOND)
    _captured_at_edges(calls, payments, end)


def odd_microseconds(calls: ComparedCalls) -> None:
    """Windows that begin between two milliseconds."""
    for offset in _OFFSETS:
        calls.set_clock(calls.now - calls.now % SECOND + 10 * SECOND + offset)
        _edges_of(calls, SECOND)


def _edges_of(calls: ComparedCalls, window: int) -> None:
    """At each edge of a window a payment is captured; a sweep leaves what is not due, and takes what is."""
    payments, end = _authorized(calls, window), calls.now + calls.system.traits.window(window)
    _captured_at_edges(calls, payments, end)


def _authorized(calls: ComparedCalls, window: int) -> Mapping[int, str]:
    return {offset: calls.authorized(_AMOUNT, window) for offset in EDGES}


def _captured_at_edges(calls: ComparedCalls, payments: Mapping[int, str], end: int) -> None:
    for offset, payment in payments.items():
        calls.set_clock(end + offset)
        calls.perform("capture", payment, key=f"at {offset}", amount=_AMOUNT)
        calls.everything_visible_agrees()
        if calls.system.traits.sweeps and offset != 0:
            calls.expire()
    calls.everything_visible_agrees()
    calls.drop(payments.values())


def edges_and_sweep(calls: ComparedCalls, window: int) -> None:
    """The same, failures at each edge, and a sweep in the very µs in which a window ends."""
    _edges_of(calls, window)
    if "fail" in calls.system.traits.commands:
        _failed_at_edges(calls, window)
    calls.authorized(_AMOUNT, window)
    calls.set_clock(calls.now + window)
    _swept(calls)


def _failed_at_edges(calls: ComparedCalls, window: int) -> None:
    """Until it has expired a payment can be failed, for the reason and at the time that it is."""
    payments, end = _authorized(calls, window), calls.now + window
    for (offset, payment), reason in zip(payments.items(), ("declined", "voided", "voided"), strict=True):
        calls.set_clock(end + offset)
        calls.perform("fail", payment, reason=reason)
    calls.everything_visible_agrees()
    calls.drop(payments.values())


def due_for_long(calls: ComparedCalls) -> None:
    """What has been due for however long expires with the next sweep, with all else that is due."""
    traits, begun = calls.system.traits, calls.now
    window = traits.window(SECOND)
    latest = begun + DUE_FOR[-1]
    for due_for in sorted(DUE_FOR, reverse=True):
        calls.set_clock(latest - due_for)
        calls.authorized(_AMOUNT, window)
    calls.set_clock(latest + window)
    _swept(calls)
    calls.tally.inputs[DUE_FOR_LONG] += 1


def clock_stands_still(calls: ComparedCalls) -> None:
    """Several captures of one instant."""
    first, second = calls.authorized(_AMOUNT), calls.authorized(_AMOUNT)
    for key, payment, amount in (("1", first, _AMOUNT + 1), ("2", first, _AMOUNT), ("3", second, _AMOUNT)):
        calls.perform("capture", payment, key=key, amount=amount)
    calls.everything_visible_agrees()


def clock_steps_back(calls: ComparedCalls) -> None:
    """What decides is the clock as it is: before an authorization, and within a window that had ended.

    It dates what is decided, too, whatever was decided before.
    """
    early, late = calls.authorized(_AMOUNT, SECOND), calls.authorized(_AMOUNT, SECOND)
    begun, window = calls.now, calls.system.traits.window(SECOND)
    calls.set_clock(begun + window)
    calls.perform("capture", late, key="late", amount=_AMOUNT)
    calls.set_clock(begun + window - 1)
    _swept(calls)
    calls.perform("capture", late, key="in time", amount=_AMOUNT)
    calls.set_clock(begun - SECOND)
    _swept(calls)
    calls.perform("capture", early, key="early", amount=_AMOUNT)
    calls.everything_visible_agrees()
    calls.drop([early, late])
    for step in _STEPS:
        _lives(calls, step)
    calls.everything_visible_agrees()


def _lives(calls: ComparedCalls, step: int) -> None:
    """A life to each end, with such steps of the clock. An audit of what is stored looks at their events."""
    traits = calls.system.traits
    _lived(calls, step, "capture", key="2 captures", amount=_AMOUNT)
    if "fail" in traits.commands:
        for reason in dict.fromkeys(map(traits.reason, ("declined", "voided"))):
            _lived(calls, step, "fail", reason=reason)
    if traits.sweeps:
        _lived(calls, step, "sweep")


def _lived(calls: ComparedCalls, step: int, end: str, **asked: Any) -> None:  # noqa: ANN401
    """A life: a payment to its end, of which a capture is refused after each move, and one that is due."""
    traits, payment, keys = calls.system.traits, calls.new_id(), iter(_KEYS)
    window = traits.window(60 * SECOND)
    ends = calls.now + window

    def decided(f: str, **asked: Any) -> None:  # noqa: ANN401
        calls.perform(f, **{"payment": payment, **asked})
        calls.set_clock(calls.now + step)

    def refused() -> None:
        if traits.captures_amounts:
            decided("capture", key=next(keys), amount=traits.another_amount(_AMOUNT))

    for f, opening in traits.opening(payment, _AMOUNT, window):
        ends = calls.now + window
        decided(f, **opening)
        refused()
    if end == "sweep":
        calls.set_clock(ends + 2 * abs(step))
        refused()
        calls.expire()
        calls.set_clock(calls.now + step)
    else:
        decided(end, **asked)
    refused()


def _swept(calls: ComparedCalls) -> None:
    """What a sweep leaves and takes."""
    if calls.system.traits.sweeps:
        calls.expire()
        calls.everything_visible_agrees()
