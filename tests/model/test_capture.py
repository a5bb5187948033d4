"""The order of precedence of a capture's answers, the window's end, and what a key repeats."""

from __future__ import annotations

from itertools import product

import pytest
from icontract import ViolationError

from payments_model import (
    MAX_AMOUNT,
    RECORDED,
    Attempt,
    Captured,
    Outcome,
    Payment,
    Step,
)
from payments_model.capture import CAPTURE_PRECEDENCE, capture, coherent_attempt, first_applicable
from payments_model.payment import coherent
from tests.model.shapes import (
    AMOUNT,
    AUTHORIZED,
    CAPTURED,
    DECLINED,
    END,
    EXPIRED,
    INSIDE,
    OTHER,
    PENDING,
    REFUSED_EARLY,
    REFUSED_OTHER,
    SHAPES,
    SUCCESS,
)

# Both conditions hold, and the earlier one is the answer: payment, stored attempt, amount, instant.
PRECEDENCE: dict[str, tuple[Payment | None, Attempt | None, int, int, Outcome]] = {
    "malformed before not found": (None, None, 0, INSIDE, Outcome.MALFORMED),
    "malformed before a known key": (AUTHORIZED, REFUSED_EARLY, 0, INSIDE, Outcome.MALFORMED),
    "malformed before pending": (PENDING, None, MAX_AMOUNT + 1, INSIDE, Outcome.MALFORMED),
    "malformed before captured": (CAPTURED, None, -1, INSIDE, Outcome.MALFORMED),
    "malformed before too late": (AUTHORIZED, None, 0, END, Outcome.MALFORMED),
    "malformed before another amount": (AUTHORIZED, None, 0, INSIDE, Outcome.MALFORMED),
    "key reused before pending": (PENDING, REFUSED_EARLY, OTHER, INSIDE, Outcome.KEY_REUSED),
    "key reused before captured": (CAPTURED, SUCCESS, OTHER, INSIDE, Outcome.KEY_REUSED),
    "key reused before failed": (DECLINED, REFUSED_OTHER, AMOUNT, INSIDE, Outcome.KEY_REUSED),
    "key reused before too late": (AUTHORIZED, REFUSED_EARLY, OTHER, END, Outcome.KEY_REUSED),
    "key reused before another amount": (AUTHORIZED, REFUSED_EARLY, OTHER, INSIDE, Outcome.KEY_REUSED),
    "key reused before success": (AUTHORIZED, REFUSED_OTHER, AMOUNT, INSIDE, Outcome.KEY_REUSED),
    "pending before another amount": (PENDING, None, OTHER, INSIDE, Outcome.NOT_AUTHORIZED),
    "captured before too late": (CAPTURED, None, AMOUNT, END, Outcome.ALREADY_CAPTURED),
    "captured before another amount": (CAPTURED, None, OTHER, INSIDE, Outcome.ALREADY_CAPTURED),
    "failed before too late": (EXPIRED, None, AMOUNT, END, Outcome.PAYMENT_FAILED),
    "failed before another amount": (DECLINED, None, OTHER, INSIDE, Outcome.PAYMENT_FAILED),
    "too late before another amount": (AUTHORIZED, None, OTHER, END, Outcome.WINDOW_EXPIRED),
    "another amount before success": (AUTHORIZED, None, OTHER, INSIDE, Outcome.AMOUNT_MISMATCH),
    "success last": (AUTHORIZED, None, AMOUNT, INSIDE, Outcome.CAPTURED),
}

# Pairs of conditions that never hold together, and why.
_NO_PAYMENT_NO_STATE = {
    (Outcome.NOT_FOUND, later)
    for later in (
        Outcome.KEY_REUSED,  # without a payment nothing can be stored
        Outcome.TOO_MANY_REFUSALS,
        Outcome.NOT_AUTHORIZED,
        Outcome.ALREADY_CAPTURED,
        Outcome.PAYMENT_FAILED,
        Outcome.WINDOW_EXPIRED,
        Outcome.AMOUNT_MISMATCH,
    )
}
_ONE_STATE_AT_A_TIME = {
    (Outcome.NOT_AUTHORIZED, Outcome.ALREADY_CAPTURED),
    (Outcome.NOT_AUTHORIZED, Outcome.PAYMENT_FAILED),
    (Outcome.ALREADY_CAPTURED, Outcome.PAYMENT_FAILED),
    (Outcome.NOT_AUTHORIZED, Outcome.WINDOW_EXPIRED),  # only an authorized payment can be too late
    (Outcome.ALREADY_CAPTURED, Outcome.WINDOW_EXPIRED),
    (Outcome.PAYMENT_FAILED, Outcome.WINDOW_EXPIRED),
}

ATTEMPTS = [None, *(Attempt(amount, outcome, END) for outcome in RECORDED for amount in (AMOUNT, OTHER))]
REQUESTS = [
    (payment, recorded, amount, now)
    for payment, recorded, amount, now in product(
        SHAPES.values(), ATTEMPTS, (0, AMOUNT, OTHER, MAX_AMOUNT + 1), (INSIDE, END - 1, END, END + 1)
    )
    if coherent_attempt(payment, recorded)
]


@pytest.mark.invariant("Precedence")
@pytest.mark.parametrize("name", PRECEDENCE)
def test_the_earlier_of_two_conditions_is_the_answer(name: str) -> None:
    payment, recorded, amount, now, expected = PRECEDENCE[name]
    done = capture(payment, recorded, amount, now)
    assert (done.outcome, done.replayed) == (expected, False)


def test_every_pair_of_conditions_that_can_hold_together_does_and_the_earlier_wins() -> None:
    order = [outcome for outcome, _ in CAPTURE_PRECEDENCE]
    met = set()
    for request, left in product(REQUESTS, (-1, 0, 1)):
        holding = [outcome for outcome, holds in CAPTURE_PRECEDENCE if holds(*request, left)]
        met |= set(product(holding, holding))
        done = capture(*request, left)
        assert done.replayed or done.outcome is holding[0]
        assert first_applicable(*request, left) is holding[0]
    pairs = {(order[first], order[second]) for second in range(len(order)) for first in range(second)}
    assert pairs - met == _NO_PAYMENT_NO_STATE | _ONE_STATE_AT_A_TIME


def test_the_table_has_the_order_that_the_specification_gives() -> None:
    assert [outcome.name for outcome, _ in CAPTURE_PRECEDENCE] == [
        "MALFORMED",
        "NOT_FOUND",
        "KEY_REUSED",
        "TOO_MANY_REFUSALS",
        "NOT_AUTHORIZED",
        "ALREADY_CAPTURED",
        "PAYMENT_FAILED",
        "WINDOW_EXPIRED",
        "AMOUNT_MISMATCH",
        "CAPTURED",
    ]


@pytest.mark.invariant("I5")
@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (END - 1, Outcome.CAPTURED),
        (END, Outcome.WINDOW_EXPIRED),
        (END + 1, Outcome.WINDOW_EXPIRED),
    ],
)
def test_the_end_of_the_window_is_too_late(now: int, outcome: Outcome) -> None:
    done = capture(AUTHORIZED, None, AMOUNT, now)
    assert done.outcome is outcome
    assert done.attempt == Attempt(AMOUNT, outcome, now)
    assert (done.payment != AUTHORIZED) == (outcome is Outcome.CAPTURED)


@pytest.mark.invariant("I1")
def test_a_success_takes_the_whole_amount_at_the_instant_of_the_decision() -> None:
    done = capture(AUTHORIZED, None, AMOUNT, INSIDE)
    captured = Captured(
        AMOUNT, AUTHORIZED.authorized_at, AUTHORIZED.capture_expires_at, INSIDE, captured_amount=AMOUNT
    )
    assert done == Step(captured, Attempt(AMOUNT, Outcome.CAPTURED, INSIDE), Outcome.CAPTURED)


@pytest.mark.parametrize("amount", [1, AMOUNT, MAX_AMOUNT])
def test_the_limits_of_an_amount_are_well_formed(amount: int) -> None:
    assert capture(AUTHORIZED, None, amount, INSIDE).outcome is not Outcome.MALFORMED


@pytest.mark.invariant("I3")
def test_a_known_key_repeats_its_answer_in_every_state_and_at_every_instant() -> None:
    replays = 0
    for payment, recorded, amount, now in REQUESTS:
        if payment is not None and recorded is not None and recorded.amount == amount:
            done = capture(payment, recorded, amount, now)
            assert done == Step(payment, recorded, recorded.outcome, replayed=True)
            replays += 1
    assert replays > 100


def test_a_decision_repeats_itself_at_once_and_later() -> None:
    first = capture(AUTHORIZED, None, AMOUNT, INSIDE)
    for now in (INSIDE, END - 1, END, END + 1):
        again = capture(first.payment, first.attempt, AMOUNT, now)
        assert again == Step(first.payment, first.attempt, Outcome.CAPTURED, replayed=True)


def test_only_decisions_are_stored() -> None:
    for payment, recorded, amount, now in REQUESTS:
        done = capture(payment, recorded, amount, now)
        if recorded is not None:
            assert done.attempt == recorded
        else:
            assert (done.attempt is not None) == (done.outcome in RECORDED)


@pytest.mark.parametrize(
    ("payment", "attempt", "possible"),
    [
        (None, None, True),
        (None, REFUSED_EARLY, False),
        (CAPTURED, SUCCESS, True),
        (AUTHORIZED, SUCCESS, False),
        (DECLINED, SUCCESS, False),
        (CAPTURED, Attempt(AMOUNT - 1, Outcome.CAPTURED, INSIDE), False),
        (CAPTURED, Attempt(AMOUNT + 1, Outcome.CAPTURED, INSIDE), False),
        (AUTHORIZED, REFUSED_OTHER, True),
        (AUTHORIZED, Attempt(0, Outcome.AMOUNT_MISMATCH, INSIDE), False),
        (AUTHORIZED, Attempt(MAX_AMOUNT + 1, Outcome.AMOUNT_MISMATCH, INSIDE), False),
        *(
            (AUTHORIZED, Attempt(AMOUNT, outcome, INSIDE), False)
            for outcome in Outcome
            if outcome not in RECORDED
        ),
    ],
)
def test_which_attempts_can_be_stored(
    payment: Payment | None, attempt: Attempt | None, possible: object
) -> None:
    assert coherent_attempt(payment, attempt) is possible


def test_what_cannot_be_is_no_argument() -> None:
    assert not coherent(Captured(AMOUNT, 1, 2, captured_at=2, captured_amount=AMOUNT))
    with pytest.raises(ViolationError):
        capture(Captured(AMOUNT, 1, 2, captured_at=2, captured_amount=AMOUNT), None, AMOUNT, INSIDE)
    with pytest.raises(ViolationError):
        capture(AUTHORIZED, SUCCESS, AMOUNT, INSIDE)


@pytest.mark.invariant("I11")
@pytest.mark.parametrize("left", [0, -1, -59_000])
@pytest.mark.parametrize(
    ("payment", "amount", "now"),
    [
        (PENDING, AMOUNT, INSIDE),
        (CAPTURED, AMOUNT, INSIDE),
        (DECLINED, AMOUNT, INSIDE),
        (AUTHORIZED, AMOUNT, END),
        (AUTHORIZED, OTHER, INSIDE),
    ],
)
def test_a_refusal_without_room_leaves_nothing(payment: Payment, amount: int, now: int, left: int) -> None:
    assert capture(payment, None, amount, now, left) == Step(payment, None, Outcome.TOO_MANY_REFUSALS)
    stored = capture(payment, None, amount, now, 1)
    assert stored.attempt is not None
    again = capture(payment, stored.attempt, amount, now, left)
    assert (again.outcome, again.replayed) == (stored.outcome, True)
    assert capture(payment, stored.attempt, 1, now, left).outcome is Outcome.KEY_REUSED


@pytest.mark.invariant("I11")
def test_want_of_room_refuses_no_capture_that_succeeds() -> None:
    assert capture(AUTHORIZED, None, AMOUNT, INSIDE, 0) == capture(AUTHORIZED, None, AMOUNT, INSIDE)
    assert capture(AUTHORIZED, None, AMOUNT, INSIDE, 0).outcome is Outcome.CAPTURED
