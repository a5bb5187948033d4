"""An injected refusal leaves a session as the same error of a real PostgreSQL does, wherever it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pgweave.gate import Fault, Gate
from pgweave.scheduler import Conditions, GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point
from tests.pgweave.scheduler.raw_session import (
    FLUSH,
    SYNC,
    RawSession,
    bind,
    execute,
    extended,
    parse,
    pipeline,
    query,
    raw_session,
    trusting_database,
)

SCHEMA = """
    CREATE TABLE rows (id int PRIMARY KEY, value int NOT NULL);
    INSERT INTO rows VALUES (1, 0), (2, 0);
    CREATE TABLE checked (code text);
    CREATE FUNCTION check_late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.code <> '' THEN RAISE EXCEPTION 'late' USING ERRCODE = NEW.code; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION check_late();
    CREATE ROLE crowded LOGIN CONNECTION LIMIT 0;
"""
WRITE = "UPDATE rows SET value = value + 1 WHERE id = 1"
Told = list[list[str]]
Client = Callable[[RawSession, str], Coroutine[Any, Any, Told]]
"""Speaks to the server; the text is a statement that fails there, or is refused by the gate."""


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with trusting_database(SCHEMA) as dsn:
        yield dsn


# ---- what clients send: the statement that is hurt, and what they do after it ----------------------


async def after(session: RawSession) -> Told:
    """How the session goes on: without a ROLLBACK, with one, and in its next transaction."""
    asked = ("SELECT 7", "ROLLBACK", "BEGIN", "SELECT 8", "COMMIT")
    return [await session.query(sql) for sql in asked]


async def simple(session: RawSession, sql: str) -> Told:
    return [await session.query(sql), *await after(session)]


async def prepared(session: RawSession, sql: str) -> Told:
    """Parse and Execute in one go; the statement stays prepared when its execution fails."""
    told = [await session.ask(extended(sql, "mine"), SYNC), *await after(session)]
    return [*told, await session.ask(parse("SELECT 9", "mine"), SYNC)]


async def prepared_before(session: RawSession, sql: str) -> Told:
    told = [await session.ask(parse(sql, "mine"), SYNC), await session.ask(bind("mine"), execute(), SYNC)]
    return [*told, *await after(session)]


async def flushed(session: RawSession, sql: str) -> Told:
    """A pipeline whose Sync comes later, as that of psycopg; what follows the error is skipped."""
    first = await session.ask(extended(sql), FLUSH, extended("SELECT 10"), SYNC)
    return [first, *await after(session)]


CLIENTS: dict[str, Client] = {
    "simple": simple,
    "prepared": prepared,
    "prepared before": prepared_before,
    "flushed": flushed,
}


# ---- where it happens ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Attributes.

    before: what the session has done, really and where a fault is injected.
    sql: the statement that fails on a real server.
    harmless: the statement in whose place the fault is injected.
    rival: another session's statements after ``before``: the last of them meets the failing one.
    """

    fault: Fault
    sql: str
    harmless: str
    before: tuple[str, ...] = ()
    injected_before: tuple[str, ...] | None = None
    rival: tuple[str, ...] = ()


LATE = {code: ("BEGIN", f"INSERT INTO checked VALUES ('{code}')") for code in ("", "40001", "40P01", "57014")}
COMMITS = LATE[""]
LIMITED = "SET statement_timeout = 100"
SLEEP = "DO $$ BEGIN PERFORM pg_sleep(20); END $$"
PLACES = {
    "a time limit, alone": Place(Fault.CANCELLED, SLEEP, "SELECT 1 FROM rows", (LIMITED,)),
    "a time limit, in a block": Place(Fault.CANCELLED, SLEEP, "SELECT 1 FROM rows", (LIMITED, "BEGIN")),
    "a time limit, after a savepoint": Place(
        Fault.CANCELLED, SLEEP, "SELECT 1 FROM rows", (LIMITED, "BEGIN", "SAVEPOINT one")
    ),
    "a time limit, where the snapshot is taken": Place(
        Fault.CANCELLED, SLEEP, "SELECT 1 FROM rows", (LIMITED, "BEGIN ISOLATION LEVEL SERIALIZABLE")
    ),
    "a cancel request, at COMMIT": Place(Fault.CANCELLED, "COMMIT", "COMMIT", LATE["57014"], COMMITS),
    "a conflict, in a block": Place(
        Fault.SERIALIZATION_FAILURE,
        WRITE,
        WRITE,
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT value FROM rows"),
        rival=(WRITE,),
    ),
    "a conflict, at COMMIT": Place(Fault.SERIALIZATION_FAILURE, "COMMIT", "COMMIT", LATE["40001"], COMMITS),
    "a conflict, at END": Place(Fault.SERIALIZATION_FAILURE, "END", "end", LATE["40001"], COMMITS),
    "a deadlock, at COMMIT": Place(Fault.DEADLOCK, "COMMIT", "COMMIT", LATE["40P01"], COMMITS),
    "a deadlock, in a block": Place(
        Fault.DEADLOCK,
        "UPDATE rows SET value = 0 WHERE id = 2",
        "UPDATE rows SET value = 0 WHERE id = 2",
        ("BEGIN", "SET LOCAL deadlock_timeout = '10ms'", WRITE),
        rival=("BEGIN", "SET deadlock_timeout = '1h'", "UPDATE rows SET value = 0 WHERE id = 2", WRITE),
    ),
}


async def real(dsn: str, place: Place, client: Client) -> Told:
    async with raw_session(dsn) as (session, _), raw_session(dsn) as (rival, _):
        for sql in place.before:
            await session.query(sql)
        *free, last = place.rival or ("SELECT 1",)
        for sql in free:
            await rival.query(sql)
        meeting = asyncio.create_task(rival.query(last))
        await asyncio.wait([meeting], timeout=0.3)  # it is done, or waits for a lock
        told = await client(session, place.sql)
        await meeting
        return told


async def injected(dsn: str, place: Place, client: Client) -> Told:
    told: Told = []

    async with gated(dsn) as database, raw_session(database.gate.socket_dsn) as (session, _):
        before = place.before if place.injected_before is None else place.injected_before

        async def body(_process: Process) -> None:
            for sql in before:
                await session.query(sql)
            told.extend(await client(session, place.harmless))

        held = sum(map(is_scheduling_point, before))
        run = Run([("client", body)], database, conditions=Conditions(faults={(0, held): place.fault}))
        await run(lambda situation: min(situation.ready))
        assert run.injection.injected == 1
    return told


@asynccontextmanager
async def gated(dsn: str) -> AsyncIterator[GatedDatabase]:
    async with asyncio.timeout(60), Gate.open(dsn, is_scheduling_point) as gate, Monitor.connect(dsn) as ours:
        yield GatedDatabase(gate, ours, read_catalog(dsn, "payment_clock"), Turns(ours=False))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_refusal_is_that_of_a_real_server(dsn: str, place: str, client: str) -> None:
    where = PLACES[place]

    async def both() -> tuple[Told, Told]:
        return await real(dsn, where, CLIENTS[client]), await injected(dsn, where, CLIENTS[client])

    really, by_injection = asyncio.run(both())
    assert any(f"E ERROR {where.fault.value}" in each for each in really)
    assert by_injection == really


def test_a_commit_that_fails_in_a_pipeline_leaves_the_session_idle(dsn: str) -> None:
    fails, harmless = (
        ("BEGIN", f"INSERT INTO checked VALUES ('{code}')", "COMMIT", "SELECT 10") for code in ("40001", "")
    )

    async def really() -> list[str]:
        async with raw_session(dsn) as (session, _):
            return await session.ask(pipeline(fails))

    async def by_injection() -> list[str]:
        async with gated(dsn) as database, raw_session(database.gate.socket_dsn) as (session, _):
            told: list[str] = []

            async def body(_process: Process) -> None:
                told.extend(await session.ask(pipeline(harmless)))

            faults = {(0, 2): Fault.SERIALIZATION_FAILURE}
            await Run([("client", body)], database, conditions=Conditions(faults=faults))(
                lambda situation: min(situation.ready)
            )
            return told

    expected = asyncio.run(really())
    assert expected[-2:] == ["E ERROR 40001", "Z I"]
    assert asyncio.run(by_injection()) == expected


def test_too_many_connections_refuse_a_new_one_and_none_that_is_open(dsn: str) -> None:
    async def both() -> tuple[list[str], list[str], list[str]]:
        async with raw_session(dsn, "crowded") as (_, really):
            pass
        told: list[list[str]] = []
        async with gated(dsn) as database, raw_session(database.gate.socket_dsn) as (session, _):

            async def body(_process: Process) -> None:
                told.append(await session.query("SELECT value FROM rows"))
                async with raw_session(database.gate.socket_dsn) as (_, refused):
                    told.append(refused)
                async with raw_session(database.gate.socket_dsn) as (again, _):
                    await again.query("SELECT value FROM rows")

            faults = {(0, 0): Fault.TOO_MANY_CONNECTIONS}
            run = Run([("client", body)], database, conditions=Conditions(faults=faults))
            await run(lambda situation: min(situation.ready))
        return really, told[0], told[1]

    really, cut, refused = asyncio.run(both())
    assert cut == ["closed"]
    assert refused == really == ["E FATAL 53300", "closed"]


@pytest.mark.parametrize("fault", [Fault.SERIALIZATION_FAILURE, Fault.DEADLOCK])
@pytest.mark.parametrize(
    ("before", "sql"),
    [
        ((), "BEGIN"),
        (("BEGIN",), "SELECT value FROM rows"),
        (("BEGIN", WRITE), "SAVEPOINT one"),
        (("BEGIN", WRITE), "ROLLBACK"),
        (("BEGIN",), "COMMIT"),
        (("BEGIN", WRITE, "COMMIT"), "SELECT value FROM rows"),
        (("BEGIN", WRITE, "COMMIT"), "COMMIT"),
    ],
)
def test_nothing_conflicts_that_neither_locks_nor_writes(
    dsn: str, fault: Fault, before: tuple[str, ...], sql: str
) -> None:
    async def main() -> tuple[Told, int, int]:
        told: Told = []
        async with gated(dsn) as database, raw_session(database.gate.socket_dsn) as (session, _):

            async def body(_process: Process) -> None:
                for each in (*before, sql):
                    told.append(await session.ask(query(each)))
                await session.query("ROLLBACK")

            conditions = Conditions(faults={(0, len(before)): fault})
            run = Run([("client", body)], database, conditions=conditions)
            await run(lambda situation: min(situation.ready))
            return told, run.injection.injected, run.injection.passed_over

    told, hurt, passed_over = asyncio.run(main())
    assert not any(answer.startswith("E") for answers in told for answer in answers)
    assert (hurt, passed_over) == (0, 1)


@pytest.mark.parametrize("client", ["simple", "prepared", "prepared before"])
def test_a_commit_that_is_carried_out_may_be_told_as_unknown(dsn: str, client: str) -> None:
    place = Place(Fault.COMPLETION_UNKNOWN, "COMMIT", "COMMIT", ("BEGIN", WRITE))

    async def told_and_stored() -> tuple[Told, list[str]]:
        async with raw_session(dsn) as (session, _):
            await session.query("UPDATE rows SET value = 0")
        told = await injected(dsn, place, CLIENTS[client])
        async with raw_session(dsn) as (session, _):
            return told, await session.query("SELECT 1 FROM rows WHERE id = 1 AND value <> 0")

    told, stored = asyncio.run(told_and_stored())
    assert ["E ERROR 40003", "Z I"] in [each[-2:] for each in told]
    assert "C SELECT 1" in stored
