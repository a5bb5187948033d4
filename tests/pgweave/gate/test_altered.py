"""What a server is made to say instead: where it says it, and that the client takes it for the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from pgweave.gate import Gate, HeldStatement, NotReplicated, Reported, wire
from pgweave.gate.altered import Altered
from pgweave.gate.proxy import PassAll
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio


class Altering(PassAll):
    """Lets every statement go, answered otherwise."""

    def __init__(self, make: Callable[[HeldStatement], Altered]) -> None:
        self.make = make
        self.made: list[Altered] = []

    def decide_to_hold(self, _session: object) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        self.made.append(made := self.make(statement))
        statement.session.answers.altered = made
        statement.release()


@asynccontextmanager
async def altered(
    database: Database, make: Callable[[HeldStatement], Altered]
) -> AsyncIterator[tuple[psycopg.AsyncConnection, list[str], Altering]]:
    """A connection through a gate, the warnings that it has heard, and the gate's observer."""
    warnings: list[str] = []
    async with (
        asyncio.timeout(20),
        Gate.open(database.dsn) as gate,
        await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True) as connection,
    ):
        connection.add_notice_handler(
            lambda said: warnings.append(f"{said.severity_nonlocalized} {said.sqlstate}")
        )
        gate.observer = altering = Altering(make)
        yield connection, warnings, altering


def not_replicated(statement: HeldStatement) -> NotReplicated:
    return NotReplicated(statement.session.block.is_open, is_translated=True)


@pytest.mark.parametrize("prepares", [False, True])
async def test_a_commit_is_warned_of_once_and_succeeds(database: Database, prepares: bool) -> None:
    async with altered(database, not_replicated) as (connection, warnings, _):
        await connection.execute("CREATE TABLE t (n int)")
        assert warnings == []
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)", prepare=prepares)
            assert warnings == []
        assert warnings == ["WARNING 01000"]
        await connection.execute("INSERT INTO t VALUES (%s)", [2], prepare=prepares)
        assert warnings == ["WARNING 01000"] * 2
        await connection.execute("DELETE FROM t WHERE n = %s", [3], prepare=prepares)
        async with connection.transaction(force_rollback=True):
            await connection.execute("INSERT INTO t VALUES (4)", prepare=prepares)
        assert warnings == ["WARNING 01000"] * 2
        rows = await (await connection.execute("SELECT n FROM t ORDER BY n")).fetchall()
    assert rows == [(1,), (2,)]


ASKED = (
    "SELECT current_setting('work_mem'), current_setting('TimeZone', true), current_setting('search_path')"
)


@pytest.mark.parametrize("parameters", [None, []])
async def test_a_setting_is_answered_otherwise_and_no_other_is(
    database: Database, parameters: list[str] | None
) -> None:
    def zone(statement: HeldStatement) -> Reported:
        return Reported("TimeZone", "Mars/Olympus", statement.sql)

    async with altered(database, zone) as (connection, _, altering):
        asked = await connection.execute(ASKED.encode(), parameters)
        memory, zone_, path = (await asked.fetchone()) or ()
        assert (zone_, memory.endswith("MB"), "Mars" in path) == ("Mars/Olympus", True, False)
        row = await (await connection.execute("SELECT 'UTC', 'UTC'")).fetchone()
        assert row == ("UTC", "UTC")
        two = await connection.execute(f"SELECT set_config('work_mem', '1MB', false); {ASKED}".encode())
        assert (await (await two.set_result(-1)).fetchone() or ())[1] == "Mars/Olympus"
        assert len(altering.made) == 3


async def test_a_new_connection_is_told_otherwise(database: Database) -> None:
    async with asyncio.timeout(20), Gate.open(database.dsn) as gate:
        gate.alters_first = lambda: Reported("TimeZone", "Mars/Olympus")
        async with await psycopg.AsyncConnection.connect(gate.socket_dsn) as connection:
            assert connection.info.parameter_status("TimeZone") == "Mars/Olympus"
            assert connection.info.parameter_status("is_superuser") == "on"


def test_rows_are_read_as_they_are_written() -> None:
    values = [b"", None, b"text"]
    assert wire.row_values(wire.data_row(values)) == values
    with pytest.raises(wire.WireError):
        wire.row_values(wire.message(b"D", b"\x00\x02\xff\xff\xff\xff"))
