"""Pasts as the service stores them, made by the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from payments_model import (
    RECORDED,
    Authorize,
    Authorized,
    Capture,
    Captured,
    Command,
    Create,
    Expire,
    Fail,
    Failed,
    FailureReason,
    Outcome,
    Pending,
    Record,
    apply,
    state_of,
)
from payments_verify.audit.rows import NAMES, AttemptRow, EventRow, Past, PaymentRow

ID = UUID(int=1)
NOON = 1_767_268_800_000_000
WINDOW = 600_000_000
END = NOON + 1 + WINDOW
"""The end of the window of a payment that is authorized at noon and 1 µs."""

Asked = tuple[Command, int] | tuple[Command, int, str]

AUTHORIZED: list[Asked] = [(Create(500), NOON), (Authorize(WINDOW), NOON + 1)]
CAPTURED: list[Asked] = [*AUTHORIZED, (Capture(500), NOON + 2, "a"), (Capture(500), NOON + 3, "b")]
REFUSED: list[Asked] = [*AUTHORIZED, (Capture(499), NOON + 2, "a"), (Capture(500), END, "b")]
VOIDED: list[Asked] = [*AUTHORIZED, (Fail(FailureReason.VOIDED), NOON + 2), (Capture(500), NOON + 3, "a")]
EXPIRED: list[Asked] = [(Create(500), NOON), (Capture(500), NOON, "a"), *AUTHORIZED[1:], (Expire(), END)]
PROGRAMS = {
    "authorized": AUTHORIZED,
    "captured": CAPTURED,
    "refused": REFUSED,
    "voided": VOIDED,
    "expired": EXPIRED,
}


def past(program: Sequence[Asked], payment_id: UUID = ID) -> Past:
    """What the service stores when it is asked this."""
    record, events, created_at = Record(), list[EventRow](), 0
    for command, now, *keys in program:
        key = keys[0] if keys else None
        record, done = apply(record, command, now, key)
        if done.replayed or done.outcome not in (_MOVES if key is None else RECORDED):
            continue
        created_at = now if done.outcome is Outcome.CREATED else created_at
        events.append(
            EventRow(
                payment_id.bytes,
                len(events) + 1,
                NAMES[done.outcome],
                now,
                command.amount if isinstance(command, (Create, Capture)) else None,
                now + command.window if isinstance(command, Authorize) else None,
                _reason(command),
                key,
                None if key is None else answer(key),
                is_reconstructed=False,
            )
        )
    return Past(
        payment_id.bytes, _payment(record, created_at, payment_id), _attempts(record, payment_id), events
    )


_MOVES = (Outcome.CREATED, Outcome.AUTHORIZED, Outcome.FAILED, Outcome.EXPIRED)
_STATUS = {Outcome.CAPTURED: 201, Outcome.AMOUNT_MISMATCH: 422}


def answer(key: str) -> bytes:
    """The digest of the answer under a key."""
    return hashlib.sha256(key.encode()).digest()


def _reason(command: Command) -> str | None:
    match command:
        case Fail(reason):
            return reason.name.lower()
        case Expire():
            return "expired"
    return None


def _payment(record: Record, created_at: int, payment_id: UUID) -> PaymentRow | None:
    payment = record.payment
    if payment is None:
        return None
    values: dict[str, Any] = dict.fromkeys(PaymentRow._fields)
    if not isinstance(payment, Pending):
        values |= {
            "authorized_at": payment.authorized_at,
            "capture_expires_at": payment.capture_expires_at,
        }
    match payment:
        case Captured():
            values |= {"captured_at": payment.captured_at, "captured_amount_cents": payment.captured_amount}
        case Failed():
            values |= {"failed_at": payment.failed_at, "failure_reason": payment.reason.name.lower()}
        case Pending() | Authorized():
            pass
    common = {"payment_id": payment_id.bytes, "amount_cents": payment.amount, "created_at": created_at}
    return PaymentRow(**(values | common | {"state": state_of(payment).name.lower()}))


def _attempts(record: Record, payment_id: UUID) -> list[AttemptRow]:
    return [
        AttemptRow(
            payment_id.bytes,
            key,
            attempt.amount,
            NAMES[attempt.outcome],
            attempt.decided_at,
            _STATUS.get(attempt.outcome, 409),
            answer(key),
        )
        for key, attempt in sorted(record.attempts, key=lambda pair: pair[0])
    ]
