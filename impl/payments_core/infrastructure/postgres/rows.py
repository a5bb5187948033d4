"""Rows to entities and back. Instants travel as PostgreSQL's own integers: µs, exactly."""

from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection
from psycopg.types.numeric import Int2, Int4, Int8, Int8BinaryLoader

from payments_core.application.dto import PaymentSnapshot
from payments_core.domain.capture import Answer, CaptureAttempt, CaptureOutcome
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import Instant
from payments_core.infrastructure.postgres.connection import Row

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRES_EPOCH = (datetime(2000, 1, 1, tzinfo=UTC) - _UNIX_EPOCH) // timedelta(microseconds=1)


async def configure(connection: AsyncConnection[Row]) -> None:
    """Make a new connection read instants as integers: µs since 2000, as they come."""
    connection.adapters.register_loader("timestamptz", Int8BinaryLoader)


def instant_of(timestamp: int) -> Instant:
    """The instant (µs since 1970) in a column of a row."""
    return timestamp + _POSTGRES_EPOCH


def timestamp(instant: Instant | None) -> bytes | None:
    """An instant as a statement's parameter: a binary ``timestamptz``."""
    return None if instant is None else (instant - _POSTGRES_EPOCH).to_bytes(8, "big", signed=True)


def payment_of(row: Row) -> Payment:
    """The payment in the first columns of a row (``PAYMENT_COLUMNS``)."""
    return Payment(
        payment_id=row[0],
        amount_cents=row[1],
        created_at=row[2] + _POSTGRES_EPOCH,
        state=PaymentState(row[3]),
        authorized_at=None if row[4] is None else row[4] + _POSTGRES_EPOCH,
        capture_expires_at=None if row[5] is None else row[5] + _POSTGRES_EPOCH,
        captured_at=None if row[6] is None else row[6] + _POSTGRES_EPOCH,
        captured_amount_cents=row[7],
        failed_at=None if row[8] is None else row[8] + _POSTGRES_EPOCH,
        failure_reason=None if row[9] is None else FailureReason(row[9]),
    )


def snapshot_of(row: Row) -> PaymentSnapshot:
    """The payment in a row, with the time of the look in its last column."""
    return PaymentSnapshot(payment_of(row), as_of=instant_of(row[-1]))


def payment_update(payment: Payment) -> Row:
    """The parameters of ``UPDATE_PAYMENT``."""
    return (
        payment.state.value,
        timestamp(payment.authorized_at),
        timestamp(payment.capture_expires_at),
        timestamp(payment.captured_at),
        _cents(payment.captured_amount_cents),
        timestamp(payment.failed_at),
        payment.failure_reason and payment.failure_reason.value,
        payment.payment_id.bytes,
    )


def attempt_of(row: Row) -> CaptureAttempt:
    """The attempt in a row (``ATTEMPT_COLUMNS``)."""
    return CaptureAttempt(
        payment_id=row[0],
        key=row[1],
        amount_cents=row[2],
        outcome=CaptureOutcome(row[3]),
        decided_at=instant_of(row[4]),
        answer=Answer(row[5], bytes(row[6])),
    )


def attempt_insert(attempt: CaptureAttempt, last_event: int) -> Row:
    """The parameters of ``INSERT_ATTEMPT``, the payment's last event having had this number."""
    return (
        attempt.payment_id.bytes,
        attempt.key,
        Int8(attempt.amount_cents),
        attempt.outcome.value,
        timestamp(attempt.decided_at),
        Int2(attempt.answer.status),
        attempt.answer.body,
        Int4(last_event + 1),
    )


def _cents(amount: int | None) -> Int8 | None:
    return None if amount is None else Int8(amount)
