"""A capture may be told to ask again exactly while another with its key is in flight; it changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from payments_verify.payments.observed.in_flight import contended_in_race
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.specification.spec import Payments
from pgweave.history.linearizability import check
from pgweave.history.pairing import Event, Pairing
from pgweave.scheduler import ScheduledOperation

PAYMENT = "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11"
CAPTURED: dict[str, Any] = {"outcome": "captured", "replayed": False}
IN_PROGRESS = {"outcome": "in_progress"}
BEGUN: list[tuple[int, str, Any]] = [
    (0, "create", {"amount": 500}),
    (0, "ok", {"outcome": "created"}),
    (0, "authorize", {"window": 60_000_000}),
    (0, "ok", {"outcome": "authorized"}),
]


def capture(key: str = "k", amount: int = 500) -> dict[str, Any]:
    return {"key": key, "amount": amount}


def verdict(*events: tuple[int, str, Any]) -> str:
    """The verdict on a history: an event is a process, a command or a kind of answer, and its value."""
    pairing = Pairing()
    asked: dict[int, str] = {}
    for at, (process, what, value) in enumerate([*BEGUN, *events]):
        match what:
            case "ok" | "fail" | "unknown":
                pairing.add(Event(what, process, asked[process], value, at))
            case _:
                asked[process] = what
                pairing.add(Event("invoke", process, what, {"payment": PAYMENT, **value}, at))
    return check(Payments(), pairing.operations()).verdict


FIRST = ((1, "capture", capture()), (1, "ok", CAPTURED))
SECOND = ((2, "capture", capture()), (2, "fail", IN_PROGRESS))
READ: tuple[tuple[int, str, Any], ...] = (
    (3, "read", {}),
    (3, "ok", {"outcome": "read", "payment": {"state": "captured"}}),
)


def test_while_another_with_its_key_is_in_flight_it_may() -> None:
    assert verdict(FIRST[0], *SECOND, FIRST[1]) == "holds"
    assert verdict(SECOND[0], FIRST[0], SECOND[1], FIRST[1]) == "holds"
    assert verdict(FIRST[0], *SECOND, FIRST[1], *READ) == "holds"


def test_one_that_got_no_answer_may_still_be_in_flight() -> None:
    assert verdict(FIRST[0], (1, "unknown", {}), *SECOND) == "holds"


@pytest.mark.parametrize(
    "other",
    [(), FIRST, ((1, "capture", capture("another")), (1, "ok", CAPTURED))],
    ids=["nothing", "over", "another key"],
)
def test_with_nothing_in_flight_it_may_not(other: tuple[Any, ...]) -> None:
    assert verdict(*other, *SECOND) == "violated"
    # Nor while a request with another key, or none, is in flight.
    begun, ended = (3, "capture", capture("third", 501)), (3, "fail", {"outcome": "amount_mismatch"})
    held = {"outcome": "already_captured"} if other else ended[2]
    assert verdict(*other, begun, (3, "fail", held)) == "holds"
    assert verdict(*other, begun, *SECOND, (3, "fail", held)) == "violated"


def test_it_leaves_the_payment_as_it_is() -> None:
    both = ((1, "capture", capture()), *SECOND, (1, "fail", IN_PROGRESS))
    assert verdict(*both) == "holds"
    assert verdict(*both, *READ) == "violated"


def test_an_answer_that_may_also_be_another_outcome_is_explained_by_that() -> None:
    also = {"outcome": "in_progress", "also": ["already_captured"]}
    assert verdict(*FIRST, (2, "capture", capture("k2")), (2, "fail", also)) == "holds"
    assert verdict((2, "capture", capture("k2")), (2, "fail", also)) == "violated"


REUSED: dict[str, Any] = {"outcome": "key_reused", "also": ["in_progress"]}


def test_a_key_in_flight_is_reused_by_another_amount_alone() -> None:
    other, same = (2, "capture", capture(amount=400)), (2, "capture", capture())
    told = (2, "fail", REUSED)
    assert verdict(FIRST[0], other, told, FIRST[1]) == "holds"
    assert verdict(other, FIRST[0], told, FIRST[1]) == "holds"
    assert verdict(*FIRST, other, told) == "holds"
    assert verdict(FIRST[0], same, told, FIRST[1]) == "violated"
    assert verdict(other, told, *FIRST) == "violated"


@pytest.mark.parametrize("amount", [400, 500])
def test_in_a_race_too(amount: int) -> None:
    asked = Invocation("capture", {"payment": PAYMENT, **capture(amount=amount)})
    told = ScheduledOperation(0, asked, Observation("fail", REUSED), 4, 6, 6)
    assert contended_in_race([told, raced(1, 0, 9, "captured")]) == ({0} if amount == 400 else set())


def raced(process: int, first: int | None, answered: int | None, outcome: str | None) -> ScheduledOperation:
    seen = {
        None: None,
        "500": Observation("unknown", {"status": 500}),
        "cut": Observation("unknown", {"error": "ReadError"}),
    }
    result = seen[outcome] if outcome in seen else Observation("fail", {"outcome": outcome})
    asked = Invocation("capture", {"payment": PAYMENT, **capture()})
    return ScheduledOperation(process, asked, result, first, answered, answered)


@pytest.mark.parametrize(
    ("other", "is_contended"),
    [
        (raced(1, 0, 9, "captured"), True),
        (raced(1, 7, 9, "captured"), True),  # sent before, its first statement after: known from memory
        (raced(1, 0, 3, "captured"), False),
        (raced(1, 0, 3, "500"), False),
        (raced(1, 0, 3, "cut"), True),
        (raced(1, 0, None, None), True),
    ],
    ids=["at work", "sent", "answered", "failed", "cut off", "unanswered"],
)
def test_in_a_race_the_run_says_what_was_in_flight(other: ScheduledOperation, is_contended: bool) -> None:
    told = raced(0, 4, 6, "in_progress")
    assert (0 in contended_in_race([told, other])) is is_contended
