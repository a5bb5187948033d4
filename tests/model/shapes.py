"""One payment of each shape, around one window, for the tests of the model's rules."""

from __future__ import annotations

from payments_model import (
    Attempt,
    Authorized,
    Captured,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
)

AMOUNT = 500
OTHER = 501
START = 1_000
END = 2_000
INSIDE = 1_500

PENDING = Pending(AMOUNT)
AUTHORIZED = Authorized(AMOUNT, START, END)
CAPTURED = Captured(AMOUNT, START, END, captured_at=INSIDE, captured_amount=AMOUNT)
DECLINED = Failed(AMOUNT, START, END, failed_at=INSIDE, reason=FailureReason.DECLINED)
EXPIRED = Failed(AMOUNT, START, END, failed_at=END, reason=FailureReason.EXPIRED)

SHAPES: dict[str, Payment | None] = {
    "none": None,
    "pending": PENDING,
    "authorized": AUTHORIZED,
    "captured": CAPTURED,
    "declined": DECLINED,
    "expired": EXPIRED,
}

SUCCESS = Attempt(AMOUNT, Outcome.CAPTURED, INSIDE)
REFUSED_EARLY = Attempt(AMOUNT, Outcome.NOT_AUTHORIZED, START - 1)
REFUSED_OTHER = Attempt(OTHER, Outcome.AMOUNT_MISMATCH, INSIDE)
