"""With synchronous replication nothing is acknowledged that is on this server alone.

No standby follows here, so that every commit waits for one that does not come. PostgreSQL answers a COMMIT
whose wait is cancelled with success, and a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from payments_core.application.ports import PaymentStore
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres.migrate import migrate
from pgweave.embedded import temporary_postgres
from tests.support.postgres import chosen_bin_dir

pytestmark = pytest.mark.anyio

LIMIT_S = 60
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
ALONE = "-c synchronous_commit=local"
"""A session that waits for nobody."""


@pytest.fixture(scope="module")
def lonely() -> Iterator[str]:
    """A migrated database on a server whose standby does not come."""
    settings = {"synchronous_standby_names": "nobody"}
    with temporary_postgres(bin_dir=chosen_bin_dir(), settings=settings) as server:
        dsn = server.dsn()
        migrate(make_conninfo(dsn, options=ALONE))
        yield dsn


@asynccontextmanager
async def client(dsn: str, options: str = "") -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(database_url=make_conninfo(dsn, options=options))
    async with make_pool(settings) as pool:
        store: PaymentStore = postgres_store(pool)
        transport = httpx.ASGITransport(create_app(store))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield http


@asynccontextmanager
async def cancelling(dsn: str) -> AsyncIterator[list[int]]:
    """Within the block, cancel whoever waits for the standby; gives the sessions that were cancelled."""
    cancelled: list[int] = []

    async def cancel() -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            while True:
                for (pid,) in await (await connection.execute(WAITING)).fetchall():
                    cancelled.append(pid)
                    await connection.execute("SELECT pg_cancel_backend(%s)", [pid])
                await asyncio.sleep(0.01)

    task = asyncio.create_task(cancel())
    try:
        yield cancelled
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def authorized(dsn: str) -> str:
    path = f"/payments/{uuid4()}"
    async with client(dsn, ALONE) as http:
        assert (await http.put(path, json={"amount_cents": 500})).status_code == 201
        answer = await http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        assert answer.status_code == 200
    return path


async def capture(http: httpx.AsyncClient, path: str) -> httpx.Response:
    return await http.post(f"{path}/captures", json={"amount_cents": 500}, headers={"Idempotency-Key": "k"})


@pytest.mark.invariant("I7")
async def test_a_capture_that_is_on_one_server_only_is_not_acknowledged(lonely: str) -> None:
    path = await authorized(lonely)
    async with asyncio.timeout(LIMIT_S), client(lonely) as http, cancelling(lonely) as cancelled:
        answer = await capture(http, path)
    assert cancelled
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert "Retry-After" in answer.headers


@pytest.mark.invariant("I7")
async def test_nor_is_a_repeated_answer(lonely: str) -> None:
    path = await authorized(lonely)
    async with client(lonely, ALONE) as http:
        first = await capture(http, path)
        assert first.status_code == 201
    async with asyncio.timeout(LIMIT_S), client(lonely) as http:
        async with cancelling(lonely) as cancelled:
            assert (await capture(http, path)).status_code == 503
        assert cancelled
    async with client(lonely, ALONE) as http:
        again = await capture(http, path)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.invariant("I7")
async def test_nor_is_a_refusal_for_what_is_on_one_server_only(lonely: str) -> None:
    path = await authorized(lonely)
    async with asyncio.timeout(LIMIT_S), client(lonely) as http, cancelling(lonely) as cancelled:
        again = await http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        assert (again.status_code, bool(cancelled)) == (503, True)
    async with client(lonely, ALONE) as http:
        again = await http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        assert again.json()["type"] == "/problems/already_authorized"
        assert (await capture(http, path)).status_code == 201
    async with asyncio.timeout(LIMIT_S), client(lonely) as http, cancelling(lonely):
        reused = {"json": {"amount_cents": 501}, "headers": {"Idempotency-Key": "k"}}
        assert (await http.post(f"{path}/captures", **reused)).status_code == 503  # type: ignore[arg-type]


async def test_nor_are_the_other_commands(lonely: str) -> None:
    path = await authorized(lonely)
    new = f"/payments/{uuid4()}"
    async with asyncio.timeout(LIMIT_S), client(lonely) as http, cancelling(lonely):
        assert (await http.post(f"{path}/fail", json={"reason": "voided"})).status_code == 503
        assert (await http.put(new, json={"amount_cents": 500})).status_code == 503


@pytest.mark.invariant("I7")
@pytest.mark.parametrize("amount", [500, 501])
async def test_nor_is_a_creation_that_is_repeated(lonely: str, amount: int) -> None:
    path = await authorized(lonely)
    async with asyncio.timeout(LIMIT_S), client(lonely) as http, cancelling(lonely) as cancelled:
        assert (await http.put(path, json={"amount_cents": amount})).status_code == 503
    assert cancelled
    expected = 200 if amount == 500 else 409
    async with client(lonely, ALONE) as http:
        assert (await http.put(path, json={"amount_cents": amount})).status_code == expected


async def test_a_commit_that_waits_for_nobody_is_acknowledged(lonely: str) -> None:
    path = await authorized(lonely)
    async with client(lonely, ALONE) as http, cancelling(lonely) as cancelled:
        assert (await capture(http, path)).status_code == 201
    assert not cancelled
