"""The database's own clock: what each function shows, to whom, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import pytest

from pgweave import clock
from pgweave.clock import ClockNotInstalledError, DatabaseClock
from tests.support.postgres import Database

SECOND = 1_000_000
NOON = 1_767_268_800 * SECOND  # 2026-01-01 12:00 UTC

INSTANTS = (
    "now()",
    "transaction_timestamp()",
    "statement_timestamp()",
    "clock_timestamp()",
    "payment_clock()",
)
READ = "SELECT " + ", ".join(f"(extract(epoch FROM {name}) * 1000000)::bigint" for name in INSTANTS)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one statement saw, in µs."""

    now: int
    transaction: int
    statement: int
    clock: int
    payment_clock: int


async def read(connection: psycopg.AsyncConnection, *, prepare: bool | None = None) -> Reading:
    row = await (await connection.execute(READ.encode(), prepare=prepare)).fetchone()
    assert row is not None
    return Reading(*row)


@asynccontextmanager
async def installed(database: Database) -> AsyncIterator[tuple[DatabaseClock, psycopg.AsyncConnection]]:
    """The clock, and a session of the application's role."""
    clock.install(database.dsn, "payment_clock")
    async with (
        DatabaseClock.connect(database.dsn) as hand,
        await psycopg.AsyncConnection.connect(database.app_dsn) as session,
    ):
        yield hand, session


def run(
    database: Database, scenario: Callable[[DatabaseClock, psycopg.AsyncConnection], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with installed(database) as (hand, session):
            await scenario(hand, session)

    asyncio.run(main())


def test_it_shows_the_real_time_until_it_is_set(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        row = await (
            await session.execute(
                "SELECT now() = pg_catalog.now(), statement_timestamp() = pg_catalog.statement_timestamp(),"
                " clock_timestamp() BETWEEN pg_catalog.statement_timestamp() AND pg_catalog.clock_timestamp()"
            )
        ).fetchone()
        assert row == (True, True, True)
        before = await hand.get()
        await asyncio.sleep(0.002)
        assert await hand.get() >= before + 2000

    run(database, scenario)


def test_frozen_every_function_shows_the_same_microsecond(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        for us in (0, NOON, NOON + 1, NOON - 1, 2**53 - 1):
            assert await hand.set(us) == us
            assert await hand.get() == us
            assert await read(session) == Reading(us, us, us, us, us)
            await session.commit()

    run(database, scenario)


@pytest.mark.parametrize("isolation", list(psycopg.IsolationLevel))
def test_within_a_transaction_the_difference_is_exactly_the_change(
    database: Database, isolation: psycopg.IsolationLevel
) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        await hand.set(NOON)
        await session.set_isolation_level(isolation)
        assert (await read(session)).now == NOON
        await hand.advance(7)
        later = NOON + 7
        assert await read(session) == Reading(NOON, NOON, later, later, later)
        await hand.set(NOON - 5)
        seen = await read(session)
        assert (seen.now, seen.payment_clock) == (NOON, NOON - 5)
        await session.commit()
        assert (await read(session)).now == NOON - 5

    run(database, scenario)


@pytest.mark.parametrize("isolation", list(psycopg.IsolationLevel))
def test_a_transaction_older_than_the_last_eight_changes(
    database: Database, isolation: psycopg.IsolationLevel
) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        for us in range(20):
            await hand.set(us)
        await session.set_isolation_level(isolation)
        assert (await read(session)).now == 19
        for us in range(100, 120):
            await hand.set(us)
            assert await read(session) == Reading(19, 19, us, us, us)

    run(database, scenario)


@pytest.mark.parametrize("isolation", list(psycopg.IsolationLevel))
def test_a_statement_that_was_blocked_sees_the_present(
    database: Database, isolation: psycopg.IsolationLevel
) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        async with await psycopg.AsyncConnection.connect(database.dsn) as holder:
            await holder.execute("SELECT pg_advisory_lock(1)")
            await session.set_isolation_level(isolation)
            await hand.set(NOON)
            await read(session)
            await hand.set(NOON + 1)
            waiting = asyncio.create_task(
                session.execute(
                    "SELECT test_clock.us(now()), test_clock.us(statement_timestamp()),"
                    " (SELECT test_clock.us(payment_clock()) FROM (SELECT pg_advisory_lock(1)) AS waited)"
                )
            )
            await until_blocked(holder, session.info.backend_pid)
            await hand.set(NOON + 2)
            await hand.set(NOON + 3)
            await holder.execute("SELECT pg_advisory_unlock(1)")
            assert await (await waiting).fetchone() == (NOON, NOON + 1, NOON + 3)

    run(database, scenario)


async def until_blocked(monitor: psycopg.AsyncConnection, pid: int) -> None:
    for _ in range(1000):
        row = await (await monitor.execute("SELECT pg_blocking_pids(%s) <> '{}'", [pid])).fetchone()
        if row == (True,):
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"session {pid} was never blocked")


NAIVE_NOW = """
    CREATE OR REPLACE FUNCTION test_clock.now() RETURNS timestamptz
    LANGUAGE sql VOLATILE AS 'SELECT test_clock.clock_timestamp()'
"""


@pytest.mark.parametrize("faithful", [True, False], ids=["ours", "one time for all functions"])
def test_a_decision_by_the_transactions_start_is_caught(database: Database, faithful: bool) -> None:
    """`now() < capture_expires_at` shows as a bug under our clock, and hides under one time for all."""

    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        if not faithful:
            async with await psycopg.AsyncConnection.connect(database.dsn) as owner:
                await owner.execute(NAIVE_NOW.encode())
        await hand.set(NOON)
        expires = "'epoch'::timestamptz + interval '1 us' * %s"
        await session.execute("SELECT 1")  # the transaction begins, and would wait for its lock here
        await hand.advance(10 * SECOND)
        row = await (
            await session.execute(
                f"SELECT now() < {expires}, payment_clock() < {expires}".encode(), [NOON + 5 * SECOND] * 2
            )
        ).fetchone()
        assert row == (faithful, False)

    run(database, scenario)


def test_prepared_statements_and_open_sessions_see_every_change(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        await session.set_autocommit(True)
        for us in range(NOON, NOON + 20):
            await hand.set(us)
            assert await read(session, prepare=True) == Reading(us, us, us, us, us)
        prepared = await (await session.execute("SELECT count(*) FROM pg_prepared_statements")).fetchone()
        assert prepared == (1,)

    run(database, scenario)


def test_flowing_ahead_moving_and_freezing(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        real = await hand.get()
        ahead = await hand.flow(3600 * SECOND)
        assert real + 3600 * SECOND <= ahead < real + 3660 * SECOND
        await asyncio.sleep(0.002)
        further = await hand.advance(60 * SECOND)
        assert ahead + 60 * SECOND + 2000 <= further < ahead + 120 * SECOND
        seen = await read(session)
        assert further < seen.now <= seen.statement <= seen.clock <= seen.payment_clock
        frozen = await hand.freeze()
        await asyncio.sleep(0.002)
        assert await hand.get() == frozen >= seen.payment_clock
        assert await hand.flow(-10 * SECOND) < real + 60 * SECOND

    run(database, scenario)


def test_column_defaults_follow_the_clock(empty_database: Database) -> None:
    with psycopg.connect(empty_database.dsn) as owner:
        owner.execute("""
            CREATE SCHEMA "odd ""name";
            CREATE TABLE "odd ""name"."a table" (
                id int,
                "by now" timestamptz DEFAULT now(),
                by_clock timestamptz DEFAULT clock_timestamp() + interval '1 second',
                by_keyword timestamptz DEFAULT CURRENT_TIMESTAMP,
                by_local timestamp DEFAULT LOCALTIMESTAMP,
                by_utc timestamp DEFAULT timezone('utc', now()),
                by_day date DEFAULT CURRENT_DATE,
                label text DEFAULT 'it is now()',
                doubled int GENERATED ALWAYS AS (id * 2) STORED
            )
        """)
    clock.install(empty_database.dsn, "payment_clock")

    async def scenario() -> None:
        async with DatabaseClock.connect(empty_database.dsn) as hand:
            await hand.set(NOON)
        async with await psycopg.AsyncConnection.connect(empty_database.dsn) as session:
            cursor = await session.execute('INSERT INTO "odd ""name"."a table" (id) VALUES (4) RETURNING *')
            row = await cursor.fetchone()
            assert row is not None
            assert [str(value) for value in row] == [
                "4",
                "2026-01-01 12:00:00+00:00",
                "2026-01-01 12:00:01+00:00",
                "2026-01-01 12:00:00+00:00",
                "2026-01-01 12:00:00",
                "2026-01-01 12:00:00",
                "2026-01-01",
                "it is now()",
                "8",
            ]

    asyncio.run(scenario())


def test_the_services_own_default_follows_the_clock(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        await hand.set(NOON)
        cursor = await session.execute(
            "INSERT INTO payments (payment_id, amount_cents) VALUES (gen_random_uuid(), 5)"
            " RETURNING test_clock.us(created_at)"
        )
        assert await cursor.fetchone() == (NOON,)

    run(database, scenario)


def test_installing_twice_keeps_the_time(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        await hand.set(NOON)
        clock.install(database.dsn, "payment_clock")
        assert await read(session) == Reading(NOON, NOON, NOON, NOON, NOON)

    run(database, scenario)


def test_the_search_path_of_the_database_is_kept(empty_database: Database) -> None:
    with psycopg.connect(empty_database.dsn, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA shop")
        owner.execute(
            f"ALTER DATABASE {empty_database.name} SET search_path = shop, pg_catalog, public".encode()
        )
    for _ in range(2):
        clock.install(empty_database.dsn, "payment_clock")
    with psycopg.connect(empty_database.dsn) as session:
        assert session.execute("SHOW search_path").fetchone() == ("shop, public, test_clock, pg_catalog",)
        session.execute("CREATE TABLE orders ()")
        assert session.execute("SELECT 'orders'::regclass = 'shop.orders'::regclass").fetchone() == (True,)


def test_only_the_owner_may_change_the_time(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        await hand.set(NOON)
        for attempt in ("set_us(1)", "advance_us(1)", "flow_us(1)", "change(1, true)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await session.execute(f"SELECT test_clock.{attempt}".encode())
            await session.rollback()
        assert await hand.get() == NOON

    run(database, scenario)


def test_changes_that_come_together_all_count(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        async def advance_often() -> None:
            async with DatabaseClock.connect(database.dsn) as another:
                for _ in range(50):
                    await another.advance(1)

        await hand.set(NOON)
        await asyncio.gather(*(advance_often() for _ in range(4)))
        assert (await read(session)).now == NOON + 200

    run(database, scenario)


def test_a_time_out_of_range_is_refused(database: Database) -> None:
    async def scenario(hand: DatabaseClock, session: psycopg.AsyncConnection) -> None:
        del session
        for us in (-1, 2**53):
            with pytest.raises(ValueError, match=f"not {us}$"):
                await hand.set(us)

    run(database, scenario)


def test_a_database_without_the_clock_says_so(database: Database) -> None:
    async def scenario() -> None:
        async with DatabaseClock.connect(database.dsn):
            pass

    with pytest.raises(ClockNotInstalledError, match=r"call clock\.install"):
        asyncio.run(scenario())
