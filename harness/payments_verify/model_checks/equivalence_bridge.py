"""The model's rules and the domain's, brought to one signature: the one module that imports both.

Each rule has a pair of functions that take values of the model and answer the outcome and the payment
afterwards. ``X_by_model`` asks the model; ``X_by_domain`` says the same in the domain's terms, asks the
domain, and translates its answer back. ``X_agreement`` states as a contract that the two are equal.

Answers are tuples of strings and numbers: ``diffbehavior`` takes any two members of one ``Enum`` for equal.
Arguments that cannot occur get ``None`` from both. The domain has no rule for a payment that does not exist
(that is the application's to report). It puts a refused number into its message, which a solver cannot
follow for every number; so its value objects are asked only for numbers within the domain's own limits.
Annotations are not postponed: CrossHair makes symbolic arguments of them.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

from icontract import ensure

from payments_core.domain import payment as domain
from payments_core.domain.capture import Answer, CaptureAttempt, CaptureOutcome, decide_capture
from payments_core.domain.errors import IdempotencyKeyReused, Refusal, TooManyRefusals, TransitionRefused
from payments_core.domain.values import (
    MAX_AMOUNT_CENTS,
    MAX_WINDOW,
    MIN_AMOUNT_CENTS,
    Amount,
    CaptureWindow,
    IdempotencyKey,
)
from payments_model.capture import capture, coherent_attempt
from payments_model.lifecycle import authorize, expire, fail
from payments_model.outcome import Attempt, Outcome, Step
from payments_model.payment import (
    Authorized,
    Captured,
    Failed,
    FailureReason,
    Payment,
    Pending,
    coherent,
)

Answered: TypeAlias = tuple[str | int, ...] | None
"""The outcome's name, then the name of the payment's state and its fields."""

_ID = UUID(int=1)
_KEY = IdempotencyKey("key")

_OUTCOME_OF_CAPTURE = {
    CaptureOutcome.CAPTURED: Outcome.CAPTURED,
    CaptureOutcome.NOT_AUTHORIZED: Outcome.NOT_AUTHORIZED,
    CaptureOutcome.ALREADY_CAPTURED: Outcome.ALREADY_CAPTURED,
    CaptureOutcome.PAYMENT_FAILED: Outcome.PAYMENT_FAILED,
    CaptureOutcome.CAPTURE_WINDOW_EXPIRED: Outcome.WINDOW_EXPIRED,
    CaptureOutcome.AMOUNT_MISMATCH: Outcome.AMOUNT_MISMATCH,
}
_CAPTURE_OF_OUTCOME = {outcome: recorded for recorded, outcome in _OUTCOME_OF_CAPTURE.items()}
_OUTCOME_OF_REFUSAL = {
    Refusal.NOT_AUTHORIZED: Outcome.NOT_AUTHORIZED,
    Refusal.ALREADY_AUTHORIZED: Outcome.ALREADY_AUTHORIZED,
    Refusal.ALREADY_CAPTURED: Outcome.ALREADY_CAPTURED,
    Refusal.PAYMENT_FAILED: Outcome.PAYMENT_FAILED,
    Refusal.CAPTURE_WINDOW_OPEN: Outcome.WINDOW_OPEN,
}
_REASON_IN_DOMAIN = {
    FailureReason.DECLINED: domain.FailureReason.DECLINED,
    FailureReason.VOIDED: domain.FailureReason.VOIDED,
    FailureReason.EXPIRED: domain.FailureReason.EXPIRED,
}
_REASON_IN_MODEL = {reason: by_model for by_model, reason in _REASON_IN_DOMAIN.items()}

# The rules without their contracts: those are confirmed by a check of their own, and only slow this one down.
_capture_rule: Callable[[Payment, Attempt | None, int, int, int], Step] = inspect.unwrap(capture)
_authorize_rule: Callable[[Payment, int, int], Step] = inspect.unwrap(authorize)
_fail_rule: Callable[[Payment, FailureReason, int], Step] = inspect.unwrap(fail)
_expire_rule: Callable[[Payment, int], Step] = inspect.unwrap(expire)


def capture_by_model(payment: Payment, amount: int, now: int, left: int) -> Answered:
    """What the model answers to a capture under a new key, if so many more refusals may be stored."""
    return _answered_by(_capture_rule(payment, None, amount, now, left)) if coherent(payment) else None


def capture_by_domain(payment: Payment, amount: int, now: int, left: int) -> Answered:
    """What the domain answers to a capture under a new key, if so many more refusals may be stored."""
    if not coherent(payment):
        return None
    if not MIN_AMOUNT_CENTS <= amount <= MAX_AMOUNT_CENTS:
        return _answered(Outcome.MALFORMED, payment)
    try:
        decision = decide_capture(_in_domain(payment), _KEY, Amount(amount), now, left)
    except TooManyRefusals:
        return _answered(Outcome.TOO_MANY_REFUSALS, payment)
    return _answered(_OUTCOME_OF_CAPTURE[decision.outcome], _in_model(decision.payment))


@ensure(lambda result: result[0] == result[1], "the model and the domain decide a capture alike")
def capture_agreement(payment: Payment, amount: int, now: int, left: int) -> tuple[Answered, Answered]:
    """Both answers to a capture under a new key."""
    return capture_by_model(payment, amount, now, left), capture_by_domain(payment, amount, now, left)


def replay_by_model(payment: Payment, recorded: Attempt, amount: int, now: int) -> Answered:
    """What the model answers to a capture under a key that holds ``recorded``."""
    if not (coherent_attempt(payment, recorded) and coherent(payment)):
        return None
    return _answered_by(_capture_rule(payment, recorded, amount, now, 0))


def replay_by_domain(payment: Payment, recorded: Attempt, amount: int, _now: int) -> Answered:
    """What the domain answers to a capture under a key that holds ``recorded``."""
    if not (coherent_attempt(payment, recorded) and coherent(payment)):
        return None
    if not MIN_AMOUNT_CENTS <= amount <= MAX_AMOUNT_CENTS:
        return _answered(Outcome.MALFORMED, payment)
    attempt = _attempt_in_domain(recorded)
    try:
        attempt.require_same_request(Amount(amount))
    except IdempotencyKeyReused:
        return _answered(Outcome.KEY_REUSED, payment)
    return _answered(_OUTCOME_OF_CAPTURE[attempt.outcome], payment)


@ensure(lambda result: result[0] == result[1], "the model and the domain treat a known key alike")
def replay_agreement(payment: Payment, recorded: Attempt, amount: int, now: int) -> tuple[Answered, Answered]:
    """Both answers to a capture under a key that holds ``recorded``."""
    return (
        replay_by_model(payment, recorded, amount, now),
        replay_by_domain(payment, recorded, amount, now),
    )


def authorize_by_model(payment: Payment, window: int, now: int) -> Answered:
    """What the model answers to an authorization."""
    return _answered_by(_authorize_rule(payment, window, now)) if coherent(payment) else None


def authorize_by_domain(payment: Payment, window: int, now: int) -> Answered:
    """What the domain answers to an authorization."""
    if not coherent(payment):
        return None
    if not 1 <= window <= MAX_WINDOW:
        return _answered(Outcome.MALFORMED, payment)
    try:
        after = _in_domain(payment).authorize(CaptureWindow(window), now)
    except TransitionRefused as refused:
        return _answered(_OUTCOME_OF_REFUSAL[refused.refusal], payment)
    return _answered(Outcome.AUTHORIZED, _in_model(after))


@ensure(lambda result: result[0] == result[1], "the model and the domain authorize alike")
def authorize_agreement(payment: Payment, window: int, now: int) -> tuple[Answered, Answered]:
    """Both answers to an authorization."""
    return authorize_by_model(payment, window, now), authorize_by_domain(payment, window, now)


def fail_by_model(payment: Payment, reason: FailureReason, now: int) -> Answered:
    """What the model answers to a decline or a void."""
    if reason is FailureReason.EXPIRED or not coherent(payment):
        return None
    return _answered_by(_fail_rule(payment, reason, now))


def fail_by_domain(payment: Payment, reason: FailureReason, now: int) -> Answered:
    """What the domain answers to a decline or a void."""
    if reason is FailureReason.EXPIRED or not coherent(payment):
        return None
    try:
        after = _in_domain(payment).fail(_REASON_IN_DOMAIN[reason], now)
    except TransitionRefused as refused:
        return _answered(_OUTCOME_OF_REFUSAL[refused.refusal], payment)
    return _answered(Outcome.FAILED, _in_model(after))


@ensure(lambda result: result[0] == result[1], "the model and the domain fail a payment alike")
def fail_agreement(payment: Payment, reason: FailureReason, now: int) -> tuple[Answered, Answered]:
    """Both answers to a decline or a void."""
    return fail_by_model(payment, reason, now), fail_by_domain(payment, reason, now)


def expire_by_model(payment: Payment, now: int) -> Answered:
    """What the model answers to an expiry."""
    return _answered_by(_expire_rule(payment, now)) if coherent(payment) else None


def expire_by_domain(payment: Payment, now: int) -> Answered:
    """What the domain answers to an expiry."""
    if not coherent(payment):
        return None
    try:
        after = _in_domain(payment).expire(now)
    except TransitionRefused as refused:
        return _answered(_OUTCOME_OF_REFUSAL[refused.refusal], payment)
    return _answered(Outcome.EXPIRED, _in_model(after))


@ensure(lambda result: result[0] == result[1], "the model and the domain expire a payment alike")
def expire_agreement(payment: Payment, now: int) -> tuple[Answered, Answered]:
    """Both answers to an expiry."""
    return expire_by_model(payment, now), expire_by_domain(payment, now)


def _answered_by(done: Step) -> Answered:
    if done.payment is None:
        raise ValueError("the model lost the payment")
    return _answered(done.outcome, done.payment)


def _answered(outcome: Outcome, payment: Payment) -> Answered:
    name = (outcome.name, type(payment).__name__, payment.amount)
    match payment:
        case Pending():
            return name
        case Authorized(_, authorized_at, expires_at):
            return (*name, authorized_at, expires_at)
        case Captured(_, authorized_at, expires_at, captured_at, captured_amount):
            return (*name, authorized_at, expires_at, captured_at, captured_amount)
        case Failed(_, authorized_at, expires_at, failed_at, reason):
            return (*name, authorized_at, expires_at, failed_at, reason.name)


def _attempt_in_domain(attempt: Attempt) -> CaptureAttempt:
    outcome = _CAPTURE_OF_OUTCOME[attempt.outcome]
    return CaptureAttempt(_ID, _KEY.text, attempt.amount, outcome, attempt.decided_at, Answer(200, b""))


def _in_domain(payment: Payment) -> domain.Payment:
    created = domain.Payment(_ID, payment.amount, created_at=0)
    if isinstance(payment, Pending):
        return created
    authorized = replace(
        created,
        state=domain.PaymentState.AUTHORIZED,
        authorized_at=payment.authorized_at,
        capture_expires_at=payment.capture_expires_at,
    )
    match payment:
        case Authorized():
            return authorized
        case Captured():
            return replace(
                authorized,
                state=domain.PaymentState.CAPTURED,
                captured_at=payment.captured_at,
                captured_amount_cents=payment.captured_amount,
            )
        case Failed():
            return replace(
                authorized,
                state=domain.PaymentState.FAILED,
                failed_at=payment.failed_at,
                failure_reason=_REASON_IN_DOMAIN[payment.reason],
            )


def _in_model(payment: domain.Payment) -> Payment:
    if payment.state is domain.PaymentState.PENDING:
        return Pending(payment.amount_cents)
    window = (payment.amount_cents, _set(payment.authorized_at), _set(payment.capture_expires_at))
    if payment.state is domain.PaymentState.AUTHORIZED:
        return Authorized(*window)
    if payment.state is domain.PaymentState.CAPTURED:
        return Captured(*window, _set(payment.captured_at), _set(payment.captured_amount_cents))
    if payment.failure_reason is None:
        raise ValueError("a failed payment of the domain has no reason")
    return Failed(*window, _set(payment.failed_at), _REASON_IN_MODEL[payment.failure_reason])


def _set(value: int | None) -> int:
    if value is None:
        raise ValueError("the domain left a field empty that its state has")
    return value
