"""Sessions that end while nobody uses them, or while somebody waits: no request waits for that in vain."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from payments_core.domain.values import Amount
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.migrate import migrate
from payments_core.infrastructure.postgres.pool import Pool
from payments_verify.nemesis.network import Network
from pgweave.embedded import EmbeddedPostgres, temporary_postgres
from tests.support.loopback import DIRECT
from tests.support.postgres import chosen_bin_dir
from tests.support.processes import serving

pytestmark = pytest.mark.anyio

LIMIT_S = 120
AT_ONCE_S = 30.0
"""Far more than it takes; a wait for what never comes has no end."""
SIZE = 5
IDLE_MS = 1_000
SERVED = "SELECT pid FROM pg_stat_activity WHERE application_name = 'payments-core'"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that tests may stop, with a migrated database."""
    with temporary_postgres(bin_dir=chosen_bin_dir()) as running:
        migrate(running.dsn())
        yield running


def served(server: EmbeddedPostgres) -> list[int]:
    """The processes of the service's sessions."""
    with psycopg.connect(server.dsn()) as owner:
        return [row[0] for row in owner.execute(SERVED)]


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pids: list[int]) -> None:
    """Until these processes are no more, and so their sockets are closed."""
    async with asyncio.timeout(LIMIT_S):
        while any(map(lives, pids)):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)


def terminate(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as owner:
        owner.execute(f"SELECT pg_terminate_backend(pid) FROM ({SERVED}) AS session".encode())


def crash(server: EmbeddedPostgres) -> None:
    """One process of the server is killed, and the server ends all others."""
    os.kill(served(server)[0], signal.SIGKILL)


def restart_in_order(server: EmbeddedPostgres) -> None:
    server.restart("fast")


def restart_at_once(server: EmbeddedPostgres) -> None:
    server.restart("immediate")


def leave_idle(_server: EmbeddedPostgres) -> None:
    """The server's idle_session_timeout does the rest."""


Ending = Callable[[EmbeddedPostgres], None]
ENDINGS = pytest.mark.parametrize("end", [terminate, crash, restart_in_order, restart_at_once, leave_idle])


def accepts(server: EmbeddedPostgres) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(server.dsn()):
        return True
    return False


async def end_all(server: EmbeddedPostgres, end: Ending) -> None:
    pids = served(server)
    await asyncio.to_thread(end, server)
    await gone(pids)
    async with asyncio.timeout(LIMIT_S):
        while not accepts(server):  # noqa: ASYNC110 - it recovers from a crash
            await asyncio.sleep(0.05)


def dsn_of(server: EmbeddedPostgres, end: Ending) -> str:
    idle = f"?options=-c%20idle_session_timeout%3D{IDLE_MS}" if end is leave_idle else ""
    return server.dsn() + idle


async def use_all(pool: Pool) -> None:
    """Every connection has sent and received, so that its socket is watched."""
    store = postgres_store(pool)
    await asyncio.gather(*(store.create(uuid4(), Amount(500)) for _ in range(3 * SIZE)))


@ENDINGS
@pytest.mark.parametrize("at_hand", [True, False], ids=["at hand", "in the pool"])
async def test_ended_while_idle_every_request_is_served(
    server: EmbeddedPostgres, end: Ending, at_hand: bool
) -> None:
    settings = Settings(database_url=dsn_of(server, end), pool_min=SIZE, pool_max=SIZE)
    async with asyncio.timeout(LIMIT_S), make_pool(settings) as pool:
        await pool.wait(LIMIT_S)
        if at_hand:
            await use_all(pool)
        await end_all(server, end)
        async with asyncio.timeout(AT_ONCE_S):
            await use_all(pool)


async def reset(network: Network, _server: EmbeddedPostgres) -> None:
    for link in network.links:
        to = link.to_service.to
        assert to is not None
        raw = to.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    network.cut_all()


async def cut(network: Network, _server: EmbeddedPostgres) -> None:
    network.cut_all()


CUTS = pytest.mark.parametrize("end", [reset, cut])


@CUTS
async def test_ended_by_what_is_in_between(
    server: EmbeddedPostgres, end: Callable[[Network, EmbeddedPostgres], Awaitable[None]]
) -> None:
    async with asyncio.timeout(LIMIT_S), Network.between(("127.0.0.1", server.port)) as network:
        dsn = psycopg.conninfo.make_conninfo(server.dsn(), port=network.port)
        async with make_pool(Settings(database_url=dsn, pool_min=SIZE, pool_max=SIZE)) as pool:
            await pool.wait(LIMIT_S)
            await use_all(pool)
            await end(network, server)
            await asyncio.sleep(0.05)
            async with asyncio.timeout(AT_ONCE_S):
                await use_all(pool)


async def terminate_waiting(_network: Network, server: EmbeddedPostgres) -> None:
    """Not the session that it waits for, whose end would give it the lock."""
    async with await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True) as owner:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        )


@pytest.mark.parametrize("end", [reset, cut, terminate_waiting])
async def test_ended_while_somebody_waits_the_wait_is_over(
    server: EmbeddedPostgres, end: Callable[[Network, EmbeddedPostgres], Awaitable[None]]
) -> None:
    async with asyncio.timeout(LIMIT_S), Network.between(("127.0.0.1", server.port)) as network:
        dsn = psycopg.conninfo.make_conninfo(server.dsn(), port=network.port)
        settings = Settings(database_url=dsn, lock_timeout_ms=9_000)
        async with make_pool(settings) as pool, make_pool(Settings(database_url=server.dsn())) as others:
            store, payment_id = postgres_store(pool), uuid4()
            await store.create(payment_id, Amount(500))

            async def wait_for_the_lock() -> None:
                async with store.lock(payment_id):
                    raise AssertionError

            async with postgres_store(others).lock(payment_id):
                waiting = asyncio.create_task(wait_for_the_lock())
                await asyncio.sleep(0.3)
                await end(network, server)
                async with asyncio.timeout(AT_ONCE_S):
                    with pytest.raises(psycopg.OperationalError):
                        await waiting


async def test_ended_after_it_was_looked_at(server: EmbeddedPostgres) -> None:
    """What is sent meets a reset, with the server's last words before it."""
    settings = Settings(database_url=server.dsn(), pool_min=1, pool_max=1)
    async with asyncio.timeout(LIMIT_S), make_pool(settings) as pool, pool.connection() as connection:
        for _ in range(2):
            batch = Batch(connection)
            batch.add("SELECT 1")
            await batch.send()
        await end_all(server, terminate)
        await asyncio.sleep(0.05)
        batch = Batch(connection)
        batch.add("SELECT 1")
        async with asyncio.timeout(AT_ONCE_S):
            with pytest.raises(psycopg.OperationalError):
                await batch.send()


async def test_what_comes_unasked_does_not_end_a_session(server: EmbeddedPostgres) -> None:
    settings = Settings(database_url=server.dsn(), pool_min=1, pool_max=1)
    async with asyncio.timeout(LIMIT_S), make_pool(settings) as pool:
        async with pool.connection() as first:
            await first.execute("LISTEN news")
        with psycopg.connect(server.dsn(), autocommit=True) as other:
            other.execute("NOTIFY news")
        await asyncio.sleep(0.1)
        for _ in range(2):
            async with pool.connection() as again:
                assert again is first
                await again.execute("SELECT")


@pytest.mark.parametrize("end", [terminate, crash, restart_in_order, restart_at_once])
async def test_the_first_request_after_a_restart_of_an_idle_service(
    server: EmbeddedPostgres, end: Ending, tmp_path: Path
) -> None:
    with serving(tmp_path, DATABASE_URL=server.dsn(), PAYMENTS_POOL_MIN=str(SIZE)) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=LIMIT_S, **DIRECT) as http:

            async def create() -> int:
                return (await http.post("/payments", json={"amount_cents": 500})).status_code

            for _ in range(2):
                assert set(await asyncio.gather(*(create() for _ in range(4 * SIZE)))) == {201}
                await end_all(server, end)
                async with asyncio.timeout(AT_ONCE_S):
                    assert await create() == 201
