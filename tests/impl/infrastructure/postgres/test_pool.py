"""Connections at hand: who comes next has one at once, who waits is not passed over, none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool
from payments_core.infrastructure.postgres import pool as pools
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.pool import Pool, PoolExhausted
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

LIMIT_S = 30
SIZE = 3
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'payments-core'
"""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops."""
    return "asyncio", {"use_uvloop": request.param}


class Told:
    """How long requests waited."""

    def __init__(self) -> None:
        self.pool_waits: list[float] = []

    def pool_wait(self, seconds: float) -> None:
        self.pool_waits.append(seconds)

    def lock_wait(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def conflict(self) -> None:
        raise AssertionError


@pytest.fixture
async def pool(shared_database: Database) -> AsyncIterator[Pool]:
    settings = Settings(
        database_url=shared_database.app_dsn, pool_min=SIZE, pool_max=SIZE, pool_timeout_s=LIMIT_S
    )
    async with make_pool(settings, Told()) as made:
        await made.wait(LIMIT_S)
        yield made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.01)


def available(pool: Pool) -> int:
    """Connections in psycopg's own pool."""
    found: int = pool.get_stats()["pool_available"]
    return found


async def sessions(database: Database) -> int:
    async with await psycopg.AsyncConnection.connect(database.dsn) as monitor:
        row = await (await monitor.execute(SESSIONS)).fetchone()
    assert row is not None
    count: int = row[0]
    return count


async def take(pool: Pool, count: int) -> list[Connection]:
    return [await pool.getconn() for _ in range(count)]


async def give_back(pool: Pool, connections: list[Connection]) -> None:
    for connection in connections:
        await pool.give_back(connection)


async def test_who_comes_next_has_one_at_once(pool: Pool) -> None:
    for _ in range(100):
        async with pool.connection() as connection:
            await connection.execute("SELECT")
    assert pool.get_stats()["requests_num"] == 1
    assert isinstance(pool.waits, Told)
    assert len(pool.waits.pool_waits) == 100
    assert pool.waits.pool_waits[1:] == [0] * 99


async def test_who_waits_has_what_comes_back(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "AT_HAND_S", 2.0 * LIMIT_S)
    taken = await take(pool, SIZE)
    waiting = [asyncio.create_task(pool.getconn()) for _ in range(SIZE)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    await give_back(pool, taken)
    found = await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)
    assert set(map(id, found)) == set(map(id, taken))
    await give_back(pool, found)
    assert isinstance(pool.waits, Told)
    assert all(wait > 0.01 for wait in pool.waits.pool_waits[-SIZE:])


async def test_who_gave_up_waiting_is_not_waited_for(pool: Pool) -> None:
    taken = await take(pool, SIZE)
    with pytest.raises(PoolTimeout):
        await pool.getconn(0.01)
    cancelled = asyncio.create_task(pool.getconn())
    await asyncio.sleep(0.01)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    await give_back(pool, taken)
    before = pool.get_stats()["requests_num"]
    assert await take(pool, SIZE) == taken
    assert pool.get_stats()["requests_num"] == before
    await give_back(pool, taken)


async def test_that_all_are_in_use_is_not_that_there_are_none(pool: Pool) -> None:
    taken = await take(pool, SIZE)
    with pytest.raises(PoolExhausted, match="3 connections"):
        await pool.getconn(0.01)
    await give_back(pool, taken)
    nowhere = Settings(database_url="postgresql://nobody@127.0.0.1:1/none", pool_timeout_s=0.1)
    async with make_pool(nowhere) as unreachable:
        with pytest.raises(PoolTimeout) as found:
            await unreachable.getconn()
    assert not isinstance(found.value, PoolExhausted)


async def test_those_that_came_back_are_not_in_use(pool: Pool) -> None:
    """However they come back: within a transaction, in a pipeline, closed, and as they were."""
    taken = await take(pool, SIZE)
    await taken[0].execute("BEGIN")
    taken[1].pgconn.enter_pipeline_mode()
    await taken[2].close()
    await give_back(pool, taken)
    await give_back(pool, await take(pool, SIZE))
    assert pool.in_use == 0


async def test_what_nobody_uses_goes_back_to_the_pool_of_psycopg(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "AT_HAND_S", 0.1)
    for _ in range(2):
        taken = await take(pool, SIZE)
        in_use = taken.pop()
        await give_back(pool, taken)
        assert available(pool) == 0
        await until(lambda: available(pool) == SIZE - 1)
        await pool.give_back(in_use)
        await until(lambda: available(pool) == SIZE)


async def test_one_whose_time_is_over_is_replaced(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "AT_HAND_S", 0.1)
    pool = make_pool(Settings(database_url=shared_database.app_dsn, pool_min=1, pool_max=1))
    pool.max_lifetime = 0.0
    async with pool:
        first = await pool.getconn()
        await pool.give_back(first)
        await until(lambda: bool(first.closed))
        async with pool.connection() as second:
            assert second is not first


@pytest.mark.parametrize("how", ["lost", "in pipeline mode"])
async def test_what_is_of_no_use_is_not_kept(shared_database: Database, pool: Pool, how: str) -> None:
    taken = await take(pool, SIZE)
    if how == "lost":
        async with await psycopg.AsyncConnection.connect(shared_database.dsn) as owner:
            await owner.execute("SELECT pg_terminate_backend(%s)", [taken[0].info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await taken[0].execute("SELECT")
    else:
        taken[0].pgconn.enter_pipeline_mode()
    await give_back(pool, taken)
    for connection in await take(pool, SIZE):
        assert connection is not taken[0]
        await connection.execute("SELECT")
        await pool.give_back(connection)


async def test_a_transaction_that_was_left_is_over_before_it_is_kept(pool: Pool) -> None:
    connection = await pool.getconn()
    await connection.execute("BEGIN")
    await pool.give_back(connection)
    assert await pool.getconn() is connection
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    await pool.give_back(connection)


@pytest.mark.parametrize("late", [False, True])
async def test_a_pool_that_is_closed_leaves_no_session(
    database: Database, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those at hand, nor those on their way back, nor those that are given back afterwards."""
    if late:
        monkeypatch.setattr(pools, "AT_HAND_S", 0.0)
    settings = Settings(database_url=database.app_dsn, pool_min=SIZE, pool_max=SIZE)
    async with make_pool(settings) as pool:
        taken = await take(pool, SIZE)
        in_use = taken.pop()
        await give_back(pool, taken)
        if late:
            await asyncio.sleep(0)
    assert all(connection.closed for connection in taken)
    with pytest.raises(PoolClosed):
        await pool.getconn()
    await in_use.execute("SELECT")
    await pool.give_back(in_use)
    assert in_use.closed
    async with asyncio.timeout(LIMIT_S):
        while await sessions(database):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
