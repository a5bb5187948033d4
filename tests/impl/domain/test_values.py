"""Value objects take every value in range and no other, say which one was wrong, and stay as they are."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any
from uuid import UUID

import pytest

from payments_core.domain.capture import Answer, CaptureAttempt, CaptureDecision, CaptureOutcome
from payments_core.domain.errors import InvalidValue, PaymentError
from payments_core.domain.payment import Payment
from payments_core.domain.values import (
    MAX_AMOUNT_CENTS,
    MAX_KEY_LENGTH,
    MAX_WINDOW,
    SECOND,
    Amount,
    CaptureWindow,
    IdempotencyKey,
)

PAYMENT = Payment(UUID(int=7), 500, 1)
ANSWER = Answer(201, b"{}")
KEY = IdempotencyKey("key")
VALUES = [
    *(Amount(500), CaptureWindow(1), KEY, PAYMENT, ANSWER),
    CaptureDecision(PAYMENT, KEY, 500, CaptureOutcome.NOT_AUTHORIZED, 1),
    CaptureAttempt(UUID(int=7), "key", 500, CaptureOutcome.NOT_AUTHORIZED, 1, ANSWER),
]
every_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)

VISIBLE = "".join(map(chr, range(0x20, 0x7F)))


@pytest.mark.parametrize("cents", [1, 2, 999_999_999_998, 999_999_999_999])
def test_amounts_in_range(cents: int) -> None:
    assert Amount(cents).cents == cents


@pytest.mark.parametrize("cents", [0, -1, 1_000_000_000_000, 2**63, 2**64, -(2**63), 10**40])
def test_other_amounts_are_refused(cents: int) -> None:
    with pytest.raises(InvalidValue, match=f"an amount is 1 to 999999999999 cents, not {cents}"):
        Amount(cents)


def test_the_largest_amount_has_twelve_digits() -> None:
    assert MAX_AMOUNT_CENTS == 999_999_999_999


@pytest.mark.parametrize("duration", [1, SECOND, 31 * 24 * 3600 * SECOND])
def test_windows_in_range(duration: int) -> None:
    assert CaptureWindow(duration).duration == duration


@pytest.mark.parametrize(
    ("duration", "shown"),
    [(0, "0"), (-1, "-0.000001"), (MAX_WINDOW + 1, "2678400.000001"), (10**40, r"1\.0+e\+34")],
)
def test_other_windows_are_refused(duration: int, shown: str) -> None:
    with pytest.raises(InvalidValue, match=f"1 to 2678400 seconds, not {shown}$"):
        CaptureWindow(duration)


@pytest.mark.parametrize("text", ["k", " ", "  padded  ", '"', "\\", VISIBLE, "k" * MAX_KEY_LENGTH])
def test_a_key_is_any_visible_text(text: str) -> None:
    assert IdempotencyKey(text).text == text


def test_case_and_spaces_of_a_key_count() -> None:
    assert len({IdempotencyKey(text) for text in ("key", "Key", " key", "key ", "k ey")}) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("k" * 256, "at most 255 characters, not 256"),
        ("a\tb", "visible ASCII characters and spaces only"),
        ("a\nb", "visible ASCII characters and spaces only"),
        ("\x00", "visible ASCII characters and spaces only"),
        ("\x7f", "visible ASCII characters and spaces only"),
        ("clé", "visible ASCII characters and spaces only"),
        ("\N{NO-BREAK SPACE}", "visible ASCII characters and spaces only"),
        ("\ud800", "visible ASCII characters and spaces only"),
    ],
)
def test_other_keys_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        IdempotencyKey(text)


def test_an_invalid_value_is_an_error_about_payments() -> None:
    assert issubclass(InvalidValue, PaymentError)


@every_value
def test_a_value_is_equal_to_another_of_the_same_fields(value: Any) -> None:
    assert replace(value) == value
    assert len({replace(value), value}) == 1


@every_value
def test_a_value_cannot_be_changed_in_place_and_has_its_fields_alone(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)
    assert not hasattr(value, "__dict__")
