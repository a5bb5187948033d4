"""A past that the service can have is found sound; damage is named, with the rule that it breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_model import Authorize, Capture, Create, Expire, Fail, FailureReason
from payments_verify.audit.compare import examine
from payments_verify.audit.rows import OUTCOMES, AttemptRow, EventRow, Past, PaymentRow
from payments_verify.audit.rules import RULES
from tests.docs.pages import SPECIFICATION
from tests.harness.audit.pasts import (
    AUTHORIZED,
    CAPTURED,
    END,
    EXPIRED,
    NOON,
    PROGRAMS,
    REFUSED,
    VOIDED,
    Asked,
    past,
)


def found(damaged: Past) -> dict[str, str]:
    """The rule of each thing that is found."""
    return {each.what: each.rule for each in examine(damaged)[1]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_service_stores_is_sound(name: str) -> None:
    assert found(past(PROGRAMS[name])) == {}


times = st.integers(NOON, NOON + 5) | st.integers(END - 2, END + 2)
commands: st.SearchStrategy[Asked] = st.one_of(
    st.tuples(
        st.builds(Create, st.integers(0, 2))
        | st.builds(Authorize, st.sampled_from([0, 1, 600_000_000]))
        | st.builds(Fail, st.sampled_from(FailureReason))
        | st.just(Expire()),
        times,
    ),
    st.tuples(st.builds(Capture, st.integers(0, 2)), times, st.sampled_from("ab")),
)


@pytest.mark.invariant("I12")
@given(st.lists(commands, max_size=12))
def test_whatever_is_asked_what_is_stored_is_sound(program: list[Asked]) -> None:
    """Also with a clock that goes back and forth."""
    stored = past(program)
    if stored.events:
        assert found(stored) == {}


# ---- each kind of damage, and its rule ----------------------------------------------------------


def payment(stored: Past, **changes: object) -> Past:
    assert stored.payment is not None
    return stored._replace(payment=stored.payment._replace(**changes))  # type: ignore[arg-type]


def attempt(stored: Past, place: int, **changes: object) -> Past:
    attempts = list(stored.attempts)
    attempts[place] = attempts[place]._replace(**changes)  # type: ignore[arg-type]
    return stored._replace(attempts=attempts)


def event(stored: Past, number: int, **changes: object) -> Past:
    events = list(stored.events)
    events[number - 1] = events[number - 1]._replace(**changes)  # type: ignore[arg-type]
    return stored._replace(events=events)


def without_event(stored: Past, number: int, *, renumbered: bool = False) -> Past:
    left = [each for each in stored.events if each.event_number != number]
    if renumbered:
        left = [each._replace(event_number=place) for place, each in enumerate(left, 1)]
    return stored._replace(events=left)


def with_event(stored: Past, like: int, **changes: object) -> Past:
    added = stored.events[like - 1]._replace(event_number=len(stored.events) + 1, **changes)  # type: ignore[arg-type]
    return stored._replace(events=[*stored.events, added])


NOTHING_CAPTURED = {"captured_at": None, "captured_amount_cents": None}
DAMAGES: dict[str, tuple[Past, dict[str, str]]] = {
    "a captured payment is set back": (
        payment(past(CAPTURED), state="authorized", **NOTHING_CAPTURED),
        {"payments.state": "I2", "payments and capture_attempts": "I6"},
    ),
    "a captured payment is made a failed one": (
        payment(past(CAPTURED), state="failed", failed_at=NOON, failure_reason="voided", **NOTHING_CAPTURED),
        {"payments.state": "I2", "payments and capture_attempts": "I6"},
    ),
    "a payment is moved, and no event says so": (
        payment(past(AUTHORIZED), state="failed", failed_at=NOON + 9, failure_reason="voided"),
        {"payments.state": "I12"},
    ),
    "a payment is captured, and nothing says so": (
        payment(past(AUTHORIZED), state="captured", captured_at=NOON + 9, captured_amount_cents=500),
        {"payments.state": "I12", "payments and capture_attempts": "I6"},
    ),
    "another amount": (payment(past(AUTHORIZED), amount_cents=501), {"payments.amount_cents": "I2"}),
    "another amount is captured": (
        payment(past(CAPTURED), captured_amount_cents=400),
        {
            "payments.captured_amount_cents": "I1",
            "payments and capture_attempts": "I6",
        },
    ),
    "another creation": (payment(past(AUTHORIZED), created_at=NOON - 1), {"payments.created_at": "I2"}),
    "a longer window": (
        payment(past(REFUSED), capture_expires_at=END + 1),
        {"payments.capture_expires_at": "I2"},
    ),
    "captured at another time": (
        payment(past(CAPTURED), captured_at=NOON + 1),
        {"payments.captured_at": "I2"},
    ),
    "captured at the window's end, says the row": (
        payment(past(CAPTURED), captured_at=END),
        {"payments.captured_at": "I5", "payments and capture_attempts": "I6"},
    ),
    "expired too early, says the row": (
        payment(past(EXPIRED), failed_at=END - 1),
        {"payments.failed_at": "I5", "payments and capture_attempts": "I6"},
    ),
    "failed for another reason": (
        payment(past(VOIDED), failure_reason="declined"),
        {"payments.failure_reason": "I2"},
    ),
    "a row that lacks what its state has": (
        payment(past(CAPTURED), captured_at=None),
        {"payments": "I6", "payments.captured_at": "I2"},
    ),
    "the payment is gone": (past(CAPTURED)._replace(payment=None), {"payments": "I2"}),
    "the payment has no events": (past(AUTHORIZED)._replace(events=[]), {"payment_events": "I12"}),
    "two captures": (
        attempt(past(CAPTURED), 1, outcome="captured", status=201),
        {
            "payments and capture_attempts": "I1",
            "capture_attempts, key 'b', outcome": "I3",
            "capture_attempts, key 'b', status": "I3",
        },
    ),
    "two captures, say the events": (event(past(CAPTURED), 4, outcome="captured"), {"event 4": "I1"}),
    "captured less, say the events": (event(past(CAPTURED), 3, amount_cents=499), {"event 3": "I1"}),
    "captured after the window, say the events": (
        event(past(CAPTURED), 3, decided_at=END),
        {"event 3": "I5"},
    ),
    "expired before the window's end, say the events": (
        event(past(EXPIRED), 4, decided_at=END - 1),
        {"event 4": "I5"},
    ),
    "a window of 32 days, says the event": (
        event(past(AUTHORIZED), 2, capture_expires_at=NOON + 32 * 86_400_000_000),
        {"event 2": "I5"},
    ),
    "created with nothing, says the event": (event(past(AUTHORIZED), 1, amount_cents=0), {"event 1": "I1"}),
    "captured after it had failed": (
        event(past(VOIDED), 4, outcome="captured"),
        {"event 4": "I2"},
    ),
    "captured before it was authorized": (event(past(EXPIRED), 2, outcome="captured"), {"event 2": "I2"}),
    "voided twice": (with_event(past(VOIDED), 3), {"event 5": "I2"}),
    "refused without a reason": (
        event(past(REFUSED), 4, decided_at=END - 1, idempotency_key="b"),
        {"event 4": "I10"},
    ),
    "refused for another reason": (event(past(REFUSED), 3, outcome="already_captured"), {"event 3": "I10"}),
    "decided again under its key": (with_event(past(CAPTURED), 4), {"event 5": "I3"}),
    "decided otherwise under its key": (with_event(past(CAPTURED), 4, amount_cents=501), {"event 5": "I4"}),
    "an event is gone": (without_event(past(CAPTURED), 3), {"event 3": "I12"}),
    "the last event is gone": (
        without_event(past(CAPTURED), 4),
        {"payment_events, key 'b'": "I12"},
    ),
    "the capture's event is gone, and its number": (
        without_event(past(CAPTURED), 3, renumbered=True),
        {"event 3": "I10"},
    ),
    "the creation is gone, and its number": (
        without_event(past(CAPTURED), 1, renumbered=True),
        {"event 1": "I12"},
    ),
    "an event of no kind": (event(past(AUTHORIZED), 2, outcome="refunded"), {"event 2": "I12"}),
    "an event that lacks what it needs": (event(past(CAPTURED), 3, amount_cents=None), {"event 3": "I12"}),
    "an event without a window": (event(past(CAPTURED), 2, capture_expires_at=None), {"event 2": "I12"}),
    "an attempt is gone": (
        past(CAPTURED)._replace(attempts=past(CAPTURED).attempts[:1]),
        {"capture_attempts, key 'b'": "I3"},
    ),
    "the successful attempt is gone": (
        past(CAPTURED)._replace(attempts=past(CAPTURED).attempts[1:]),
        {"capture_attempts, key 'a'": "I6", "payments and capture_attempts": "I6"},
    ),
    "an attempt that no event knows": (
        past(CAPTURED)._replace(
            attempts=[*past(CAPTURED).attempts, past(CAPTURED).attempts[1]._replace(idempotency_key="c")]
        ),
        {"payment_events, key 'c'": "I12"},
    ),
    "another answer under a key": (
        attempt(past(CAPTURED), 1, answer_sha256=bytes(32)),
        {"capture_attempts, key 'b', SHA-256 of the body": "I3"},
    ),
    "another outcome under a key": (
        attempt(past(CAPTURED), 1, outcome="payment_failed"),
        {"capture_attempts, key 'b', outcome": "I3"},
    ),
    "another amount under a key": (
        attempt(past(CAPTURED), 1, amount_cents=9),
        {"capture_attempts, key 'b', amount_cents": "I3"},
    ),
    "another time under a key": (
        attempt(past(CAPTURED), 1, decided_at=9),
        {"capture_attempts, key 'b', decided_at": "I3"},
    ),
    "another status under a key": (
        attempt(past(CAPTURED), 1, status=422),
        {"capture_attempts, key 'b', status": "I3"},
    ),
    "another key": (
        attempt(past(CAPTURED), 1, idempotency_key="B"),
        {"capture_attempts, key 'b'": "I3", "payment_events, key 'B'": "I12"},
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_its_rule(name: str) -> None:
    damaged, rules = DAMAGES[name]
    assert found(damaged) == rules


def test_every_rule_is_broken_above_and_has_the_words_of_the_specification() -> None:
    assert {rule for _, rules in DAMAGES.values() for rule in rules.values()} == RULES.keys()
    for rule, words in RULES.items():
        assert f"### {rule}. {words}\n" in SPECIFICATION


def changed(value: object) -> object:
    """Another value of the same kind."""
    match value:
        case None:
            return None
        case int():
            return value + 1
        case bytes():
            return bytes(32)
    return next(iter({*OUTCOMES, "voided", "declined"} - {value}))


ROWS = [
    (name, kind, place, column)
    for name, program in PROGRAMS.items()
    for kind, rows in (
        ("payment", [past(program).payment]),
        ("attempt", past(program).attempts),
        ("event", past(program).events),
    )
    for place, row in enumerate(rows)
    if row is not None
    for column in row._fields
    if column not in ("payment_id", "is_reconstructed") and getattr(row, column) is not None
]


@pytest.mark.invariant("I12")
@pytest.mark.parametrize(("name", "kind", "place", "column"), ROWS)
def test_no_value_can_be_changed_unseen(name: str, kind: str, place: int, column: str) -> None:
    stored = past(PROGRAMS[name])
    row: PaymentRow | AttemptRow | EventRow | None
    if kind == "payment":
        row = stored.payment
        damaged = payment(stored, **{column: changed(getattr(row, column))})
    elif kind == "attempt":
        row = stored.attempts[place]
        damaged = attempt(stored, place, **{column: changed(getattr(row, column))})
    else:
        row = stored.events[place]
        damaged = event(stored, place + 1, **{column: changed(getattr(row, column))})
    assert found(damaged) != {}


def test_decisions_that_go_back_in_time_are_counted_and_allowed() -> None:
    replayed, problems = examine(
        past([(Create(500), NOON), (Authorize(9), NOON - 5), (Capture(1), NOON - 6, "a")])
    )
    assert (replayed.clock_back, problems) == (2, [])
