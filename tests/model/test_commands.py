"""``step`` is total, and hands each command to its rule."""

from __future__ import annotations

from itertools import product

import pytest

from payments_model import (
    Attempt,
    Authorize,
    Capture,
    Command,
    Create,
    Expire,
    Fail,
    FailureReason,
    Outcome,
    Payment,
    Read,
    Step,
    step,
)
from payments_model.capture import coherent_attempt
from tests.model.shapes import (
    AMOUNT,
    AUTHORIZED,
    CAPTURED,
    END,
    INSIDE,
    OTHER,
    PENDING,
    REFUSED_EARLY,
    REFUSED_OTHER,
    SHAPES,
    START,
    SUCCESS,
)

COMMANDS: tuple[Command, ...] = (
    *(Create(amount) for amount in (0, AMOUNT, OTHER)),
    *(Authorize(window) for window in (0, 1)),
    *(Capture(amount) for amount in (0, AMOUNT, OTHER)),
    *(Fail(reason) for reason in FailureReason),
    Expire(),
    Read(),
)
ATTEMPTS = (None, SUCCESS, REFUSED_EARLY, REFUSED_OTHER)


def test_every_command_has_an_answer_in_every_state_at_every_instant() -> None:
    seen = set()
    instants = (START, END, END + 1)
    for payment, attempt, command, now, left in product(
        SHAPES.values(), ATTEMPTS, COMMANDS, instants, (0, 1)
    ):
        if coherent_attempt(payment, attempt):
            done = step(payment, attempt, command, now, left)
            assert isinstance(done, Step)
            seen.add(done.outcome)
    assert seen == set(Outcome)


@pytest.mark.parametrize(
    ("payment", "command", "outcome"),
    [
        (None, Create(AMOUNT), Outcome.CREATED),
        (PENDING, Authorize(1), Outcome.AUTHORIZED),
        (AUTHORIZED, Capture(AMOUNT), Outcome.CAPTURED),
        (AUTHORIZED, Fail(FailureReason.VOIDED), Outcome.FAILED),
        (AUTHORIZED, Expire(), Outcome.WINDOW_OPEN),
        (CAPTURED, Read(), Outcome.READ),
    ],
)
def test_each_command_goes_to_its_rule(payment: Payment | None, command: Command, outcome: Outcome) -> None:
    assert step(payment, None, command, INSIDE).outcome is outcome


@pytest.mark.parametrize("command", [each for each in COMMANDS if not isinstance(each, Capture)])
@pytest.mark.parametrize("attempt", [REFUSED_EARLY, REFUSED_OTHER])
def test_only_a_capture_sees_what_is_stored_under_a_key(command: Command, attempt: Attempt) -> None:
    with_key, without = (
        step(AUTHORIZED, attempt, command, INSIDE),
        step(AUTHORIZED, None, command, INSIDE),
    )
    assert (with_key.payment, with_key.outcome) == (without.payment, without.outcome)
    assert with_key.attempt == attempt
    assert not with_key.replayed
