"""The capture rule, and the attempt that each decided capture leaves under its key."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from payments_core.domain.errors import IdempotencyKeyReused, TooManyRefusals
from payments_core.domain.payment import Payment, PaymentState
from payments_core.domain.values import MAX_STORED_REFUSALS, Amount, IdempotencyKey, Instant


class CaptureOutcome(StrEnum):
    """How a capture was decided. Every one is stored under the request's key."""

    CAPTURED = "captured"
    NOT_AUTHORIZED = "not_authorized"
    ALREADY_CAPTURED = "already_captured"
    PAYMENT_FAILED = "payment_failed"
    CAPTURE_WINDOW_EXPIRED = "capture_window_expired"
    AMOUNT_MISMATCH = "amount_mismatch"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a capture, byte for byte as it was first given.

    Attributes:
        status: the HTTP status.
        body: the body's bytes.
    """

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class CaptureDecision:
    """A capture as it was decided, before it has been put into words.

    Attributes:
        payment: the payment afterwards; as it was, unless the outcome is a success.
        key: the request's key.
        amount_cents: the amount the request asked for, in cents: all that two requests are compared by.
        outcome: what was decided.
        decided_at: when, on the database's clock.
    """

    payment: Payment
    key: IdempotencyKey
    amount_cents: int
    outcome: CaptureOutcome
    decided_at: Instant


@dataclass(frozen=True, slots=True)
class CaptureAttempt:
    """What is stored under one (payment, key), once and for all."""

    payment_id: UUID
    key: str
    amount_cents: int
    outcome: CaptureOutcome
    decided_at: Instant
    answer: Answer

    def require_same_request(self, amount: Amount) -> None:
        """Check that a request under this attempt's key is the one that it answered.

        Raises:
            IdempotencyKeyReused: if it asks for another amount.
        """
        if self.amount_cents != amount.cents:
            raise IdempotencyKeyReused("this key was used for a capture of another amount")


def capture_outcome(
    state: PaymentState, capture_expires_at: Instant | None, authorized: int, requested: int, now: Instant
) -> CaptureOutcome:
    """Decide a capture under a new key: the state first, then the window, then the amount.

    Args:
        state: where the payment stands.
        capture_expires_at: the first instant that is too late.
        authorized: the payment's amount, in cents.
        requested: the amount to capture, in cents.
        now: the database's clock, read after the payment's lock was granted.
    """
    if state is PaymentState.CAPTURED:
        return CaptureOutcome.ALREADY_CAPTURED
    if state is PaymentState.FAILED:
        return CaptureOutcome.PAYMENT_FAILED
    if state is PaymentState.PENDING or capture_expires_at is None:
        return CaptureOutcome.NOT_AUTHORIZED
    if now >= capture_expires_at:
        return CaptureOutcome.CAPTURE_WINDOW_EXPIRED
    if requested != authorized:
        return CaptureOutcome.AMOUNT_MISMATCH
    return CaptureOutcome.CAPTURED


def decide_capture(
    payment: Payment,
    key: IdempotencyKey,
    amount: Amount,
    now: Instant,
    refusals_left: int = MAX_STORED_REFUSALS,
) -> CaptureDecision:
    """Decide a capture of ``payment`` under a key that is new to it, at ``now``.

    Raises:
        TooManyRefusals: if it would be refused, and none of the ``refusals_left`` that may be stored is left.
    """
    outcome = capture_outcome(
        payment.state, payment.capture_expires_at, payment.amount_cents, amount.cents, now
    )
    if outcome is not CaptureOutcome.CAPTURED and refusals_left <= 0:
        raise TooManyRefusals("as many refusals of this payment are stored as may be")
    after = payment.capture(amount, now) if outcome is CaptureOutcome.CAPTURED else payment
    return CaptureDecision(after, key, amount.cents, outcome, now)
