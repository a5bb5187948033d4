"""The capture: the one command with a key, a window and a total order of precedence.

``capture`` is the rule. ``CAPTURE_PRECEDENCE`` states the same a second time, as a list of conditions of
which the first that holds names the answer; a contract ties the two together.
"""

from collections.abc import Callable
from typing import TypeAlias

from icontract import ensure, require

from payments_model.outcome import RECORDED, Attempt, Outcome, Step
from payments_model.payment import (
    MAX_AMOUNT,
    MAX_STORED_REFUSALS,
    MIN_AMOUNT,
    Authorized,
    Captured,
    Failed,
    Payment,
    Pending,
    coherent,
    legal_move,
    state_of,
    window_open,
)

Condition: TypeAlias = Callable[[Payment | None, Attempt | None, int, int, int], bool]


def _malformed(
    _payment: Payment | None, _recorded: Attempt | None, amount: int, _now: int, _left: int
) -> bool:
    """The amount is malformed."""
    return not MIN_AMOUNT <= amount <= MAX_AMOUNT


def _no_such_payment(
    payment: Payment | None, _recorded: Attempt | None, _amount: int, _now: int, _left: int
) -> bool:
    """There is no such payment."""
    return payment is None


def _key_reused(
    _payment: Payment | None, recorded: Attempt | None, amount: int, _now: int, _left: int
) -> bool:
    """The key is known, and the request differs."""
    return recorded is not None and recorded.amount != amount


def _no_room(payment: Payment | None, recorded: Attempt | None, amount: int, now: int, left: int) -> bool:
    """No more refusals of the payment may be stored, and one of the next five applies."""
    return left <= 0 and (
        _pending(payment, recorded, amount, now, left)
        or _captured(payment, recorded, amount, now, left)
        or _failed(payment, recorded, amount, now, left)
        or _window_closed(payment, recorded, amount, now, left)
        or _amount_differs(payment, recorded, amount, now, left)
    )


def _pending(payment: Payment | None, _recorded: Attempt | None, _amount: int, _now: int, _left: int) -> bool:
    """The payment is pending."""
    return isinstance(payment, Pending)


def _captured(
    payment: Payment | None, _recorded: Attempt | None, _amount: int, _now: int, _left: int
) -> bool:
    """The payment is captured."""
    return isinstance(payment, Captured)


def _failed(payment: Payment | None, _recorded: Attempt | None, _amount: int, _now: int, _left: int) -> bool:
    """The payment has failed."""
    return isinstance(payment, Failed)


def _window_closed(
    payment: Payment | None, _recorded: Attempt | None, _amount: int, now: int, _left: int
) -> bool:
    """Now is at or after `capture_expires_at`."""
    return isinstance(payment, Authorized) and not window_open(payment, now)


def _amount_differs(
    payment: Payment | None, _recorded: Attempt | None, amount: int, _now: int, _left: int
) -> bool:
    """The amount is not the authorized amount."""
    return payment is not None and payment.amount != amount


def _always(_payment: Payment | None, _recorded: Attempt | None, _amount: int, _now: int, _left: int) -> bool:
    """None of these."""
    return True


CAPTURE_PRECEDENCE: tuple[tuple[Outcome, Condition], ...] = (
    (Outcome.MALFORMED, _malformed),
    (Outcome.NOT_FOUND, _no_such_payment),
    (Outcome.KEY_REUSED, _key_reused),
    (Outcome.TOO_MANY_REFUSALS, _no_room),
    (Outcome.NOT_AUTHORIZED, _pending),
    (Outcome.ALREADY_CAPTURED, _captured),
    (Outcome.PAYMENT_FAILED, _failed),
    (Outcome.WINDOW_EXPIRED, _window_closed),
    (Outcome.AMOUNT_MISMATCH, _amount_differs),
    (Outcome.CAPTURED, _always),
)
"""The answers to a capture that is no replay: the first whose condition holds is the answer.

A known key with the same request comes between ``NOT_FOUND`` and ``KEY_REUSED``: it repeats its own answer.
"""


def first_applicable(
    payment: Payment | None, recorded: Attempt | None, amount: int, now: int, refusals_left: int
) -> Outcome:
    """The answer that ``CAPTURE_PRECEDENCE`` gives to a capture that is no replay."""
    return next(
        outcome
        for outcome, applies in CAPTURE_PRECEDENCE
        if applies(payment, recorded, amount, now, refusals_left)
    )


def coherent_attempt(payment: Payment | None, recorded: Attempt | None) -> bool:
    """Whether this attempt can be stored for this payment (I6).

    Never without a payment; a success exactly of a captured payment, and of its whole amount.
    """
    if recorded is None:
        return True
    if payment is None or recorded.outcome not in RECORDED:
        return False
    if recorded.outcome is Outcome.CAPTURED:
        return isinstance(payment, Captured) and recorded.amount == payment.captured_amount
    return MIN_AMOUNT <= recorded.amount <= MAX_AMOUNT


@require(lambda payment: payment is None or coherent(payment))
@require(lambda payment, recorded: coherent_attempt(payment=payment, recorded=recorded))
@ensure(
    lambda payment, result: (
        (result.outcome is Outcome.CAPTURED and not result.replayed)
        == (isinstance(payment, Authorized) and isinstance(result.payment, Captured))
    ),
    "I1: a payment becomes captured by the one capture that succeeds, and only from authorized",
)
@ensure(
    lambda payment, amount, result: (
        result.outcome is not Outcome.CAPTURED
        or result.replayed
        or result.payment.captured_amount == amount == payment.amount
    ),
    "I1: a capture takes exactly the authorized amount",
)
@ensure(
    lambda payment, result: (
        result.payment is None if payment is None else legal_move(state_of(payment), state_of(result.payment))
    ),
    "I2: only legal moves happen",
)
@ensure(
    lambda payment, recorded, amount, result: (
        payment is None
        or recorded is None
        or recorded.amount != amount
        or result == Step(payment, recorded, recorded.outcome, replayed=True)
    ),
    "I3: a known key with the same request gets the stored answer again, and nothing changes",
)
@ensure(
    lambda recorded, result: recorded is None or result.attempt == recorded,
    "I3: what is stored under a key stays",
)
@ensure(
    lambda recorded, amount, now, result: (
        recorded is not None
        or result.attempt == (Attempt(amount, result.outcome, now) if result.outcome in RECORDED else None)
    ),
    "I3: a decided capture is stored under its key; one that is not decided leaves nothing",
)
@ensure(
    lambda payment, recorded, amount, result: (
        recorded is None
        or recorded.amount == amount
        or not MIN_AMOUNT <= amount <= MAX_AMOUNT
        or result == Step(payment, recorded, Outcome.KEY_REUSED)
    ),
    "I4: a known key with another request is refused, and nothing changes",
)
@ensure(
    lambda payment, now, result: (
        result.outcome is not Outcome.CAPTURED or result.replayed or now < payment.capture_expires_at
    ),
    "I5: a capture is decided strictly before the window ends",
)
@ensure(
    lambda result: result.payment is None or coherent(result.payment),
    "I6: the payment's values are possible together",
)
@ensure(
    lambda result: coherent_attempt(result.payment, result.attempt),
    "I6: a success is stored exactly when the payment is captured",
)
@ensure(
    lambda payment, result: result.outcome is Outcome.CAPTURED or result.payment == payment,
    "I11: a refusal changes nothing but the attempt it records",
)
@ensure(
    lambda recorded, refusals_left, result: (
        recorded is not None
        or result.attempt is None
        or result.outcome is Outcome.CAPTURED
        or refusals_left > 0
    ),
    "I11: a refusal is stored only while there is room for it",
)
@ensure(
    lambda payment, recorded, amount, now, refusals_left, result: (
        result.replayed or result.outcome is first_applicable(payment, recorded, amount, now, refusals_left)
    ),
    "Precedence: the first condition that holds is the answer",
)
def capture(
    payment: Payment | None,
    recorded: Attempt | None,
    amount: int,
    now: int,
    refusals_left: int = MAX_STORED_REFUSALS,
) -> Step:
    """Capture ``amount`` cents of ``payment`` at ``now`` (µs), under a key that holds ``recorded``.

    The order of the lines is the order of precedence. ``recorded`` is what is stored under the request's
    own key, ``None`` for a new key. Of the other keys only their number counts: ``refusals_left`` is how many
    more refusals of the payment may be stored, none if it is 0 or less.
    """
    if not MIN_AMOUNT <= amount <= MAX_AMOUNT:
        return Step(payment, recorded, Outcome.MALFORMED)
    if payment is None:
        return Step(None, None, Outcome.NOT_FOUND)
    if recorded is not None:
        if recorded.amount == amount:
            return Step(payment, recorded, recorded.outcome, replayed=True)
        return Step(payment, recorded, Outcome.KEY_REUSED)
    decided = _decide(payment, amount, now)
    if refusals_left <= 0 and decided.outcome is not Outcome.CAPTURED:
        return Step(payment, None, Outcome.TOO_MANY_REFUSALS)
    return decided


def _decide(payment: Payment, amount: int, now: int) -> Step:
    match payment:
        case Pending():
            outcome = Outcome.NOT_AUTHORIZED
        case Captured():
            outcome = Outcome.ALREADY_CAPTURED
        case Failed():
            outcome = Outcome.PAYMENT_FAILED
        case Authorized() if not window_open(payment, now):
            outcome = Outcome.WINDOW_EXPIRED
        case Authorized() if amount != payment.amount:
            outcome = Outcome.AMOUNT_MISMATCH
        case Authorized():
            captured = Captured(
                payment.amount,
                payment.authorized_at,
                payment.capture_expires_at,
                captured_at=now,
                captured_amount=amount,
            )
            return Step(captured, Attempt(amount, Outcome.CAPTURED, now), Outcome.CAPTURED)
    return Step(payment, Attempt(amount, outcome, now), outcome)
