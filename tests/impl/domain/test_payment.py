"""A payment makes the legal moves, at the instants that the rules allow, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from uuid import UUID

import pytest

from payments_core.domain.errors import Refusal, TransitionRefused
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import Amount, CaptureWindow

BORN, AUTHORIZED_AT, EXPIRES_AT = 1_000_001, 2_000_003, 2_000_503
WINDOW = CaptureWindow(EXPIRES_AT - AUTHORIZED_AT)
PENDING = Payment(UUID(int=7), 500, BORN)
AUTHORIZED = replace(
    PENDING, state=PaymentState.AUTHORIZED, authorized_at=AUTHORIZED_AT, capture_expires_at=EXPIRES_AT
)
CAPTURED = replace(
    AUTHORIZED, state=PaymentState.CAPTURED, captured_at=AUTHORIZED_AT + 1, captured_amount_cents=500
)
FAILED = replace(
    AUTHORIZED,
    state=PaymentState.FAILED,
    failed_at=AUTHORIZED_AT + 1,
    failure_reason=FailureReason.DECLINED,
)
LATE = EXPIRES_AT + 1

Move = Callable[[Payment], Payment]


def test_a_new_payment_is_pending_and_has_nothing_else() -> None:
    assert PENDING.state is PaymentState.PENDING
    others = {"payment_id", "amount_cents", "created_at", "state"}
    assert {value for name, value in asdict(PENDING).items() if name not in others} == {None}


def test_authorizing_opens_a_window_of_that_length() -> None:
    assert PENDING.authorize(WINDOW, AUTHORIZED_AT) == AUTHORIZED


def test_capturing_records_when_and_how_much() -> None:
    assert AUTHORIZED.capture(Amount(500), AUTHORIZED_AT + 1) == CAPTURED


@pytest.mark.parametrize("reason", [FailureReason.DECLINED, FailureReason.VOIDED])
def test_failing_records_when_and_why(reason: FailureReason) -> None:
    expected = replace(AUTHORIZED, state=PaymentState.FAILED, failed_at=LATE, failure_reason=reason)
    assert AUTHORIZED.fail(reason, LATE) == expected


@pytest.mark.parametrize("now", [EXPIRES_AT, LATE, EXPIRES_AT + 10**12])
def test_expiring_at_the_windows_end_and_after(now: int) -> None:
    expected = replace(
        AUTHORIZED, state=PaymentState.FAILED, failed_at=now, failure_reason=FailureReason.EXPIRED
    )
    assert AUTHORIZED.expire(now) == expected


@pytest.mark.parametrize("now", [AUTHORIZED_AT, EXPIRES_AT - 1, 0])
def test_nothing_expires_before_the_windows_end(now: int) -> None:
    with pytest.raises(TransitionRefused) as refused:
        AUTHORIZED.expire(now)
    assert refused.value.refusal is Refusal.CAPTURE_WINDOW_OPEN


@pytest.mark.parametrize(
    ("payment", "move", "refusal"),
    [
        (AUTHORIZED, lambda p: p.authorize(WINDOW, LATE), Refusal.ALREADY_AUTHORIZED),
        (CAPTURED, lambda p: p.authorize(WINDOW, LATE), Refusal.ALREADY_CAPTURED),
        (FAILED, lambda p: p.authorize(WINDOW, LATE), Refusal.PAYMENT_FAILED),
        (PENDING, lambda p: p.fail(FailureReason.VOIDED, LATE), Refusal.NOT_AUTHORIZED),
        (CAPTURED, lambda p: p.fail(FailureReason.VOIDED, LATE), Refusal.ALREADY_CAPTURED),
        (FAILED, lambda p: p.fail(FailureReason.VOIDED, LATE), Refusal.PAYMENT_FAILED),
        (PENDING, lambda p: p.expire(LATE), Refusal.NOT_AUTHORIZED),
        (CAPTURED, lambda p: p.expire(LATE), Refusal.ALREADY_CAPTURED),
        (FAILED, lambda p: p.expire(LATE), Refusal.PAYMENT_FAILED),
    ],
)
def test_every_other_move_is_refused(payment: Payment, move: Move, refusal: Refusal) -> None:
    with pytest.raises(TransitionRefused, match=f"^{refusal.value}$") as refused:
        move(payment)
    assert refused.value.refusal is refusal


@pytest.mark.parametrize(
    ("payment", "now", "ended"),
    [
        (PENDING, LATE, False),
        (AUTHORIZED, EXPIRES_AT - 1, False),
        (AUTHORIZED, EXPIRES_AT, True),
        (AUTHORIZED, LATE, True),
    ],
)
def test_the_windows_end_itself_is_too_late(payment: Payment, now: int, ended: bool) -> None:
    assert payment.window_has_ended(now) is ended
