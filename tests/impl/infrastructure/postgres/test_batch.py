"""Batches on the wire: prepared once, binary, one round trip; what an error or a lost connection leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg.abc import PQGen
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.types.numeric import Int8

from payments_core.infrastructure.postgres import batch as batches
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.connection import Connection
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

LIMIT_S = 30


@pytest.fixture
async def connection(shared_database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(
        shared_database.dsn, autocommit=True, prepare_threshold=None
    ) as opened:
        yield opened


async def test_answers_come_to_the_statements_that_asked(connection: Connection) -> None:
    batch = Batch(connection)
    doubled = batch.add("SELECT n, 2 * n FROM generate_series(1, %s::bigint) AS n", (Int8(3),))
    nothing = batch.add("SELECT 1 WHERE false")
    text = batch.add("SELECT upper(%s)", ("a",))
    await batch.send()
    assert doubled.rows() == [(1, 2), (2, 4), (3, 6)]
    assert (doubled.row(), nothing.row(), nothing.rows()) == ((1, 2), None, [])
    assert text.row() == ("A",)


async def test_a_batch_without_statements_has_nothing_to_answer(connection: Connection) -> None:
    await Batch(connection).send()
    after = Batch(connection)
    one = after.add("SELECT 1")
    await after.send()
    assert one.row() == (1,)


async def test_a_statement_is_prepared_once_for_a_connection(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    original = connection.converse

    async def spy(generator: PQGen[object]) -> object:
        waits.append(generator)
        return await original(generator)

    monkeypatch.setattr(connection, "converse", spy)
    for _ in range(3):
        batch = Batch(connection)
        batch.add("BEGIN")
        found = batch.add("SELECT %s::bigint + 1", (Int8(1),))
        batch.add("COMMIT")
        await batch.send()
        assert found.row() == (2,)
    monkeypatch.undo()
    assert len(waits) == 1 + 3, "a round trip to prepare, and one for each batch"
    prepared = await connection.execute(
        "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements ORDER BY statement"
    )
    assert await prepared.fetchall() == [("BEGIN", 3), ("COMMIT", 3), ("SELECT $1::bigint + 1", 3)]


async def test_a_rollback_leaves_what_is_prepared(connection: Connection) -> None:
    for _ in range(10):
        batch = Batch(connection)
        batch.add("BEGIN")
        batch.add("SELECT 1")
        await batch.send()
        await connection.execute("ROLLBACK")
    prepared = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
    assert await prepared.fetchone() == (2,)


async def test_values_travel_as_binary(connection: Connection) -> None:
    batch = Batch(connection)
    found = batch.add("SELECT %s::bigint", (Int8(258),))
    await batch.send()
    assert found.received().get_value(0, 0) == (258).to_bytes(8, "big")


async def test_after_an_error_nothing_runs_and_the_connection_serves_on(connection: Connection) -> None:
    batch = Batch(connection)
    batch.add("BEGIN")
    batch.add("SELECT 1 / %s::bigint", (Int8(0),))
    batch.add("SELECT pg_sleep(600)")
    batch.add("COMMIT")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await asyncio.wait_for(batch.send(), LIMIT_S)
    assert connection.info.pipeline_status is PipelineStatus.OFF
    assert connection.info.transaction_status is TransactionStatus.INERROR
    await connection.rollback()
    again = Batch(connection)
    found = again.add("SELECT 7")
    await again.send()
    assert found.row() == (7,)


async def test_a_statement_that_cannot_be_prepared_is_the_statements_error(connection: Connection) -> None:
    for _ in range(2):
        batch = Batch(connection)
        batch.add("SELECT 1")
        batch.add("SELECT no_such_column")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            await batch.send()
    batch = Batch(connection)
    found = batch.add("SELECT 1")
    await batch.send()
    assert found.row() == (1,)


async def test_a_session_that_is_ended_is_an_operational_error(
    connection: Connection, shared_database: Database
) -> None:
    batch = Batch(connection)
    batch.add("BEGIN")
    batch.add("SELECT pg_sleep(600)")
    batch.add("COMMIT")
    running = asyncio.create_task(batch.send())
    async with await psycopg.AsyncConnection.connect(shared_database.dsn, autocommit=True) as other:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
        async with asyncio.timeout(LIMIT_S):
            while not (await (await other.execute(ended)).fetchall()):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(running, LIMIT_S)
    assert connection.closed


async def test_what_owes_answers_is_closed_and_not_used_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unheard(_pgconn: object) -> PQGen[list[object]]:
        yield from ()
        raise RuntimeError

    batch = Batch(connection)
    batch.add("SELECT 1")
    await batch.send()
    monkeypatch.setattr(batches, "_replies", unheard)
    with pytest.raises(RuntimeError):
        await batch.send()
    assert connection.closed


def test_placeholders_are_numbered_in_order() -> None:
    assert batches.number_placeholders("SELECT %s, (%s), %s") == b"SELECT $1, ($2), $3"
    assert batches.number_placeholders("COMMIT") == b"COMMIT"
