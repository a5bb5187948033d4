"""What goes through the gate is what went in, and nothing that is held has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest

from pgweave.gate import Gate, Session
from tests.pgweave.gate.observing import Watcher
from tests.support.postgres import Database

Work = Callable[[Gate], Coroutine[Any, Any, None]]


def through_gate(database: Database, work: Work) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), Gate.open(database.dsn) as gate:
            await work(gate)

    asyncio.run(run())


async def connect(dsn: str, **settings: Any) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True, **settings)


async def one(connection: psycopg.AsyncConnection, sql: str, *values: object) -> Any:
    row = await (await connection.execute(sql.encode(), values)).fetchone()
    return None if row is None else row[0]


async def copy_in(cursor: psycopg.AsyncCursor[Any], data: bytes) -> None:
    async with cursor.copy("COPY numbers FROM STDIN") as copy:
        await copy.write(data)


async def pipeline(connection: psycopg.AsyncConnection, *statements: str) -> None:
    async with connection.pipeline():
        for statement in statements:
            await connection.execute(statement.encode())


@pytest.mark.parametrize("way", ["socket_dsn", "tcp_dsn"])
@pytest.mark.parametrize("held", [False, True])
def test_everything_passes_unchanged(shared_database: Database, way: str, held: bool) -> None:
    async def work(gate: Gate) -> None:
        if held:
            gate.observer = Watcher()
        async with await connect(getattr(gate, way)) as connection:
            assert await one(connection, "SELECT 1") == 1
            assert await one(connection, "SELECT %s::text", "é" * 100_000) == "é" * 100_000
            await connection.execute("")
            for number in range(8):  # past psycopg's threshold for prepared statements
                assert await one(connection, "SELECT %s::int * 2", number) == 2 * number
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1/0")
            assert await one(connection, "SELECT count(*) FROM generate_series(1, 50000)") == 50_000
            await connection.execute("SELECT 1; SELECT 2")

    through_gate(shared_database, work)


@pytest.mark.parametrize("held", [False, True])
def test_copy_passes_both_ways(shared_database: Database, held: bool) -> None:
    async def work(gate: Gate) -> None:
        if held:
            gate.observer = Watcher()
        async with await connect(gate.socket_dsn) as connection, connection.cursor() as cursor:
            await connection.execute("CREATE TEMPORARY TABLE numbers (number int)")
            async with cursor.copy("COPY numbers FROM STDIN") as copy:
                for number in range(1000):
                    await copy.write_row([number])
            async with cursor.copy("COPY numbers TO STDOUT") as copy:
                rows = [row async for row in copy.rows()]
            assert len(rows) == 1000
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                await copy_in(cursor, b"no number\n")
            assert await one(connection, "SELECT count(*) FROM numbers") == 1000

    through_gate(shared_database, work)


def test_a_pipeline_is_split_at_each_statement(shared_database: Database) -> None:
    watcher = Watcher()

    async def work(gate: Gate) -> None:
        gate.observer = watcher
        async with await connect(gate.socket_dsn) as connection:
            async with connection.pipeline():
                await connection.execute("BEGIN")
                await connection.execute("SELECT 1")
                last = await connection.execute("SELECT %s::int", [3])
                await connection.execute("COMMIT")
            assert await last.fetchone() == (3,)

    through_gate(shared_database, work)
    assert watcher.seen == ["BEGIN", "SELECT 1", "SELECT $1::int", "COMMIT"]
    assert [answer for _, answer in watcher.answers] == ["BEGIN", "SELECT 1", "SELECT 1", "COMMIT"]


def test_after_an_error_in_a_pipeline_the_rest_is_skipped_and_not_held(shared_database: Database) -> None:
    watcher = Watcher()

    async def work(gate: Gate) -> None:
        gate.observer = watcher
        async with await connect(gate.socket_dsn) as connection:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await pipeline(connection, "BEGIN", "SELECT 1/0", "SELECT 2", "COMMIT")
            await connection.execute("ROLLBACK")
            assert await one(connection, "SELECT 4") == 4

    through_gate(shared_database, work)
    assert watcher.seen == ["BEGIN", "SELECT 1/0", "ROLLBACK", "SELECT 4"]
    assert watcher.answers[1] == ("SELECT 1/0", "22012")


def test_a_held_statement_has_no_snapshot_yet(database: Database) -> None:
    """The snapshot of a SELECT is taken at its Bind, so that the Bind must wait with the Execute."""
    watcher = Watcher(lets_go=lambda statement: "FROM seen" not in statement.sql)

    async def work(gate: Gate) -> None:
        async with await connect(database.dsn) as direct, await connect(gate.socket_dsn) as connection:
            await direct.execute("CREATE TABLE seen (number int)")
            await one(connection, "SELECT count(*) FROM seen")
            gate.observer = watcher
            counting = asyncio.create_task(one(connection, "SELECT count(*) FROM seen"))
            held = await watcher.next_held()
            await direct.execute("INSERT INTO seen VALUES (1)")
            held.release()
            assert await counting == 1

    through_gate(database, work)


def test_a_held_statement_has_not_happened(database: Database) -> None:
    watcher = Watcher(lets_go=lambda _statement: False)

    async def work(gate: Gate) -> None:
        async with await connect(database.dsn) as direct, await connect(gate.socket_dsn) as connection:
            await direct.execute("CREATE TABLE written (number int)")
            gate.observer = watcher
            writing = asyncio.create_task(connection.execute("INSERT INTO written VALUES (1)"))
            held = await watcher.next_held()
            assert await one(direct, "SELECT count(*) FROM written") == 0
            held.release()
            await writing
            assert await one(direct, "SELECT count(*) FROM written") == 1

    through_gate(database, work)


def test_the_values_of_a_statement_are_read(shared_database: Database) -> None:
    watcher = Watcher(lets_go=lambda _statement: False)

    async def work(gate: Gate) -> None:
        async with await connect(gate.socket_dsn) as connection:
            gate.observer = watcher
            asking = asyncio.create_task(one(connection, "SELECT %s::text, %s::int", "a key", None))
            held = await watcher.next_held()
            assert [value.data for value in held.values] == [b"a key", None]
            held.release()
            assert await asking == "a key"

    through_gate(shared_database, work)


def test_a_cancel_request_reaches_the_statement(shared_database: Database) -> None:
    async def work(gate: Gate) -> None:
        gate.observer = Watcher()
        async with await connect(gate.socket_dsn) as connection:
            sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
            await asyncio.sleep(0.2)
            await connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                await sleeping

    through_gate(shared_database, work)


@pytest.mark.parametrize("mode", ["disable", "prefer"])
def test_encryption_is_refused_and_the_client_goes_on(shared_database: Database, mode: str) -> None:
    async def work(gate: Gate) -> None:
        dsn = gate.tcp_dsn.replace("sslmode=disable", f"sslmode={mode}")
        async with await connect(dsn) as connection:
            assert await one(connection, "SELECT 1") == 1

    through_gate(shared_database, work)


def test_a_client_that_goes_leaves_nothing_behind(database: Database) -> None:
    watcher = Watcher(lets_go=lambda statement: "1 AS held" not in statement.sql)

    async def work(gate: Gate) -> None:
        gate.observer = watcher
        connection = await connect(gate.socket_dsn)
        await connection.execute("BEGIN")
        asking = asyncio.create_task(connection.execute("SELECT 1 AS held"))
        await watcher.next_held()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await connection.close()
        async with await connect(database.dsn) as direct:
            for _ in range(200):
                left = await one(
                    direct,
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                )
                if left == 0:
                    break
                await asyncio.sleep(0.02)
            assert left == 0
        assert gate.sessions == []

    through_gate(database, work)
    assert len(watcher.ended_sessions) == 1


def test_a_server_that_goes_ends_the_connection(database: Database) -> None:
    watcher = Watcher()

    async def work(gate: Gate) -> None:
        gate.observer = watcher
        async with await connect(database.dsn) as direct:
            connection = await connect(gate.socket_dsn)
            await direct.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
            with pytest.raises(psycopg.OperationalError):
                await connection.execute("SELECT 1")
            await connection.close()

    through_gate(database, work)
    assert len(watcher.ended_sessions) == 1


def test_a_database_that_cannot_be_reached_is_said_to_be(tmp_path: Any) -> None:
    async def run() -> None:
        dsn = f"host={tmp_path} port=1 dbname=none user=nobody"
        async with asyncio.timeout(30), Gate.open(dsn) as gate:
            with pytest.raises(psycopg.OperationalError, match="the gate cannot reach the database"):
                await connect(gate.socket_dsn)

    asyncio.run(run())


def test_what_is_sent_through_an_open_gate_goes_on_at_once(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    send = Session.send

    def noted(session: Session, data: bytes) -> None:
        sent.append(data)
        send(session, data)

    monkeypatch.setattr(Session, "send", noted)

    async def work(gate: Gate) -> None:
        async with await connect(gate.socket_dsn) as connection:
            sent.clear()
            await pipeline(connection, "BEGIN", "SELECT 1", "SELECT 2", "COMMIT")
            assert len(sent) == 1
            gate.observer = Watcher()
            await pipeline(connection, "BEGIN", "SELECT 1", "SELECT 2", "COMMIT")
            assert len(sent) >= 4  # one for each statement

    through_gate(shared_database, work)


def test_what_was_prepared_while_the_gate_was_open_is_known_once_it_holds(shared_database: Database) -> None:
    async def work(gate: Gate) -> None:
        async with await connect(gate.socket_dsn, prepare_threshold=0) as connection:
            assert await one(connection, "SELECT %s::int * 2", 1) == 2
            await connection.execute("BEGIN")
            gate.observer = watcher = Watcher()
            assert await one(connection, "SELECT %s::int * 2", 2) == 4
            await connection.execute("COMMIT")
            assert [sql for sql, _ in watcher.answers] == ["SELECT $1::int * 2", "COMMIT"]

    through_gate(shared_database, work)
