"""Rows to entities and back. Instants travel as PostgreSQL's own integers: µs, exactly."""

from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.postgres import types
from psycopg.pq import Format
from psycopg.types.numeric import Int2, Int4, Int8

from payments_core.application.dto import PaymentSnapshot
from payments_core.domain.capture import Answer, CaptureAttempt, CaptureOutcome
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import Instant
from payments_core.infrastructure.postgres.connection import Row

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRES_EPOCH = (datetime(2000, 1, 1, tzinfo=UTC) - _UNIX_EPOCH) // timedelta(microseconds=1)


class InstantLoader(Loader):
    """Reads a binary ``timestamptz`` (µs since 2000) as µs since 1970."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Instant:
        """The instant, in µs since the Unix epoch."""
        return int.from_bytes(data, "big", signed=True) + _POSTGRES_EPOCH


class Timestamp(int):
    """An instant as a statement's parameter: µs since 1970."""


class TimestampDumper(Dumper):
    """Writes an instant as a binary ``timestamptz``."""

    format = Format.BINARY
    oid = types["timestamptz"].oid

    def dump(self, obj: Timestamp) -> bytes:
        """The instant, in µs since 2000."""
        return (obj - _POSTGRES_EPOCH).to_bytes(8, "big", signed=True)


async def configure(connection: AsyncConnection[Row]) -> None:
    """Make a new connection read and write instants as integers."""
    connection.adapters.register_loader("timestamptz", InstantLoader)
    connection.adapters.register_dumper(Timestamp, TimestampDumper)


def timestamp(instant: Instant | None) -> Timestamp | None:
    """An instant as a statement's parameter."""
    return None if instant is None else Timestamp(instant)


def payment_of(row: Row) -> Payment:
    """The payment in the first columns of a row (``PAYMENT_COLUMNS``)."""
    return Payment(
        payment_id=row[0],
        amount_cents=row[1],
        created_at=row[2],
        state=PaymentState(row[3]),
        authorized_at=row[4],
        capture_expires_at=row[5],
        captured_at=row[6],
        captured_amount_cents=row[7],
        failed_at=row[8],
        failure_reason=None if row[9] is None else FailureReason(row[9]),
    )


def snapshot_of(row: Row) -> PaymentSnapshot:
    """The payment in a row, with the time of the look in its last column."""
    return PaymentSnapshot(payment_of(row), as_of=row[-1])


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
        payment.payment_id,
    )


def attempt_of(row: Row) -> CaptureAttempt:
    """The attempt in a row (``ATTEMPT_COLUMNS``)."""
    return CaptureAttempt(
        payment_id=row[0],
        key=row[1],
        amount_cents=row[2],
        outcome=CaptureOutcome(row[3]),
        decided_at=row[4],
        answer=Answer(row[5], bytes(row[6])),
    )


def attempt_insert(attempt: CaptureAttempt, last_event: int) -> Row:
    """The parameters of ``INSERT_ATTEMPT``, the payment's last event having had this number."""
    return (
        attempt.payment_id,
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
