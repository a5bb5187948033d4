"""Clients that speak as drivers and ORMs do: harmless differences between runs stop no exploration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import psycopg
import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scheduler import GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point
from pgweave.sql.shapes import shape
from tests.pgweave.scheduler.raw_session import RawSession, query, raw_session, trusting_database

SCHEMA = """
    CREATE TABLE accounts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name uuid UNIQUE, value int DEFAULT 0
    );
    CREATE TABLE changes (
        id bigserial PRIMARY KEY, account bigint REFERENCES accounts, at timestamptz, made uuid UNIQUE
    );
"""
NUMBERS = count(7_000)  # of threads, of statements: never the same twice
Habit = Callable[[int], Sequence[str]]
"""The statements of a transaction that adds to an account of that id."""


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with trusting_database(SCHEMA) as dsn:
        yield dsn


def plainly(account: int) -> Sequence[str]:
    return (
        "BEGIN",
        f"SELECT value FROM accounts WHERE id = {account} FOR UPDATE",
        f"UPDATE accounts SET value = value + 1 WHERE id = {account}",
        "COMMIT",
    )


def like_django(account: int) -> Sequence[str]:
    """Savepoints named by the thread, values written into the text, the application's own time and ids."""
    name = f'"s{next(NUMBERS)}_x{next(NUMBERS)}"'
    now = f"'2026-11-28 19:40:01.{next(NUMBERS):06}+00'::timestamptz"
    return (
        "BEGIN",
        f"SAVEPOINT {name}",
        f"SELECT value FROM accounts WHERE id = {account} LIMIT 21 FOR UPDATE",
        f"UPDATE accounts SET value = value + 1 WHERE id = {account}",
        f"INSERT INTO changes (account, at, made) VALUES ({account}, {now}, '{uuid4()}'::uuid) RETURNING id",
        f"RELEASE SAVEPOINT {name}",
        "COMMIT",
    )


def like_sequel(account: int) -> Sequence[str]:
    """Asks for a table's key now and then; every statement has a comment with a request's number."""
    look_up = ("SELECT pg_attribute.attname AS pk FROM pg_class, pg_attribute WHERE pg_class.oid = attrelid",)
    asked = look_up if next(NUMBERS) % 3 == 0 else ()
    begin, *rest = plainly(account)
    return begin, *asked, *(f"{sql} /*request_id:{next(NUMBERS)}*/" for sql in rest)


def like_a_pool(account: int) -> Sequence[str]:
    """Pings and settings now and then, and a reset at the end."""
    pings = (
        "SELECT 1",
        f"SET application_name = 'web-{next(NUMBERS)}'",
        "DEALLOCATE ALL",
        "SELECT version()",
    )
    reset = ("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",)
    return *pings[: next(NUMBERS) % 5], *plainly(account), *reset


# With the number of schedules: those like Django draw from a sequence as well, which has an order of its own.
HABITS: dict[str, tuple[Habit, int]] = {
    "plain": (plainly, 6),
    "Django": (like_django, 8),
    "Sequel": (like_sequel, 6),
    "a pool": (like_a_pool, 6),
}


class Clients:
    """Two clients of one account, which is a new one in each run."""

    processes = 2

    def __init__(
        self, dsn: str, database: GatedDatabase, sessions: Sequence[RawSession], habit: Habit
    ) -> None:
        self._dsn, self._database, self._sessions, self._habit = dsn, database, sessions, habit

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            row = connection.execute(
                "INSERT INTO accounts (name) VALUES (gen_random_uuid()) RETURNING id"
            ).fetchone()
        assert row is not None
        told: list[list[str]] = [[], []]

        def body(number: int) -> Callable[[Process], object]:
            async def add(_process: Process) -> None:
                for sql in self._habit(row[0]):
                    told[number] += await self._sessions[number].ask(query(sql))

            return add

        run = Run([(f"client {number}", body(number)) for number in range(2)], self._database)  # type: ignore[misc]
        execution = await run(choose)
        return Execution(
            execution.steps, execution.complete, any("E" in each[0] for part in told for each in part)
        )


def explored(dsn: str, habit: Habit) -> Report:
    async def main() -> Report:
        async with two_sessions(dsn) as (database, sessions):
            return await explore(
                Clients(dsn, database, sessions, habit), SourceDPOR(), options=Options(rerun_every=2)
            )

    return asyncio.run(main())


@asynccontextmanager
async def two_sessions(dsn: str) -> AsyncIterator[tuple[GatedDatabase, list[RawSession]]]:
    async with (
        asyncio.timeout(120),
        Gate.open(dsn, is_scheduling_point) as gate,
        Monitor.connect(dsn) as monitor,
        raw_session(gate.socket_dsn) as (one, _),
        raw_session(gate.socket_dsn) as (other, _),
    ):
        yield GatedDatabase(gate, monitor, read_catalog(dsn, "payment_clock"), Turns(ours=True)), [one, other]


@pytest.mark.parametrize("habit", HABITS)
def test_whatever_an_orm_sends_it_is_explored_to_the_end(dsn: str, habit: str) -> None:
    speaks, schedules = HABITS[habit]
    found = explored(dsn, speaks)
    assert found.trustworthy, [*found.divergences, *found.nondeterminism]
    assert (found.complete, found.schedules) == (True, schedules)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('SAVEPOINT "s1_x2"', "savepoint s77_x1"),
        ('ROLLBACK TO SAVEPOINT "s1_x2"', "ROLLBACK TO SAVEPOINT sa_savepoint_3"),
        ("RELEASE SAVEPOINT active_record_1", "RELEASE SAVEPOINT active_record_2"),
        (
            'DECLARE "_django_curs_1_sync_1" NO SCROLL CURSOR FOR SELECT 1',
            'DECLARE "_django_curs_2_sync_9" NO SCROLL CURSOR FOR SELECT 2',
        ),
        ('FETCH FORWARD 100 FROM "curs_1"', 'FETCH FORWARD 100 FROM "curs_2"'),
        ("EXECUTE plan_1 (1)", "EXECUTE plan_2 (2)"),
        ("SELECT 1 -- request 1", "SELECT 1 /* request 2 */"),
        ("SELECT a FROM b WHERE c = 'x' AND d = 1.5", "SELECT a FROM b WHERE c = E'\\y' AND d = 2"),
    ],
)
def test_names_values_and_comments_do_not_change_a_shape(one: str, other: str) -> None:
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM b", "SELECT a FROM c"),
        ('SELECT "a" FROM b', "SELECT 'a' FROM b"),
        ("SAVEPOINT a", "RELEASE a"),
        ("ROLLBACK", "ROLLBACK TO a"),
        ("COMMIT", "COMMIT AND CHAIN"),
        ("UPDATE b SET a = 1", "UPDATE b SET c = 1"),
    ],
)
def test_what_a_statement_does_is_in_its_shape(one: str, other: str) -> None:
    assert shape(one) != shape(other)
