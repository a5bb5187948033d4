"""Create, authorize, fail, expire and read, in every state."""

from __future__ import annotations

import pytest

from payments_model import (
    MAX_AMOUNT,
    MAX_WINDOW,
    Authorized,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Step,
)
from payments_model.lifecycle import authorize, create, expire, fail, read
from tests.model.shapes import AMOUNT, AUTHORIZED, END, INSIDE, PENDING, SHAPES, START

REFUSAL = {
    "none": Outcome.NOT_FOUND,
    "pending": Outcome.NOT_AUTHORIZED,
    "authorized": Outcome.ALREADY_AUTHORIZED,
    "captured": Outcome.ALREADY_CAPTURED,
    "declined": Outcome.PAYMENT_FAILED,
    "expired": Outcome.PAYMENT_FAILED,
}
EXISTING = [payment for payment in SHAPES.values() if payment is not None]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def but(shape: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("shape", [name for name in SHAPES if name != shape])


@pytest.mark.parametrize("amount", [1, AMOUNT, MAX_AMOUNT])
def test_create(amount: int) -> None:
    assert create(None, amount) == Step(Pending(amount), None, Outcome.CREATED)


@pytest.mark.parametrize("payment", EXISTING)
def test_create_again_is_a_retry_or_a_conflict(payment: Payment) -> None:
    assert create(payment, AMOUNT) == Step(payment, None, Outcome.EXISTS)
    for other in (AMOUNT - 1, AMOUNT + 1):
        assert create(payment, other) == Step(payment, None, Outcome.ID_CONFLICT)


@every_shape
@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1])
def test_create_of_what_is_no_amount(shape: str, amount: int) -> None:
    assert create(SHAPES[shape], amount) == Step(SHAPES[shape], None, Outcome.MALFORMED)


@pytest.mark.parametrize("window", [1, MAX_WINDOW])
def test_authorize(window: int) -> None:
    expected = Step(Authorized(AMOUNT, START, START + window), None, Outcome.AUTHORIZED)
    assert authorize(PENDING, window, START) == expected


@but("pending")
def test_authorize_refused(shape: str) -> None:
    assert authorize(SHAPES[shape], 1, START) == Step(SHAPES[shape], None, REFUSAL[shape])


@every_shape
@pytest.mark.parametrize("window", [0, -1, MAX_WINDOW + 1])
def test_authorize_for_what_is_no_window(shape: str, window: int) -> None:
    assert authorize(SHAPES[shape], window, START) == Step(SHAPES[shape], None, Outcome.MALFORMED)


@pytest.mark.parametrize("reason", [FailureReason.DECLINED, FailureReason.VOIDED])
@pytest.mark.parametrize("now", [INSIDE, END, END + 1])
def test_fail(reason: FailureReason, now: int) -> None:
    assert fail(AUTHORIZED, reason, now) == Step(
        Failed(AMOUNT, START, END, now, reason), None, Outcome.FAILED
    )


@but("authorized")
def test_fail_refused(shape: str) -> None:
    assert fail(SHAPES[shape], FailureReason.VOIDED, INSIDE) == Step(SHAPES[shape], None, REFUSAL[shape])


@every_shape
def test_expiry_is_no_reason_to_give(shape: str) -> None:
    assert fail(SHAPES[shape], FailureReason.EXPIRED, END) == Step(SHAPES[shape], None, Outcome.MALFORMED)


@pytest.mark.parametrize(
    ("now", "outcome"),
    [(END - 1, Outcome.WINDOW_OPEN), (END, Outcome.EXPIRED), (END + 1, Outcome.EXPIRED)],
)
def test_the_end_of_the_window_is_when_it_expires(now: int, outcome: Outcome) -> None:
    expired = Failed(AMOUNT, START, END, now, FailureReason.EXPIRED)
    assert expire(AUTHORIZED, now) == Step(
        expired if outcome is Outcome.EXPIRED else AUTHORIZED, None, outcome
    )


@but("authorized")
def test_expire_refused(shape: str) -> None:
    assert expire(SHAPES[shape], END) == Step(SHAPES[shape], None, REFUSAL[shape])


@every_shape
def test_read(shape: str) -> None:
    outcome = Outcome.NOT_FOUND if shape == "none" else Outcome.READ
    assert read(SHAPES[shape]) == Step(SHAPES[shape], None, outcome)
