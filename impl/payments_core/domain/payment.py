"""The payment: an entity that moves from pending to authorized to captured or failed."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from payments_core.domain.errors import Refusal, TransitionRefused
from payments_core.domain.values import Amount, CaptureWindow, Instant


class PaymentState(StrEnum):
    """Where a payment stands."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"


class FailureReason(StrEnum):
    """Why a payment failed."""

    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"


REFUSAL_IN_STATE = {
    PaymentState.PENDING: Refusal.NOT_AUTHORIZED,
    PaymentState.AUTHORIZED: Refusal.ALREADY_AUTHORIZED,
    PaymentState.CAPTURED: Refusal.ALREADY_CAPTURED,
    PaymentState.FAILED: Refusal.PAYMENT_FAILED,
}


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment, as stored. Instants are µs UTC on the database's clock; money is cents.

    A field that the state does not have is ``None``.
    """

    payment_id: UUID
    amount_cents: int
    created_at: Instant
    state: PaymentState = PaymentState.PENDING
    authorized_at: Instant | None = None
    capture_expires_at: Instant | None = None
    captured_at: Instant | None = None
    captured_amount_cents: int | None = None
    failed_at: Instant | None = None
    failure_reason: FailureReason | None = None

    def authorize(self, window: CaptureWindow, now: Instant) -> "Payment":
        """Authorize at ``now``, to be captured within ``window``.

        Raises:
            TransitionRefused: unless the payment is pending.
        """
        if self.state is not PaymentState.PENDING:
            raise TransitionRefused(REFUSAL_IN_STATE[self.state])
        return replace(
            self,
            state=PaymentState.AUTHORIZED,
            authorized_at=now,
            capture_expires_at=now + window.duration,
        )

    def capture(self, amount: Amount, now: Instant) -> "Payment":
        """The payment once captured; whether it may be is ``decide_capture``'s to say."""
        return Payment(  # `replace` looks at each field anew
            self.payment_id,
            self.amount_cents,
            self.created_at,
            PaymentState.CAPTURED,
            self.authorized_at,
            self.capture_expires_at,
            captured_at=now,
            captured_amount_cents=amount.cents,
        )

    def fail(self, reason: FailureReason, now: Instant) -> "Payment":
        """Fail at ``now``: declined by the issuer, or voided by the merchant.

        Raises:
            TransitionRefused: unless the payment is authorized.
        """
        if self.state is not PaymentState.AUTHORIZED:
            raise TransitionRefused(REFUSAL_IN_STATE[self.state])
        return replace(self, state=PaymentState.FAILED, failed_at=now, failure_reason=reason)

    def expire(self, now: Instant) -> "Payment":
        """Fail at ``now`` because the capture window has ended.

        Raises:
            TransitionRefused: unless the payment is authorized and ``now`` is past its window.
        """
        if self.state is PaymentState.AUTHORIZED and not self.window_has_ended(now):
            raise TransitionRefused(Refusal.CAPTURE_WINDOW_OPEN)
        return self.fail(FailureReason.EXPIRED, now)

    def window_has_ended(self, now: Instant) -> bool:
        """Whether a capture at ``now`` comes too late: the window's end itself is too late."""
        return self.capture_expires_at is not None and now >= self.capture_expires_at
