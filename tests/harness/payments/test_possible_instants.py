"""The instants at which the specification lets commands be decided that no answer dates."""

from __future__ import annotations

from typing import Any

import pytest

from payments_verify.payments.specification.spec import Payments
from pgweave.history.linearizability import check
from pgweave.history.pairing import Event, Pairing
from pgweave.verdict import Verdict

Step = tuple[str, dict[str, Any], dict[str, Any] | None]

AUTHORIZED_AT, CAPTURED_AT, WINDOW = 100, 105, 60
END = AUTHORIZED_AT + WINDOW
AUTHORIZED = {
    "state": "authorized",
    "amount": 500,
    "authorized_at": AUTHORIZED_AT,
    "capture_expires_at": END,
}
CAPTURED = AUTHORIZED | {"state": "captured", "captured_amount": 500, "captured_at": CAPTURED_AT}
CREATE: Step = ("create", {"amount": 500}, {"outcome": "created"})
AUTHORIZE: Step = ("authorize", {"window": WINDOW}, {"outcome": "authorized", "payment": AUTHORIZED})
READ_CAPTURED: Step = ("read", {}, {"outcome": "read", "payment": CAPTURED})


def capture(key: str, outcome: str | None, *, replayed: bool = False, **more: Any) -> Step:
    answer = None if outcome is None else {"outcome": outcome, "replayed": replayed, **more}
    return "capture", {"key": key, "amount": 501 if outcome == "amount_mismatch" else 500}, answer


def verdict(*operations: Step) -> Verdict:
    """The verdict on operations one after the other; one without an answer stays open."""
    pairing = Pairing()
    for process, (f, value, answer) in enumerate(operations):
        pairing.add(Event("invoke", process, f, {"payment": "p", **value}, None))
        if answer is not None:
            pairing.add(Event("ok", process, f, answer, None))
    return check(Payments(), pairing.operations()).verdict


@pytest.mark.parametrize("dated", [True, False])
def test_an_unanswered_capture_may_have_been_decided_before_another_one(dated: bool) -> None:
    """Of k2 nobody says when it was decided: it was before the authorization, and k1 long after."""
    date = {"decided_at": AUTHORIZED_AT - 1} if dated else {}
    replayed = capture("k2", "not_authorized", replayed=True, **date)
    unanswered = capture("k2", None)
    k1 = capture("k1", "captured")
    assert verdict(CREATE, unanswered, AUTHORIZE, k1, READ_CAPTURED, replayed) == "holds"
    assert verdict(CREATE, AUTHORIZE, unanswered, k1, READ_CAPTURED, replayed) == "violated"


def test_what_was_captured_was_captured_when_it_is_said_to_have_been() -> None:
    begun = (CREATE, AUTHORIZE, capture("k2", None))
    assert verdict(*begun, READ_CAPTURED, capture("k2", "captured", replayed=True)) == "holds"
    too_early = CAPTURED | {"captured_at": AUTHORIZED_AT - 1}
    assert verdict(*begun, ("read", {}, {"outcome": "read", "payment": too_early})) == "violated"
    twice = CAPTURED | {"captured_at": CAPTURED_AT + 1}
    assert verdict(*begun, READ_CAPTURED, ("read", {}, {"outcome": "read", "payment": twice})) == "violated"


LATER = AUTHORIZED_AT + 10 * WINDOW
UNDATED: Step = ("authorize", {"window": WINDOW}, {"outcome": "authorized"})
UNANSWERED: Step = ("authorize", {"window": WINDOW}, None)


@pytest.mark.parametrize("authorize", [UNDATED, UNANSWERED])
def test_an_authorization_may_have_been_decided_long_after_what_came_before_it(authorize: Step) -> None:
    """Nobody says when: late enough for what was captured later, and early enough for what came too late."""
    captured = capture("k1", "captured", decided_at=LATER)
    assert verdict(CREATE, authorize, captured) == "holds"
    open_before = capture("k0", "amount_mismatch", decided_at=LATER - WINDOW)
    assert verdict(CREATE, authorize, open_before, captured) == "violated"
    open_then = capture("k0", "amount_mismatch", decided_at=LATER - WINDOW + 1)
    assert verdict(CREATE, authorize, open_then, captured) == "holds"
    expired = capture("k0", "window_expired", decided_at=LATER - 1)
    assert verdict(CREATE, authorize, expired, captured) == "violated"


@pytest.mark.parametrize("authorize", [UNDATED, UNANSWERED])
def test_an_authorization_may_have_been_decided_while_the_clock_was_set(authorize: Step) -> None:
    pairing = Pairing()
    pairing.add(Event("invoke", 0, "create", {"payment": "p", "amount": 500}))
    pairing.add(Event("ok", 0, "create", {"outcome": "created"}))
    pairing.add(Event("invoke", 1, authorize[0], {"payment": "p", **authorize[1]}))
    for now in (AUTHORIZED_AT, LATER):
        pairing.add(Event("invoke", 2, "clock", {"now": now}))
        pairing.add(Event("ok", 2, "clock", {}))
    if authorize[2] is not None:
        pairing.add(Event("ok", 1, authorize[0], authorize[2]))
    pairing.add(Event("invoke", 0, "capture", {"payment": "p", "key": "k", "amount": 500}))
    pairing.add(Event("ok", 0, "capture", {"outcome": "captured"}))
    assert check(Payments(), pairing.operations()).verdict == "holds"


def test_the_date_of_what_is_not_stored_says_nothing_of_what_is() -> None:
    unstored = capture("k", "not_found", decided_at=AUTHORIZED_AT - 1)
    captured = (CREATE, AUTHORIZE, capture("k", None), READ_CAPTURED)
    assert verdict(*captured) == verdict(unstored, *captured) == "holds"
