"""A clock that is set back: what was known of the time before says nothing of the time after."""

from __future__ import annotations

from typing import Any

from payments_verify.payments.specification.spec import Payments
from pgweave.history.linearizability import check
from pgweave.history.pairing import Event, Pairing
from pgweave.verdict import Verdict

Step = tuple[str, dict[str, Any], dict[str, Any] | None]

HOUR = 3_600_000_000
END = 2 * HOUR
AUTHORIZED = {"state": "authorized", "amount": 500, "authorized_at": HOUR, "capture_expires_at": END}
READ_TOO_LATE: Step = ("read", {}, {"outcome": "read", "payment": AUTHORIZED, "as_of": END + 1})
CAPTURED: Step = (
    "capture",
    {"key": "k", "amount": 500},
    {"outcome": "captured", "decided_at": END - 1},
)
BEGUN = (
    ("create", {"amount": 500}, {"outcome": "created"}),
    ("authorize", {"window": HOUR}, {"outcome": "authorized", "payment": AUTHORIZED}),
)
BACK: Step = ("clock_back", {"by": HOUR}, {})


def verdict(*operations: Step) -> Verdict:
    """The verdict on operations one after the other; one without an answer stays open."""
    pairing = Pairing()
    for process, (f, value, answer) in enumerate(operations):
        argument = value if f == "clock_back" else {"payment": "p", **value}
        pairing.add(Event("invoke", process, f, argument, None))
        if answer is not None:
            pairing.add(Event("ok", process, f, answer, None))
    return check(Payments(), pairing.operations()).verdict


def test_a_clock_that_does_not_go_back_closes_the_window_for_good() -> None:
    assert verdict(*BEGUN, READ_TOO_LATE, CAPTURED) == "violated"


def test_a_clock_that_is_set_back_opens_it_again() -> None:
    assert verdict(*BEGUN, READ_TOO_LATE, BACK, CAPTURED) == "holds"


def test_only_what_came_before_is_forgotten() -> None:
    assert verdict(*BEGUN, BACK, READ_TOO_LATE, CAPTURED) == "violated"
    assert verdict(*BEGUN, READ_TOO_LATE, CAPTURED, BACK) == "violated"


def test_decisions_under_one_lock_go_back_only_with_the_clock() -> None:
    late = ("capture", {"key": "a", "amount": 501}, {"outcome": "amount_mismatch", "decided_at": END - 1})
    early = ("capture", {"key": "b", "amount": 501}, {"outcome": "amount_mismatch", "decided_at": HOUR + 1})
    assert verdict(*BEGUN, late, early) == "violated"
    assert verdict(*BEGUN, late, BACK, early) == "holds"
    assert verdict(*BEGUN, BACK, late, early) == "violated"


def test_one_that_nobody_saw_end_may_come_at_any_later_time() -> None:
    assert verdict(*BEGUN, ("clock_back", {"by": HOUR}, None), READ_TOO_LATE, CAPTURED) == "holds"


def test_a_capture_after_the_end_of_the_window_is_wrong_whatever_the_clock_did() -> None:
    too_late = ("capture", {"key": "k", "amount": 500}, {"outcome": "captured", "decided_at": END})
    assert verdict(*BEGUN, BACK, too_late) == "violated"
    assert verdict(*BEGUN, too_late, BACK) == "violated"


def test_an_operation_under_way_meanwhile_has_no_bounds() -> None:
    pairing = Pairing()
    for process, (f, value, answer) in enumerate((*BEGUN, READ_TOO_LATE)):
        pairing.add(Event("invoke", process, f, {"payment": "p", **value}, None))
        pairing.add(Event("ok", process, f, answer, None))
    f, value, answer = CAPTURED
    pairing.add(Event("invoke", 10, f, {"payment": "p", **value}, None))
    pairing.add(Event("invoke", 11, "clock_back", {"by": HOUR}, None))
    pairing.add(Event("ok", 11, "clock_back", {}, None))
    pairing.add(Event("ok", 10, f, answer, None))
    assert check(Payments(), pairing.operations()).verdict == "holds"
