"""Instants, cursors and answers as text: nothing is lost, and an answer is the same bytes each time."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_core.application.dto import Cursor
from payments_core.domain.capture import CaptureOutcome, decide_capture
from payments_core.domain.payment import Payment
from payments_core.domain.values import Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.http.parsing import decode_cursor, encode_cursor
from payments_core.entrypoints.http.problems import ProblemRaised
from payments_core.entrypoints.http.views import capture_answer, rfc3339

LATEST = 253_402_300_799_999_999
PAYMENT = Payment(UUID(int=7), 500, 0)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (999_999, "1970-01-01T00:00:00.999999Z"),
        (1_000_000, "1970-01-01T00:00:01.000000Z"),
        (2**53 - 1, "2255-06-05T23:47:34.740991Z"),
        (LATEST, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_instants_are_in_utc_with_six_digits(instant: int, text: str) -> None:
    assert rfc3339(instant) == text


@given(st.integers(0, LATEST), st.uuids())
def test_a_cursor_survives_its_way(created_at: int, payment_id: UUID) -> None:
    cursor = Cursor(created_at, payment_id)
    text = encode_cursor(cursor)
    assert decode_cursor(text) == cursor
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("noise", ["+", "/", " ", "=", ".", "\n", "é"])
def test_a_cursor_with_noise_in_it_is_none(noise: str) -> None:
    text = encode_cursor(Cursor(1, UUID(int=7)))
    for mangled in (text[:5] + noise + text[6:], text + noise, text + 2 * noise):
        with pytest.raises(ProblemRaised, match="unchanged"):
            decode_cursor(mangled)


def test_the_answer_to_a_success() -> None:
    authorized = PAYMENT.authorize(CaptureWindow(10), 1)
    answer = capture_answer(decide_capture(authorized, IdempotencyKey("k"), Amount(500), 2))
    assert answer.status == 201
    assert json.loads(answer.body) == {
        "payment_id": "00000000-0000-0000-0000-000000000007",
        "outcome": "captured",
        "amount_cents": 500,
        "captured_at": "1970-01-01T00:00:00.000002Z",
    }


def test_the_answer_to_a_refusal() -> None:
    decision = decide_capture(PAYMENT, IdempotencyKey("k"), Amount(500), 2)
    assert decision.outcome is CaptureOutcome.NOT_AUTHORIZED
    answer = capture_answer(decision)
    assert answer.status == 409
    assert json.loads(answer.body) == {
        "type": "/problems/not_authorized",
        "title": "The payment is not authorized",
        "status": 409,
        "detail": "authorize the payment before capturing it",
        "payment_id": "00000000-0000-0000-0000-000000000007",
        "decided_at": "1970-01-01T00:00:00.000002Z",
    }
    assert capture_answer(decision) == answer
