"""The rows that an audit reads. Amounts are in cents, instants in µs UTC; a payment's id is its 16 bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from payments_model import FailureReason, Outcome, State


class PaymentRow(NamedTuple):
    """A row of ``payments``."""

    payment_id: bytes
    amount_cents: int
    created_at: int
    state: str
    authorized_at: int | None
    capture_expires_at: int | None
    captured_at: int | None
    captured_amount_cents: int | None
    failed_at: int | None
    failure_reason: str | None


class AttemptRow(NamedTuple):
    """A row of ``capture_attempts``; its body is hashed by the server."""

    payment_id: bytes
    idempotency_key: str
    amount_cents: int
    outcome: str
    decided_at: int
    status: int
    answer_sha256: bytes


class EventRow(NamedTuple):
    """A row of ``payment_events``."""

    payment_id: bytes
    event_number: int
    outcome: str
    decided_at: int
    amount_cents: int | None
    capture_expires_at: int | None
    failure_reason: str | None
    idempotency_key: str | None
    answer_sha256: bytes | None
    is_reconstructed: bool


class Past(NamedTuple):
    """All that is stored about one payment.

    Attributes:
        payment_id: its id.
        payment: its row; ``None`` if there is none.
        attempts: its attempts, by key.
        events: its events, by number.
        others: how many rows of the payment there are beside the first.
    """

    payment_id: bytes
    payment: PaymentRow | None
    attempts: list[AttemptRow]
    events: list[EventRow]
    others: int = 0


STATES: Mapping[str, State] = {state.name.lower(): state for state in State}
REASONS: Mapping[str, FailureReason] = {reason.name.lower(): reason for reason in FailureReason}
CAPTURES: Mapping[str, Outcome] = {
    "captured": Outcome.CAPTURED,
    "not_authorized": Outcome.NOT_AUTHORIZED,
    "already_captured": Outcome.ALREADY_CAPTURED,
    "payment_failed": Outcome.PAYMENT_FAILED,
    "capture_window_expired": Outcome.WINDOW_EXPIRED,
    "amount_mismatch": Outcome.AMOUNT_MISMATCH,
}
"""The outcomes of captures that are stored under a key."""

OUTCOMES: Mapping[str, Outcome] = {
    "created": Outcome.CREATED,
    "authorized": Outcome.AUTHORIZED,
    "failed": Outcome.FAILED,
    "expired": Outcome.EXPIRED,
    **CAPTURES,
}
"""The outcomes that events have."""

NAMES: Mapping[Outcome, str] = {outcome: name for name, outcome in OUTCOMES.items()}
"""The names of those outcomes, as they are stored."""


def name_of(outcome: Outcome) -> str:
    """An outcome as it is stored, or as the model calls it."""
    return NAMES.get(outcome, outcome.name.lower())
