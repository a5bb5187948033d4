"""A payment's events, applied to the model one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    step,
)
from payments_verify.audit.findings import Finding, finding
from payments_verify.audit.rows import OUTCOMES, REASONS, EventRow, name_of
from payments_verify.audit.rules import rule_of_event

_OF_CAPTURES = {"amount_cents", "idempotency_key", "answer_sha256"}
_HAS = {
    "created": {"amount_cents"},
    "authorized": {"capture_expires_at"},
    "failed": {"failure_reason"},
    "expired": {"failure_reason"},
}
"""The columns of an event, by its outcome, beside those of all; other outcomes are those of captures."""
_OPTIONAL = _OF_CAPTURES.union(*_HAS.values())


@dataclass(slots=True)
class Replay:
    """What comes of a payment's events.

    Attributes:
        payment: the payment, by the model.
        created_at: when it was created, in µs.
        attempts: what is stored under each key, by the model.
        answers: for each key, the event that says which answer was stored.
        clock_back: events that were decided earlier than the one before.
        problem: the first event that is no step of the model; what comes after it means nothing.
    """

    payment: Payment | None = None
    created_at: int | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    answers: dict[str, EventRow] = field(default_factory=dict)
    clock_back: int = 0
    problem: Finding | None = None


def replay(events: Sequence[EventRow]) -> Replay:
    """Apply the events to the model, up to the first that is not the step that the model takes.

    Args:
        events: of one payment, by number.
    """
    result = Replay()
    attempts = result.attempts
    before = 0
    for number, event in enumerate(events, 1):
        command = command_of(event) if _has_no_more(event) else None
        if event.event_number != number or command is None:
            result.problem = _not_an_event(event, number)
            break
        key = event.idempotency_key
        # The bound on refusals is not looked at: it may have been another then, or none.
        done = step(result.payment, None if key is None else attempts.get(key), command, event.decided_at)
        if done.outcome is not OUTCOMES[event.outcome] or done.replayed:
            answer = f"{'again ' if done.replayed else ''}{name_of(done.outcome)}"
            rule = rule_of_event(OUTCOMES[event.outcome], done)
            result.problem = finding(rule, event.payment_id, f"event {number}", answer, event.outcome)
            break
        result.payment = done.payment
        if key is not None and done.attempt is not None:
            attempts[key] = done.attempt
            result.answers[key] = event
        elif done.outcome is Outcome.CREATED:
            result.created_at = event.decided_at
        result.clock_back += event.decided_at < before
        before = event.decided_at
    return result


def command_of(event: EventRow) -> Command | None:
    """The command that was decided; ``None`` if the event lacks a value that the command needs."""
    outcome, amount = event.outcome, event.amount_cents
    if outcome == "authorized":
        expires_at = event.capture_expires_at
        return None if expires_at is None else Authorize(expires_at - event.decided_at)
    if outcome in ("failed", "expired"):
        reason = REASONS.get(event.failure_reason or "")
        if reason is None or (outcome == "expired") != (reason is FailureReason.EXPIRED):
            return None
        return Expire() if outcome == "expired" else Fail(reason)
    if amount is None or outcome not in OUTCOMES:
        return None
    if outcome == "created":
        return Create(amount)
    return None if event.idempotency_key is None else Capture(amount)


def _has_no_more(event: EventRow) -> bool:
    """Whether an event has no value that its decision did not need."""
    has = _HAS.get(event.outcome, _OF_CAPTURES)
    return all(name in has or getattr(event, name) is None for name in _OPTIONAL)


def _not_an_event(event: EventRow, number: int) -> Finding:
    if event.event_number != number:
        return finding("I12", event.payment_id, f"event {number}", "an event", f"event {event.event_number}")
    values: Mapping[str, object] = event._asdict()
    given = ", ".join(name for name, value in values.items() if value is not None)
    return finding(
        "I12", event.payment_id, f"event {number}", f"what {event.outcome} has, and no more", given
    )
