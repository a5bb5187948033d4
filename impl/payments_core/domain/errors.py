"""What can be wrong with a request, in the domain's terms."""

from enum import StrEnum


class Refusal(StrEnum):
    """Why a command is refused in the state the payment is in. The values are stable names."""

    NOT_AUTHORIZED = "not_authorized"
    ALREADY_AUTHORIZED = "already_authorized"
    ALREADY_CAPTURED = "already_captured"
    PAYMENT_FAILED = "payment_failed"
    CAPTURE_WINDOW_OPEN = "capture_window_open"


class PaymentError(Exception):
    """Something about a payment or a request that the caller can act on."""


class InvalidValue(PaymentError):
    """A value that no payment can have."""


class PaymentNotFound(PaymentError):
    """No payment has this id."""


class PaymentIdConflict(PaymentError):
    """The id is taken by a payment of another amount."""


class IdempotencyKeyReused(PaymentError):
    """The key belongs to a different request for this payment."""


class TooManyRefusals(PaymentError):
    """The capture would be refused, and as many refusals of the payment are stored as may be."""


class TransitionRefused(PaymentError):
    """The payment's state does not allow the command.

    Attributes:
        refusal: why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
