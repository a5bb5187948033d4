"""Errors and refusals: the names that others rely on."""

from __future__ import annotations

import pytest

from payments_core.domain import errors
from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.errors import PaymentError, Refusal, TransitionRefused
from payments_core.domain.payment import REFUSAL_IN_STATE, FailureReason, PaymentState


def test_refusals_have_stable_names() -> None:
    assert {refusal.value for refusal in Refusal} == {
        "not_authorized",
        "already_authorized",
        "already_captured",
        "payment_failed",
        "capture_window_open",
    }


def test_a_refused_capture_has_the_name_that_other_commands_use_for_the_state() -> None:
    outcomes = {outcome.value for outcome in CaptureOutcome}
    for state in (PaymentState.PENDING, PaymentState.CAPTURED, PaymentState.FAILED):
        assert REFUSAL_IN_STATE[state].value in outcomes


def test_every_state_has_a_refusal() -> None:
    assert set(REFUSAL_IN_STATE) == set(PaymentState)


def test_states_have_stable_names() -> None:
    assert {state.value for state in PaymentState} == {"pending", "authorized", "captured", "failed"}


def test_failure_reasons_have_stable_names() -> None:
    assert {reason.value for reason in FailureReason} == {"declined", "voided", "expired"}


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_refused_transition_says_why(refusal: Refusal) -> None:
    error = TransitionRefused(refusal)
    assert error.refusal is refusal
    assert str(error) == refusal.value


@pytest.mark.parametrize(
    "name",
    ["InvalidValue", "PaymentNotFound", "PaymentIdConflict", "IdempotencyKeyReused", "TransitionRefused"],
)
def test_callers_can_catch_them_all(name: str) -> None:
    assert issubclass(getattr(errors, name), PaymentError)
