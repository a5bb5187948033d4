"""What a capture and a sweep cost on one server, and on a Citus cluster of three servers on the same machine.

    python -m tests.bench.bench_citus

needs Citus beside a PostgreSQL of the system. All servers wait for their disk; the application runs in this
process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from uuid import UUID, uuid4

from rich.console import Console

from payments_core.application.use_cases import AuthorizePayment, CapturePayment, CreatePayment
from payments_core.domain.capture import Answer, CaptureDecision
from payments_core.domain.values import Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.sweeper import sweep
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.embedded import temporary_postgres
from payments_core.infrastructure.postgres.citus import distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from tests.support.citus import citus_bin_dir, citus_cluster

CAPTURES, CLIENTS = 2_000, 16
DUE, BATCH = 1_000, 100
ROUNDS = 3
_SHORT, _LONG = CaptureWindow(1), CaptureWindow(600_000_000)


def _answer(decision: CaptureDecision) -> Answer:
    return Answer(201, str(decision.payment.payment_id).encode())


async def _authorized(store: PostgresPaymentStore, count: int, window: CaptureWindow) -> list[UUID]:
    payments = [uuid4() for _ in range(count)]

    async def one(payment: UUID) -> None:
        await CreatePayment(store)(payment, Amount(500))
        await AuthorizePayment(store)(payment, window)

    await _by_clients([one(payment) for payment in payments])
    return payments


async def _by_clients(work: Iterable[Awaitable[None]]) -> None:
    waiting = iter(work)

    async def client() -> None:
        for each in waiting:
            await each

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _measure(name: str, dsn: str) -> None:
    settings = Settings(database_url=dsn, pool_min=CLIENTS, pool_max=CLIENTS)
    async with make_pool(settings) as pool:
        store = postgres_store(pool)
        capture = CapturePayment(store, _answer)

        async def one(payment: UUID) -> None:
            await capture(payment, IdempotencyKey("key"), Amount(500))

        for _ in range(ROUNDS):
            payments = await _authorized(store, CAPTURES, _LONG)
            began = time.perf_counter()
            await _by_clients([one(payment) for payment in payments])
            captures = CAPTURES / (time.perf_counter() - began)
            await _authorized(store, DUE, _SHORT)
            began = time.perf_counter()
            assert await sweep(store, BATCH) == DUE
            swept = 1000 * (time.perf_counter() - began)
            Console().print(f"{name}: {captures:,.0f} captures/s; {DUE:,} due swept in {swept:,.0f} ms")


def main() -> None:
    """Measure both, one after the other."""
    with temporary_postgres(bin_dir=citus_bin_dir(), durable=True) as server:
        dsn = server.create_database("bench")
        migrate(dsn)
        asyncio.run(_measure("one server", dsn))
    with citus_cluster(durable=True) as cluster:
        migrate(cluster.dsn)
        distribute(cluster.dsn, session(Settings()))
        asyncio.run(_measure("coordinator and two workers", cluster.dsn))


if __name__ == "__main__":
    main()
