"""Each contract of the model refuses answers that break it, and each function arguments that cannot be.

The rules keep their contracts; what a contract would say of a rule that does not keep it is seen here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from icontract import ViolationError

from payments_model import (
    MAX_AMOUNT,
    MAX_WINDOW,
    Attempt,
    Authorized,
    Captured,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Step,
)
from payments_model.capture import capture
from payments_model.lifecycle import authorize, create, expire, fail, read
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
    START,
    SUCCESS,
)

Rule: TypeAlias = Callable[..., Step]
Wrong: TypeAlias = tuple[tuple[Any, ...], Step]
"""Arguments, and an answer to them that breaks the contract."""

VOIDED = FailureReason.VOIDED
AGAIN = Step(AUTHORIZED, REFUSED_OTHER, Outcome.AMOUNT_MISMATCH, replayed=True)


def success(captured: Payment) -> Step:
    return Step(captured, SUCCESS, Outcome.CAPTURED)


def done(payment: Payment | None, outcome: Outcome) -> Step:
    return Step(payment, None, outcome)


def captured_of(amount: int, taken: int) -> Captured:
    return Captured(amount, START, END, captured_at=INSIDE, captured_amount=taken)


WRONG: dict[Rule, dict[str, list[Wrong]]] = {
    capture: {
        "I1: a payment becomes captured by the one capture that succeeds, and only from authorized": [
            ((AUTHORIZED, None, AMOUNT, INSIDE), success(AUTHORIZED)),
            ((CAPTURED, None, AMOUNT, INSIDE), success(CAPTURED)),
            ((AUTHORIZED, None, OTHER, INSIDE), Step(CAPTURED, REFUSED_OTHER, Outcome.AMOUNT_MISMATCH)),
            ((AUTHORIZED, None, AMOUNT, INSIDE), replace(success(CAPTURED), replayed=True)),
        ],
        "I1: a capture takes exactly the authorized amount": [
            ((AUTHORIZED, None, AMOUNT, INSIDE), success(captured_of(AMOUNT, AMOUNT - 1))),
            ((AUTHORIZED, None, AMOUNT, INSIDE), success(captured_of(AMOUNT, AMOUNT + 1))),
            ((AUTHORIZED, None, AMOUNT - 1, INSIDE), success(captured_of(AMOUNT, AMOUNT - 1))),
            ((AUTHORIZED, None, AMOUNT + 1, INSIDE), success(captured_of(AMOUNT, AMOUNT + 1))),
        ],
        "I2: only legal moves happen": [
            ((None, None, AMOUNT, INSIDE), done(PENDING, Outcome.NOT_FOUND)),
            ((PENDING, None, AMOUNT, INSIDE), success(CAPTURED)),
            ((CAPTURED, None, AMOUNT, INSIDE), done(DECLINED, Outcome.ALREADY_CAPTURED)),
        ],
        "I3: a known key with the same request gets the stored answer again, and nothing changes": [
            ((AUTHORIZED, REFUSED_OTHER, OTHER, INSIDE), replace(AGAIN, replayed=False)),
            ((AUTHORIZED, REFUSED_OTHER, OTHER, INSIDE), replace(AGAIN, outcome=Outcome.WINDOW_EXPIRED)),
            ((AUTHORIZED, REFUSED_OTHER, OTHER, INSIDE), replace(AGAIN, payment=CAPTURED)),
            ((AUTHORIZED, REFUSED_OTHER, OTHER, INSIDE), replace(AGAIN, attempt=None)),
        ],
        "I3: what is stored under a key stays": [
            ((AUTHORIZED, REFUSED_OTHER, OTHER, INSIDE), replace(AGAIN, attempt=None)),
            ((AUTHORIZED, REFUSED_OTHER, OTHER, INSIDE), replace(AGAIN, attempt=REFUSED_EARLY)),
        ],
        "I3: a decided capture is stored under its key; one that is not decided leaves nothing": [
            ((AUTHORIZED, None, AMOUNT, INSIDE), done(CAPTURED, Outcome.CAPTURED)),
            ((AUTHORIZED, None, OTHER, INSIDE), Step(AUTHORIZED, REFUSED_EARLY, Outcome.AMOUNT_MISMATCH)),
            ((AUTHORIZED, None, AMOUNT, INSIDE + 1), success(CAPTURED)),
            ((AUTHORIZED, None, 0, INSIDE), Step(AUTHORIZED, REFUSED_OTHER, Outcome.MALFORMED)),
        ],
        "I4: a known key with another request is refused, and nothing changes": [
            *(
                ((AUTHORIZED, REFUSED_OTHER, amount, INSIDE), replace(AGAIN, replayed=False))
                for amount in (1, OTHER - 1, OTHER + 1, MAX_AMOUNT)
            ),
            ((AUTHORIZED, REFUSED_OTHER, AMOUNT, INSIDE), Step(CAPTURED, SUCCESS, Outcome.KEY_REUSED)),
        ],
        "I5: a capture is decided strictly before the window ends": [
            ((AUTHORIZED, None, AMOUNT, END), success(CAPTURED)),
            ((AUTHORIZED, None, AMOUNT, END + 1), success(CAPTURED)),
        ],
        "I6: the payment's values are possible together": [
            ((AUTHORIZED, None, AMOUNT, END), success(replace(CAPTURED, captured_at=END))),
        ],
        "I6: a success is stored exactly when the payment is captured": [
            ((AUTHORIZED, None, AMOUNT, INSIDE), success(AUTHORIZED)),
        ],
        "I11: a refusal changes nothing but the attempt it records": [
            ((AUTHORIZED, None, AMOUNT, END), Step(EXPIRED, REFUSED_EARLY, Outcome.WINDOW_EXPIRED)),
        ],
        "I11: a refusal is stored only while there is room for it": [
            ((AUTHORIZED, None, OTHER, INSIDE, 0), Step(AUTHORIZED, REFUSED_OTHER, Outcome.AMOUNT_MISMATCH)),
        ],
        "Precedence: the first condition that holds is the answer": [
            ((AUTHORIZED, None, OTHER, INSIDE, 1), Step(AUTHORIZED, None, Outcome.TOO_MANY_REFUSALS)),
            ((AUTHORIZED, None, AMOUNT, INSIDE, 0), Step(AUTHORIZED, None, Outcome.TOO_MANY_REFUSALS)),
            ((AUTHORIZED, None, OTHER, END), Step(AUTHORIZED, REFUSED_OTHER, Outcome.AMOUNT_MISMATCH)),
        ],
    },
    create: {
        "I2: creating again moves nothing": [((PENDING, AMOUNT), done(AUTHORIZED, Outcome.EXISTS))],
        "I2: a payment begins as pending, with the amount asked for": [
            ((None, AMOUNT), done(Pending(OTHER), Outcome.CREATED)),
            ((None, AMOUNT), done(AUTHORIZED, Outcome.CREATED)),
            ((None, AMOUNT), done(None, Outcome.MALFORMED)),
            ((None, 0), done(Pending(0), Outcome.CREATED)),
        ],
        "I6: the payment's values are possible together": [
            ((None, 0), done(Pending(0), Outcome.CREATED)),
        ],
        "I11: only a creation changes anything": [
            ((PENDING, OTHER), done(Pending(OTHER), Outcome.EXISTS)),
            ((PENDING, AMOUNT), done(PENDING, Outcome.CREATED)),
        ],
    },
    authorize: {
        "I2: only legal moves happen": [((PENDING, 1, START), done(CAPTURED, Outcome.AUTHORIZED))],
        "I2: exactly a pending payment can be authorized": [
            ((AUTHORIZED, 1, START), done(AUTHORIZED, Outcome.AUTHORIZED)),
            ((PENDING, 0, START), done(PENDING, Outcome.AUTHORIZED)),
            ((PENDING, MAX_WINDOW + 1, START), done(PENDING, Outcome.AUTHORIZED)),
            ((PENDING, 1, START), done(PENDING, Outcome.MALFORMED)),
            ((PENDING, MAX_WINDOW, START), done(PENDING, Outcome.MALFORMED)),
        ],
        "I5: the capture window begins at the authorization, on the database's clock": [
            ((PENDING, 2, START), done(Authorized(AMOUNT, START - 1, START + 2), Outcome.AUTHORIZED)),
            ((PENDING, 2, START), done(Authorized(AMOUNT, START, START + 3), Outcome.AUTHORIZED)),
            ((PENDING, 2, START), done(Authorized(OTHER, START, START + 2), Outcome.AUTHORIZED)),
        ],
        "I6: the payment's values are possible together": [
            ((PENDING, 1, START), done(Authorized(AMOUNT, START, START), Outcome.AUTHORIZED)),
        ],
        "I11: a refusal changes nothing": [((PENDING, 0, START), done(AUTHORIZED, Outcome.MALFORMED))],
    },
    fail: {
        "I2: only legal moves happen": [((CAPTURED, VOIDED, INSIDE), done(DECLINED, Outcome.FAILED))],
        "I2: exactly an authorized payment can be declined or voided": [
            ((PENDING, VOIDED, INSIDE), done(PENDING, Outcome.FAILED)),
            ((AUTHORIZED, FailureReason.EXPIRED, END), done(EXPIRED, Outcome.FAILED)),
            ((AUTHORIZED, VOIDED, INSIDE), done(AUTHORIZED, Outcome.ALREADY_AUTHORIZED)),
        ],
        "I6: the payment's values are possible together": [
            ((AUTHORIZED, VOIDED, INSIDE), done(replace(DECLINED, amount=0), Outcome.FAILED)),
        ],
        "I11: a refusal changes nothing": [
            ((AUTHORIZED, FailureReason.EXPIRED, END), done(EXPIRED, Outcome.MALFORMED)),
        ],
    },
    expire: {
        "I2: only legal moves happen": [((CAPTURED, END), done(EXPIRED, Outcome.EXPIRED))],
        "I5: a payment expires exactly when it can no longer be captured": [
            ((AUTHORIZED, END - 1), done(replace(EXPIRED, failed_at=END - 1), Outcome.EXPIRED)),
            ((AUTHORIZED, END), done(AUTHORIZED, Outcome.WINDOW_OPEN)),
            ((CAPTURED, END), done(CAPTURED, Outcome.EXPIRED)),
        ],
        "I6: the payment's values are possible together": [
            ((AUTHORIZED, END), done(replace(EXPIRED, failed_at=END - 1), Outcome.EXPIRED)),
        ],
        "I11: a refusal changes nothing": [((AUTHORIZED, INSIDE), done(EXPIRED, Outcome.WINDOW_OPEN))],
    },
    read: {
        "I8: a read answers the payment as it stands": [
            ((CAPTURED,), done(AUTHORIZED, Outcome.READ)),
            ((CAPTURED,), done(CAPTURED, Outcome.NOT_FOUND)),
            ((None,), done(None, Outcome.READ)),
        ],
    },
}

REST: dict[Rule, tuple[Any, ...]] = {
    capture: (None, AMOUNT, INSIDE),
    create: (AMOUNT,),
    authorize: (1, START),
    fail: (VOIDED, INSIDE),
    expire: (END,),
    read: (),
}
"""The arguments of each rule after the payment."""


def wrong_answers() -> list[Any]:
    return [
        pytest.param(rule, text, arguments, answer, id=f"{rule.__name__}, {text}, {number}")
        for rule, contracts in WRONG.items()
        for text, answers in contracts.items()
        for number, (arguments, answer) in enumerate(answers)
    ]


def contracts_of(rule: Any) -> dict[str, Any]:
    return {contract.description: contract for contract in rule.__postconditions__}


@pytest.mark.parametrize(("rule", "text", "arguments", "answer"), wrong_answers())
def test_a_contract_refuses_an_answer_that_breaks_it(
    rule: Rule, text: str, arguments: tuple[Any, ...], answer: Step
) -> None:
    contract = contracts_of(rule)[text]
    given = inspect.signature(rule).bind(*arguments)
    given.apply_defaults()
    values = {**given.arguments, "result": answer}
    assert not contract.condition(**{name: values[name] for name in contract.condition_args})


@pytest.mark.parametrize("rule", list(WRONG))
def test_every_contract_is_shown_an_answer_that_breaks_it(rule: Rule) -> None:
    assert set(contracts_of(rule)) == set(WRONG[rule])


@pytest.mark.parametrize("rule", list(REST))
def test_a_payment_that_cannot_be_is_no_argument(rule: Rule) -> None:
    assert isinstance(rule(AUTHORIZED, *REST[rule]), Step)
    with pytest.raises(ViolationError, match=r"\bpayment is None or coherent\(payment\)"):
        rule(replace(AUTHORIZED, capture_expires_at=START), *REST[rule])


@pytest.mark.parametrize("attempt", [SUCCESS, Attempt(0, Outcome.AMOUNT_MISMATCH, INSIDE)])
def test_an_attempt_that_cannot_be_is_no_argument(attempt: Attempt) -> None:
    with pytest.raises(ViolationError, match=r"\bcoherent_attempt\(payment=payment, recorded=recorded\)"):
        capture(AUTHORIZED, attempt, AMOUNT, INSIDE)
