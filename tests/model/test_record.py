"""What is stored about a payment: keys select attempts, and the invariants that a record can break."""

from __future__ import annotations

from dataclasses import replace

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
    Read,
    Record,
    apply,
    violations,
)
from tests.model.shapes import (
    AMOUNT,
    AUTHORIZED,
    CAPTURED,
    DECLINED,
    END,
    INSIDE,
    OTHER,
    PENDING,
    REFUSED_EARLY,
    REFUSED_OTHER,
    SUCCESS,
)

BROKEN: dict[str, tuple[Record, list[str]]] = {
    "a payment that cannot be": (
        Record(replace(AUTHORIZED, amount=0)),
        ["I6: the payment's values are not possible together"],
    ),
    "two successes": (
        Record(CAPTURED, frozenset({("a", SUCCESS), ("b", SUCCESS)})),
        [
            "I1: more than one capture succeeded",
            "I6: captured without exactly one successful attempt, or the reverse",
        ],
    ),
    "captured without a success": (
        Record(CAPTURED, frozenset({("a", REFUSED_EARLY)})),
        ["I6: captured without exactly one successful attempt, or the reverse"],
    ),
    "a success without a captured payment": (
        Record(AUTHORIZED, frozenset({("a", SUCCESS)})),
        [
            "I6: captured without exactly one successful attempt, or the reverse",
            "I6: an attempt is stored that cannot be",
        ],
    ),
    "two attempts under one key": (
        Record(AUTHORIZED, frozenset({("a", REFUSED_EARLY), ("a", REFUSED_OTHER)})),
        ["I3: two attempts are stored under one key"],
    ),
    "an attempt without a payment": (
        Record(None, frozenset({("a", REFUSED_EARLY)})),
        ["I6: an attempt is stored that cannot be"],
    ),
    "a stored answer that is not stored": (
        Record(AUTHORIZED, frozenset({("a", Attempt(AMOUNT, Outcome.KEY_REUSED, INSIDE))})),
        ["I6: an attempt is stored that cannot be"],
    ),
    "a success of another amount": (
        Record(CAPTURED, frozenset({("a", replace(SUCCESS, amount=OTHER))})),
        ["I6: an attempt is stored that cannot be"],
    ),
}

SOUND: dict[str, Record] = {
    "nothing": Record(),
    "pending": Record(PENDING),
    "pending, with a refusal": Record(PENDING, frozenset({("a", REFUSED_EARLY)})),
    "captured": Record(CAPTURED, frozenset({("a", SUCCESS), ("b", REFUSED_EARLY), ("c", REFUSED_OTHER)})),
    "declined": Record(DECLINED, frozenset({("a", REFUSED_OTHER)})),
}


@pytest.mark.invariant("I6")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_is_said_to_be(name: str) -> None:
    record, found = BROKEN[name]
    assert violations(record) == found


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_record_breaks_nothing(name: str) -> None:
    assert violations(SOUND[name]) == []


@pytest.mark.parametrize(
    "command", [Create(1), Authorize(1), Fail(FailureReason.VOIDED), Expire(), Read()], ids=str
)
def test_only_a_capture_has_a_key(command: Command) -> None:
    with pytest.raises(ValueError, match=r"a capture has a key and no other command does.*key 'a'"):
        apply(Record(), command, 0, "a")


def test_a_capture_has_a_key() -> None:
    with pytest.raises(ValueError, match=r"a capture has a key and no other command does.*key None"):
        apply(Record(), Capture(1), 0)


def test_a_key_selects_its_own_attempt() -> None:
    record = Record(CAPTURED, frozenset({("a", SUCCESS), ("b", REFUSED_OTHER)}))
    assert [record.attempt(key) for key in ("a", "b", "A", "")] == [SUCCESS, REFUSED_OTHER, None, None]


def test_keys_are_apart() -> None:
    record = Record(AUTHORIZED)
    record, refused = apply(record, Capture(OTHER), INSIDE, "a")
    record, captured = apply(record, Capture(AMOUNT), INSIDE, "b")
    record, late = apply(record, Capture(AMOUNT), END, "c")
    assert [refused.outcome, captured.outcome, late.outcome] == [
        Outcome.AMOUNT_MISMATCH,
        Outcome.CAPTURED,
        Outcome.ALREADY_CAPTURED,
    ]
    for key, amount, first in (("a", OTHER, refused), ("b", AMOUNT, captured), ("c", AMOUNT, late)):
        after, again = apply(record, Capture(amount), END + 1, key)
        assert after == record
        assert (again.outcome, again.replayed, again.attempt) == (first.outcome, True, first.attempt)


def test_what_is_not_decided_leaves_nothing() -> None:
    known = Record(AUTHORIZED, frozenset({("a", REFUSED_OTHER)}))
    for record, amount, key in ((Record(), AMOUNT, "a"), (Record(PENDING), 0, "a"), (known, AMOUNT, "a")):
        assert apply(record, Capture(amount), INSIDE, key)[0] == record
