"""Compares a payment's rows with what its events lead to, and checks the rules that hold of rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_type_hints

from payments_model import (
    Attempt,
    Authorized,
    Captured,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Record,
    State,
    state_of,
    violations,
)
from payments_verify.audit.findings import Finding, finding
from payments_verify.audit.replay import Replay, replay
from payments_verify.audit.rows import (
    CAPTURES,
    REASONS,
    STATES,
    AttemptRow,
    EventRow,
    Past,
    PaymentRow,
    name_of,
)
from payments_verify.audit.rules import rule_of_state
from pgweave.visible import counted

_FIELDS = ("authorized_at", "capture_expires_at", "captured_at", "captured_amount_cents", "failed_at")
_STATUS = {Outcome.CAPTURED: 201, Outcome.AMOUNT_MISMATCH: 422}
_REFUSED_STATUS = 409
_KINDS = {row: get_type_hints(row) for row in (PaymentRow, AttemptRow, EventRow)}


def examine(past: Past) -> tuple[Replay, list[Finding]]:
    """Replay a payment's events, and compare the rows with what they lead to."""
    unreadable = list(_unreadable(past))
    if unreadable:
        return Replay(), unreadable
    found = replay(past.events)
    if found.problem is None and _agrees(past, found):
        return found, []
    problems = [] if found.problem is None else [found.problem]
    problems += _of_rows_alone(past)
    if found.problem is None:
        problems += _compared(past, found)
    # Of several that are about one thing the first says most: rows that contradict themselves do so anyway.
    return found, list({each.what: each for each in reversed(problems)}.values())[::-1]


def _unreadable(past: Past) -> Iterator[Finding]:
    """The values that cannot be replayed: those of a wrong type, and those that are missing.

    The schema keeps them out, as long as it is what it was.
    """
    if past.others:
        yield finding("I2", past.payment_id, "payments", "one row", counted(1 + past.others, "row"))
    rows: list[tuple[str, str, PaymentRow | AttemptRow | EventRow]]
    rows = [("I2", "payments", past.payment)] if past.payment is not None else []
    tried = [("I3", "capture_attempts", row) for row in past.attempts]
    happened = [("I12", "payment_events", row) for row in past.events]
    for rule, table, row in [*rows, *tried, *happened]:
        for column, kind in _KINDS[type(row)].items():
            value = getattr(row, column)
            if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                shown = "NULL" if value is None else f"{value!r}, of type {type(value).__name__}"
                yield finding(
                    rule, past.payment_id, f"{table}.{column}", "a value of the column's type", shown
                )
    for key, number in Counter(repr(row.idempotency_key) for row in past.attempts).items():
        if number > 1:
            where = f"capture_attempts, key {key}"
            yield finding("I3", past.payment_id, where, "one attempt", counted(number, "attempt"))


def _agrees(past: Past, found: Replay) -> bool:
    """Whether nothing differs. Then the rows are sound, because every state that the model reaches is."""
    row = past.payment
    return (
        row is not None
        and row == row_of(row.payment_id, found)
        and len(past.attempts) == len(found.answers)
        and all(not _attempt_differs(attempt, found) for attempt in past.attempts)
    )


def payment_of(row: PaymentRow) -> Payment | None:
    """A row as the model's payment; ``None`` if it lacks what its state has."""
    state, amount = STATES.get(row.state), row.amount_cents
    if state is State.PENDING:
        return Pending(amount)
    authorized_at, expires_at = row.authorized_at, row.capture_expires_at
    if state is None or authorized_at is None or expires_at is None:
        return None
    if state is State.AUTHORIZED:
        return Authorized(amount, authorized_at, expires_at)
    if state is State.CAPTURED and row.captured_at is not None and row.captured_amount_cents is not None:
        return Captured(amount, authorized_at, expires_at, row.captured_at, row.captured_amount_cents)
    reason = REASONS.get(row.failure_reason or "")
    if state is State.FAILED and row.failed_at is not None and reason is not None:
        return Failed(amount, authorized_at, expires_at, row.failed_at, reason)
    return None


def row_of(payment_id: bytes, found: Replay) -> PaymentRow | None:
    """The row that a payment's events lead to; ``None`` if they create none."""
    payment = found.payment
    if payment is None or found.created_at is None:
        return None
    state = state_of(payment).name.lower()
    begins: int | None = None
    expires_at: int | None = None
    if not isinstance(payment, Pending):
        begins, expires_at = payment.authorized_at, payment.capture_expires_at
    row = PaymentRow(
        payment_id, payment.amount, found.created_at, state, begins, expires_at, None, None, None, None
    )
    if isinstance(payment, Captured):
        return row._replace(captured_at=payment.captured_at, captured_amount_cents=payment.captured_amount)
    if isinstance(payment, Failed):
        return row._replace(failed_at=payment.failed_at, failure_reason=payment.reason.name.lower())
    return row


def _attempt_differs(row: AttemptRow, found: Replay) -> bool:
    attempt, event = found.attempts.get(row.idempotency_key), found.answers.get(row.idempotency_key)
    return (
        attempt is None
        or event is None
        or attempt.outcome is not CAPTURES.get(row.outcome)
        or attempt.amount != row.amount_cents
        or attempt.decided_at != row.decided_at
        or event.answer_sha256 != row.answer_sha256
        or row.status != _STATUS.get(attempt.outcome, _REFUSED_STATUS)
    )


def _of_rows_alone(past: Past) -> Iterator[Finding]:
    """Where the rows contradict themselves, by the model's rules."""
    row = past.payment
    if row is None:
        return
    payment = payment_of(row)
    if payment is None:
        given = ", ".join(name for name in (*_FIELDS, "failure_reason") if getattr(row, name) is not None)
        yield finding("I6", row.payment_id, "payments", f"all that {row.state} has", given or None)
        return
    yield from _impossible(payment, row)
    attempts = frozenset(
        (each.idempotency_key, Attempt(each.amount_cents, CAPTURES[each.outcome], each.decided_at))
        for each in past.attempts
        if each.outcome in CAPTURES
    )
    for violation in violations(Record(payment, attempts)):
        rule, _, why = violation.partition(": ")
        yield finding(rule, row.payment_id, "payments and capture_attempts", "what the model allows", why)


def _impossible(payment: Payment, row: PaymentRow) -> Iterator[Finding]:
    """The values that contradict each other, under the rule that they break."""

    def found(rule: str, column: str, expected: object) -> Finding:
        return finding(rule, row.payment_id, f"payments.{column}", expected, getattr(row, column))

    if isinstance(payment, Captured):
        if payment.captured_amount != payment.amount:
            yield found("I1", "captured_amount_cents", payment.amount)
        if payment.captured_at >= payment.capture_expires_at:
            yield found("I5", "captured_at", f"before {payment.capture_expires_at}")
    if (
        isinstance(payment, Failed)
        and payment.reason is FailureReason.EXPIRED
        and payment.failed_at < payment.capture_expires_at
    ):
        yield found("I5", "failed_at", f"{payment.capture_expires_at} or later")


def _compared(past: Past, found: Replay) -> Iterator[Finding]:
    """Every difference between the rows and what the events lead to."""
    payment_id, row = past.payment_id, past.payment
    expected = row_of(payment_id, found)
    if row is None:
        yield finding("I2", payment_id, "payments", "the payment that its events create", None)
    elif expected is None:
        yield finding("I12", payment_id, "payment_events", f"what made it {row.state}", None)
    else:
        yield from _columns(expected, row)
    if expected is not None:
        yield from _attempts(past.attempts, payment_id, found)


def _columns(expected: PaymentRow, row: PaymentRow) -> Iterator[Finding]:
    led_to, is_in = STATES[expected.state], STATES.get(row.state)
    rules = dict.fromkeys(("amount_cents", "created_at"), "I2")
    if led_to is not is_in:
        yield finding(
            rule_of_state(led_to, is_in), row.payment_id, "payments.state", expected.state, row.state
        )
    if led_to is is_in or State.PENDING not in (led_to, is_in):
        rules |= dict.fromkeys(("authorized_at", "capture_expires_at"), "I2")
    if led_to is is_in:
        rules |= {
            "captured_at": "I2",
            "captured_amount_cents": "I1",
            "failed_at": "I2",
            "failure_reason": "I2",
        }
    for column, rule in rules.items():
        should, does = getattr(expected, column), getattr(row, column)
        if should != does:
            yield finding(rule, row.payment_id, f"payments.{column}", should, does)


def _attempts(rows: Sequence[AttemptRow], payment_id: bytes, found: Replay) -> Iterator[Finding]:
    stored = {row.idempotency_key: row for row in rows}
    for key, attempt in found.attempts.items():
        where, row = f"capture_attempts, key {key!r}", stored.pop(key, None)
        if row is None:
            rule = "I6" if attempt.outcome is Outcome.CAPTURED else "I3"
            yield finding(rule, payment_id, where, name_of(attempt.outcome), None)
            continue
        answer = found.answers[key].answer_sha256
        for column, should, does in (
            ("outcome", name_of(attempt.outcome), row.outcome),
            ("amount_cents", attempt.amount, row.amount_cents),
            ("decided_at", attempt.decided_at, row.decided_at),
            ("status", _STATUS.get(attempt.outcome, _REFUSED_STATUS), row.status),
            ("SHA-256 of the body", answer, row.answer_sha256),
        ):
            if should != does:
                yield finding("I3", payment_id, f"{where}, {column}", should, does)
    for key, row in stored.items():
        where = f"payment_events, key {key!r}"
        yield finding("I12", payment_id, where, f"an event: {row.outcome}", None)
