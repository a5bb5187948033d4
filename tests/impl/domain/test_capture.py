"""Captures are decided in one order of precedence: the state, the window, the amount."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from uuid import UUID

import pytest

from payments_core.domain.capture import (
    Answer,
    CaptureAttempt,
    CaptureOutcome,
    capture_outcome,
    decide_capture,
)
from payments_core.domain.errors import IdempotencyKeyReused
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import Amount, CaptureWindow, IdempotencyKey

AUTHORIZED_AT, EXPIRES_AT = 1_000_001, 1_000_011
KEY = IdempotencyKey("key")
PENDING = Payment(UUID(int=7), 500, 1)
AUTHORIZED = PENDING.authorize(CaptureWindow(EXPIRES_AT - AUTHORIZED_AT), AUTHORIZED_AT)

Rule = Callable[[PaymentState, bool, bool], bool]

# The specification's precedence 5 to 8 as a list, over (state, late, other amount): the first that applies
# is the answer.
PRECEDENCE: list[tuple[Rule, CaptureOutcome]] = [
    (lambda state, _late, _other: state is PaymentState.PENDING, CaptureOutcome.NOT_AUTHORIZED),
    (lambda state, _late, _other: state is PaymentState.CAPTURED, CaptureOutcome.ALREADY_CAPTURED),
    (lambda state, _late, _other: state is PaymentState.FAILED, CaptureOutcome.PAYMENT_FAILED),
    (lambda _state, late, _other: late, CaptureOutcome.CAPTURE_WINDOW_EXPIRED),
    (lambda _state, _late, other: other, CaptureOutcome.AMOUNT_MISMATCH),
    (lambda _state, _late, _other: True, CaptureOutcome.CAPTURED),
]


@pytest.mark.invariant("Precedence")
@pytest.mark.parametrize(
    ("state", "now", "requested"),
    list(product(PaymentState, [AUTHORIZED_AT, EXPIRES_AT - 1, EXPIRES_AT, EXPIRES_AT + 1], [499, 500, 501])),
)
def test_the_first_rule_that_applies_is_the_outcome(state: PaymentState, now: int, requested: int) -> None:
    expires_at = None if state is PaymentState.PENDING else EXPIRES_AT
    late, other = now >= EXPIRES_AT, requested != 500
    expected = next(outcome for applies, outcome in PRECEDENCE if applies(state, late, other))
    assert capture_outcome(state, expires_at, 500, requested, now) is expected


@pytest.mark.parametrize(
    ("state", "expires_at"), [(PaymentState.PENDING, EXPIRES_AT), (PaymentState.AUTHORIZED, None)]
)
def test_a_payment_that_is_pending_or_has_no_window_is_not_authorized(
    state: PaymentState, expires_at: int | None
) -> None:
    outcome = capture_outcome(state, expires_at, 500, 500, AUTHORIZED_AT)
    assert outcome is CaptureOutcome.NOT_AUTHORIZED


def test_every_outcome_is_in_the_precedence_once() -> None:
    assert sorted(outcome for _, outcome in PRECEDENCE) == sorted(CaptureOutcome)


def test_a_success_moves_the_payment() -> None:
    decision = decide_capture(AUTHORIZED, KEY, Amount(500), EXPIRES_AT - 1)
    assert decision.outcome is CaptureOutcome.CAPTURED
    assert decision.payment == AUTHORIZED.capture(Amount(500), EXPIRES_AT - 1)
    assert (decision.key, decision.amount_cents, decision.decided_at) == (KEY, 500, EXPIRES_AT - 1)


@pytest.mark.invariant("I11")
@pytest.mark.parametrize(
    ("payment", "cents", "now", "outcome"),
    [
        (PENDING, 500, AUTHORIZED_AT, CaptureOutcome.NOT_AUTHORIZED),
        (AUTHORIZED, 501, AUTHORIZED_AT, CaptureOutcome.AMOUNT_MISMATCH),
        (AUTHORIZED, 500, EXPIRES_AT, CaptureOutcome.CAPTURE_WINDOW_EXPIRED),
        (
            AUTHORIZED.fail(FailureReason.VOIDED, AUTHORIZED_AT),
            500,
            AUTHORIZED_AT,
            CaptureOutcome.PAYMENT_FAILED,
        ),
        (
            AUTHORIZED.capture(Amount(500), AUTHORIZED_AT),
            500,
            AUTHORIZED_AT,
            CaptureOutcome.ALREADY_CAPTURED,
        ),
    ],
)
def test_a_refusal_leaves_the_payment(
    payment: Payment, cents: int, now: int, outcome: CaptureOutcome
) -> None:
    decision = decide_capture(payment, KEY, Amount(cents), now)
    assert decision.outcome is outcome
    assert decision.payment == payment
    assert (decision.key, decision.amount_cents, decision.decided_at) == (KEY, cents, now)


def test_an_attempt_knows_its_request_by_the_amount() -> None:
    attempt = CaptureAttempt(UUID(int=7), "key", 500, CaptureOutcome.CAPTURED, 1, Answer(201, b"{}"))
    attempt.require_same_request(Amount(500))
    for cents in (499, 501):
        with pytest.raises(IdempotencyKeyReused, match="another amount"):
            attempt.require_same_request(Amount(cents))
