"""The two stores behind one face: a clock that is set by hand, and a look at everything that is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from payments_core.application.ports import PaymentStore
from payments_core.domain.capture import Answer, CaptureAttempt, CaptureOutcome
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres.pool import Pool
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from payments_verify.systems.memory_store import InMemoryPaymentStore
from pgweave.clock import DatabaseClock
from tests.support.postgres import Database

NOON = 1_767_225_600_000_001
"""When the clock of every test starts: µs UTC, and odd, so that a lost microsecond shows."""
POOL = 4
"""Connections of the PostgreSQL store: fewer than the requests that race."""


@dataclass(frozen=True)
class Contents:
    """Everything in a store, read past the code under test."""

    payments: dict[UUID, Payment]
    attempts: dict[tuple[UUID, str], CaptureAttempt]


@dataclass(frozen=True)
class Kit:
    """A store and what a test needs beside it.

    Attributes:
        store: the store, empty at the start of each test.
        set_clock: sets the clock by which payments are decided, in µs UTC.
        contents: reads everything that is stored.
    """

    store: PaymentStore
    set_clock: Callable[[int], Awaitable[object]]
    contents: Callable[[], Awaitable[Contents]]


@dataclass(frozen=True)
class PostgresKit(Kit):
    """The PostgreSQL store and the pool it uses."""

    store: PostgresPaymentStore
    pool: Pool


@asynccontextmanager
async def memory_kit() -> AsyncIterator[Kit]:
    """The in-memory store."""
    instant = [NOON]
    store = InMemoryPaymentStore(lambda: instant[0])

    async def set_clock(now: int) -> None:
        instant[0] = now

    async def contents() -> Contents:
        attempts = [each for kept in store.kept_attempts.values() for each in kept.values()]
        return Contents(dict(store.kept_payments), {(each.payment_id, each.key): each for each in attempts})

    yield Kit(store, set_clock, contents)


@asynccontextmanager
async def postgres_kit(database: Database) -> AsyncIterator[PostgresKit]:
    """The PostgreSQL store, with the application's privileges, on a database that is emptied first."""
    empty(database.dsn)
    settings = Settings(database_url=database.app_dsn, pool_min=1, pool_max=POOL)
    async with make_pool(settings) as pool, DatabaseClock.connect(database.dsn) as clock:
        await clock.set(NOON)

        async def contents() -> Contents:
            return stored(database.dsn)

        yield PostgresKit(postgres_store(pool), clock.set, contents, pool)


async def attempts(store: PaymentStore, payment_id: UUID) -> list[CaptureAttempt]:
    """Every stored attempt of a payment, in the order of their decisions."""
    page = await store.attempts(payment_id, 0, 1_000)
    assert page is not None
    assert page.next is None
    return list(page.attempts)


def empty(dsn: str) -> None:
    """Delete every payment; as a replica would, because the schema's triggers refuse it."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("TRUNCATE payments, capture_attempts, payment_events")


def stored(dsn: str) -> Contents:
    """Everything in a database. Instants are turned into µs by PostgreSQL, not by the code under test."""
    with psycopg.connect(dsn) as connection:
        payments = connection.execute(_PAYMENTS.encode()).fetchall()
        attempts = connection.execute(_ATTEMPTS.encode()).fetchall()
    return Contents(
        {row[0]: _payment(row) for row in payments},
        {(row[0], row[1]): _attempt(row) for row in attempts},
    )


def _us(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


_PAYMENTS = f"""
    SELECT payment_id, amount_cents, {_us("created_at")}, state, {_us("authorized_at")},
           {_us("capture_expires_at")}, {_us("captured_at")}, captured_amount_cents, {_us("failed_at")},
           failure_reason
    FROM payments
"""
_ATTEMPTS = f"""
    SELECT payment_id, idempotency_key, amount_cents, outcome, {_us("decided_at")}, status, body
    FROM capture_attempts
"""


def _payment(row: tuple[Any, ...]) -> Payment:
    authorized_at, expires_at, captured_at, captured_cents, failed_at, reason = row[4:]
    return Payment(
        payment_id=row[0],
        amount_cents=row[1],
        created_at=row[2],
        state=PaymentState(row[3]),
        authorized_at=authorized_at,
        capture_expires_at=expires_at,
        captured_at=captured_at,
        captured_amount_cents=captured_cents,
        failed_at=failed_at,
        failure_reason=None if reason is None else FailureReason(reason),
    )


def _attempt(row: tuple[Any, ...]) -> CaptureAttempt:
    return CaptureAttempt(row[0], row[1], row[2], CaptureOutcome(row[3]), row[4], Answer(row[5], row[6]))
