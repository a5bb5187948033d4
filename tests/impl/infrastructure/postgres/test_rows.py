"""Instants travel between Python and PostgreSQL as integers of µs, exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from payments_core.domain.payment import Payment
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.connection import Connection, Row
from payments_core.infrastructure.postgres.rows import configure, instant_of, timestamp
from payments_core.infrastructure.postgres.statements import PAYMENT_COLUMNS
from tests.support.postgres import Database

YEAR_2000 = 946_684_800_000_000
YEAR_2255 = 2**53 - 1
LAST = 253_402_300_799_999_999
INSTANTS = [
    *(0, 1, 999_999, 1_000_001, YEAR_2000 - 1, YEAR_2000, YEAR_2000 + 1),
    *(1_767_225_600_000_001, YEAR_2255 - 2, YEAR_2255, YEAR_2255 + 2, LAST, -1, -YEAR_2000),
]


@pytest.fixture
async def connection(shared_database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(
        shared_database.dsn, autocommit=True, prepare_threshold=None
    ) as opened:
        await configure(opened)
        yield opened


async def answered(connection: Connection, query: str, *parameters: bytes | None) -> Row | None:
    batch = Batch(connection)
    answer = batch.add(query, parameters)
    await batch.send()
    return answer.row()


@pytest.mark.parametrize("instant", INSTANTS)
def test_loading_counts_from_1970(instant: int) -> None:
    assert instant_of(instant - YEAR_2000) == instant


@pytest.mark.anyio
async def test_postgresql_returns_what_it_was_given(connection: Connection) -> None:
    for instant in INSTANTS:
        row = await answered(
            connection,
            "SELECT given, (extract(epoch FROM given) * 1000000)::bigint"
            " FROM (SELECT %s::timestamptz) AS _ (given)",
            timestamp(instant),
        )
        assert row == (instant - YEAR_2000, instant)


@pytest.mark.anyio
async def test_the_sessions_time_zone_makes_no_difference(connection: Connection) -> None:
    await connection.execute("SET timezone = 'Asia/Kathmandu'")
    row = await answered(connection, "SELECT %s::timestamptz", timestamp(YEAR_2255))
    assert row is not None
    assert instant_of(row[0]) == YEAR_2255


@pytest.mark.anyio
async def test_other_connections_still_read_datetimes(
    connection: Connection, shared_database: Database
) -> None:
    async with await Connection.connect(shared_database.dsn) as other:
        cursor = other.cursor(binary=True)
        await cursor.execute("SELECT to_timestamp(0)")
        assert await cursor.fetchone() == (datetime(1970, 1, 1, tzinfo=UTC),)
    assert not connection.closed


def test_what_is_not_known_is_null() -> None:
    assert timestamp(None) is None


@pytest.mark.parametrize("instant", INSTANTS)
def test_dumping_counts_from_2000(instant: int) -> None:
    assert timestamp(instant) == (instant - YEAR_2000).to_bytes(8, "big", signed=True)


def test_the_columns_are_the_entitys_fields() -> None:
    columns = PAYMENT_COLUMNS.split(", ")
    assert sorted(columns) == sorted(Payment.__dataclass_fields__)
