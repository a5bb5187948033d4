"""The application in this process, over memory and over PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg

from payments_core.application.ports import PaymentStore
from payments_core.application.use_cases import ExpirePayments
from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.in_memory import InMemoryPaymentStore
from payments_verify.payments.service_under_test import System
from payments_verify.payments.traits import EVERYTHING
from payments_verify.systems.quiet import only_errors_logged
from payments_verify.systems.shipped import shipped
from pgweave.clock import DatabaseClock

_SWEEP_BATCH = 1_000


@asynccontextmanager
async def in_memory(max_stored_refusals: int = MAX_STORED_REFUSALS) -> AsyncIterator[System]:
    """The application over the in-memory store, with a clock of its own."""
    instant = [0]

    async def set_clock(now: int) -> None:
        instant[0] = now

    store = InMemoryPaymentStore(lambda: instant[0])
    with only_errors_logged():
        yield System(
            "in memory",
            (shipped(store, max_stored_refusals),),
            set_clock,
            lambda: sweep_all(store),
            traits=replace(EVERYTHING, max_stored_refusals=max_stored_refusals),
            is_new=True,
        )


@asynccontextmanager
async def in_process(
    dsn: str, max_stored_refusals: int = MAX_STORED_REFUSALS, direct: str | None = None
) -> AsyncIterator[System]:
    """The application over PostgreSQL, in this process; the database has a clock that can be set.

    Args:
        dsn: where the application connects.
        max_stored_refusals: how many refused captures of a payment are stored.
        direct: the database itself, for the harness's own sessions, where ``dsn`` is that of a pooler.
    """
    own = direct or dsn
    with only_errors_logged():
        async with make_pool(Settings(database_url=dsn)) as pool, DatabaseClock.connect(own) as clock:
            store = postgres_store(pool)
            yield System(
                "in process, PostgreSQL",
                (shipped(store, max_stored_refusals),),
                clock.set,
                lambda: sweep_all(store),
                lambda payment: row_lock(own, payment),
                traits=replace(EVERYTHING, max_stored_refusals=max_stored_refusals),
            )


@asynccontextmanager
async def row_lock(dsn: str, payment: str) -> AsyncIterator[None]:
    """Hold the lock of a payment's row in a session outside the service, then roll back."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute("SELECT FROM payments WHERE payment_id = %s FOR NO KEY UPDATE", [payment])
        yield
        await connection.rollback()


async def sweep_all(store: PaymentStore) -> int:
    """Expire every payment that is due and not locked; how many there were."""
    expire = ExpirePayments(store)
    total = 0
    while swept := len(await expire(_SWEEP_BATCH)):
        total += swept
    return total
