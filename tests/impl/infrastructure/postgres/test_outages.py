"""The database goes away, with a word or without, and comes back: so does the service, by itself and soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import PoolTimeout

from payments_core.domain.values import Amount
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.sweeper import Sweeper, sweep
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from payments_verify.nemesis.network import Network
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

LIMIT_S = 90
OUT_S = 8.0
SOON_S = 3.0


@asynccontextmanager
async def store_behind(database: Database) -> AsyncIterator[tuple[PostgresPaymentStore, Network]]:
    port = int(conninfo_to_dict(database.dsn)["port"] or 0)
    async with Network.between(("127.0.0.1", port)) as network:
        dsn = make_conninfo(database.dsn, port=network.port, sslmode="disable")
        settings = Settings(database_url=dsn, pool_min=1, pool_max=2, pool_timeout_s=1)
        async with make_pool(settings) as pool:
            yield postgres_store(pool), network


async def create(store: PostgresPaymentStore) -> None:
    await store.create(uuid4(), Amount(500))


@pytest.mark.invariant("I9")
async def test_it_serves_soon_after_a_long_outage(database: Database) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIMIT_S), store_behind(database) as (store, network):
        await create(store)
        network.open = False
        network.cut_all()
        until = loop.time() + OUT_S
        while loop.time() < until:
            with pytest.raises((psycopg.OperationalError, PoolTimeout)):
                await create(store)
        network.open = True
        back = loop.time()
        while True:
            try:
                await create(store)
                break
            except (psycopg.OperationalError, PoolTimeout):
                await asyncio.sleep(0.05)
        assert loop.time() - back < SOON_S


async def test_a_sweep_on_a_dead_connection_is_given_up(database: Database) -> None:
    async with asyncio.timeout(LIMIT_S), store_behind(database) as (store, network):
        assert await sweep(store, 10, limit_s=5) == 0
        network.deaden()
        with pytest.raises(TimeoutError):
            await sweep(store, 10, limit_s=0.2)


async def test_the_sweeper_goes_on_after_one(database: Database) -> None:
    swept = asyncio.Event()
    async with (
        asyncio.timeout(LIMIT_S),
        store_behind(database) as (store, network),
        Sweeper(store, 0.05, 10, 0.2, lambda _payments: None, swept.set).running(),
    ):
        await swept.wait()
        network.deaden()
        await asyncio.sleep(0.3)  # a sweep that had begun before has ended
        swept.clear()
        await swept.wait()


def test_connections_notice_that_the_other_end_is_gone() -> None:
    parameters = session(Settings()).connection_parameters("postgresql://db/payments?tcp_user_timeout=7")
    assert parameters["connect_timeout"] <= 5
    assert parameters["keepalives_idle"] + 3 * parameters["keepalives_interval"] <= 6
    assert "tcp_user_timeout" not in parameters  # what the connection string says stays
