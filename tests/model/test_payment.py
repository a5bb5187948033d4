"""Shapes, legal moves and coherence of a payment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from payments_model import (
    LEGAL_MOVES,
    MAX_AMOUNT,
    MAX_WINDOW,
    MIN_AMOUNT,
    TERMINAL,
    FailureReason,
    Payment,
    Pending,
    State,
    state_of,
)
from payments_model.payment import coherent, legal_move, window_open
from tests.model.shapes import AUTHORIZED, CAPTURED, DECLINED, END, EXPIRED, OTHER, SHAPES, START

STATES = {
    "pending": State.PENDING,
    "authorized": State.AUTHORIZED,
    "captured": State.CAPTURED,
    "declined": State.FAILED,
    "expired": State.FAILED,
}

INCOHERENT: dict[str, Payment] = {
    "no amount": Pending(0),
    "a negative amount": Pending(-1),
    "too great an amount": Pending(MAX_AMOUNT + 1),
    "an empty window": replace(AUTHORIZED, capture_expires_at=START),
    "a window that ends before it begins": replace(AUTHORIZED, capture_expires_at=START - 1),
    "too long a window": replace(AUTHORIZED, capture_expires_at=START + MAX_WINDOW + 1),
    "captured at the window's end": replace(CAPTURED, captured_at=END),
    "captured in part": replace(CAPTURED, captured_amount=CAPTURED.amount - 1),
    "captured too much": replace(CAPTURED, captured_amount=OTHER),
    "captured in an empty window": replace(CAPTURED, authorized_at=END),
    "expired before the window's end": replace(EXPIRED, failed_at=END - 1),
    "failed in an empty window": replace(DECLINED, authorized_at=END),
}

COHERENT: dict[str, Payment] = {
    "the least amount": Pending(1),
    "the greatest amount": Pending(MAX_AMOUNT),
    "the shortest window": replace(AUTHORIZED, capture_expires_at=START + 1),
    "the longest window": replace(AUTHORIZED, capture_expires_at=START + MAX_WINDOW),
    "captured in the last µs": replace(CAPTURED, captured_at=END - 1),
    "captured before it was authorized, by a clock that steps back": replace(CAPTURED, captured_at=START - 1),
    "expired at the window's end": EXPIRED,
    "declined after the window's end": replace(DECLINED, failed_at=END + 1),
    "voided inside the window": replace(DECLINED, reason=FailureReason.VOIDED),
    **{name: shape for name, shape in SHAPES.items() if shape is not None},
}


def test_the_limits_are_those_of_the_specification() -> None:
    assert (MIN_AMOUNT, MAX_AMOUNT) == (1, 999_999_999_999)
    assert timedelta(days=31) == MAX_WINDOW * timedelta(microseconds=1)
    assert isinstance(MAX_WINDOW, int)


@pytest.mark.parametrize("shape", STATES)
def test_each_shape_names_its_state(shape: str) -> None:
    payment = SHAPES[shape]
    assert payment is not None
    assert state_of(payment) is STATES[shape]


@pytest.mark.invariant("I2")
def test_three_moves_and_staying_are_legal() -> None:
    legal = {(before, after) for before, after in product(State, State) if legal_move(before, after)}
    assert legal == {
        (State.PENDING, State.AUTHORIZED),
        (State.AUTHORIZED, State.CAPTURED),
        (State.AUTHORIZED, State.FAILED),
        *((state, state) for state in State),
    }


@pytest.mark.invariant("I2")
def test_nothing_leaves_a_terminal_state_and_every_other_state_can_be_left() -> None:
    assert set(TERMINAL) == set(State) - {before for before, _ in LEGAL_MOVES}


@pytest.mark.parametrize("payment", [AUTHORIZED, CAPTURED, DECLINED])
@pytest.mark.parametrize(("offset", "is_open"), [(-1, True), (0, False), (1, False)])
def test_the_end_of_the_window_is_outside(payment: Payment, offset: int, is_open: bool) -> None:
    assert not isinstance(payment, Pending)
    assert window_open(payment, END + offset) is is_open


@pytest.mark.parametrize("name", INCOHERENT)
def test_incoherent(name: str) -> None:
    assert not coherent(INCOHERENT[name])


@pytest.mark.parametrize("name", COHERENT)
def test_coherent(name: str) -> None:
    assert coherent(COHERENT[name])


def test_a_pending_payment_with_a_capture_date_cannot_be_written_down() -> None:
    with pytest.raises(TypeError):
        Pending(1, captured_at=1)  # type: ignore[call-arg]
