"""A query reads with the snapshot of its Bind, at READ COMMITTED, too: its step begins there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pgweave.gate import wire
from pgweave.gate.units import Unit, Units
from tests.pgweave.scheduler.raw_session import (
    FLUSH,
    SYNC,
    RawSession,
    bind,
    describe,
    execute,
    parse,
    query,
    raw_session,
    trusting_database,
)
from tests.pgweave.scheduler.test_prepared_apart import (
    OTHER,
    SCHEMA,
    WRITE,
    WRITTEN,
    Reads,
    at_once,
    bind_apart,
    explored,
)

LEVEL = "READ COMMITTED"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with trusting_database(SCHEMA) as dsn:
        yield dsn


async def cursor(session: RawSession, sql: str) -> list[str]:
    """As node's pg-cursor asks."""
    await session.ask(parse(sql), bind(), describe(), FLUSH, ends="Tn")
    first = await session.ask(execute(rows=100), FLUSH, ends="CsE")
    return [*first, *await session.ask(SYNC)]


async def bind_prepared(session: RawSession, _sql: str) -> list[str]:
    await session.ask(bind("known"), FLUSH, ends="2")
    return await session.ask(execute(), SYNC)


def test_postgresql_reads_with_the_snapshot_of_the_bind(dsn: str) -> None:
    async def main() -> list[str]:
        async with raw_session(dsn) as (mine, _), raw_session(dsn) as (theirs, _):
            await theirs.query("UPDATE rows SET value = 0")
            await mine.query("BEGIN")
            await mine.ask(parse(WRITTEN), bind(), FLUSH, ends="2")
            await theirs.query(WRITE)
            told = await mine.ask(execute(), SYNC)
            return [*told, *await mine.query(WRITTEN)]

    assert [each for each in asyncio.run(main()) if each[0] == "C"] == ["C SELECT 0", "C SELECT 1"]


@pytest.mark.parametrize("reads", [bind_apart, cursor, bind_prepared])
def test_schedules_and_ends_are_those_of_one_round_trip(dsn: str, reads: Reads) -> None:
    found = explored(dsn, at_once, LEVEL)
    assert {told[0][0] for told in found.values()} == {"C SELECT 0", "C SELECT 1"}
    assert explored(dsn, reads, LEVEL) == found


def test_a_portal_that_is_executed_later_has_seen_what_was_there_at_its_bind(dsn: str) -> None:
    async def another_first(session: RawSession, sql: str) -> list[str]:
        await session.ask(parse(sql, "late"), bind("late", "portal"), FLUSH, ends="2")
        await session.query(OTHER)
        return await session.ask(execute("portal"), SYNC)

    found = explored(dsn, another_first, LEVEL)
    assert {told[0][0] for told in found.values()} == {"C SELECT 0", "C SELECT 1"}


def units(*messages: bytes) -> list[Unit]:
    found = Units(lambda: None)
    for kind, message in wire.Frames().feed(b"".join(messages))[1]:
        found.add(kind, message)
    taken: list[Unit] = []
    while (unit := found.next(in_block=True)) is not None:
        taken.append(unit)
    return taken


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([bind("a"), execute(), bind("b"), execute(), SYNC], [("A", None), ("B", None)]),
        (
            [bind("a", "1"), bind("b", "2"), execute("1"), execute("2"), SYNC],
            [(None, "A"), (None, "B"), ("A", None), ("B", None)],
        ),
        ([bind("a", "1"), query("C"), execute("1"), SYNC], [(None, "A"), ("C", None), ("A", None)]),
        ([parse("D"), bind("a"), FLUSH, execute(), SYNC], [(None, "A"), ("A", None)]),
    ],
)
def test_a_unit_binds_what_it_executes_or_binds_alone(messages: list[bytes], expected: list[Any]) -> None:
    prepared = [parse("A", "a"), parse("B", "b"), SYNC]
    found = units(*prepared, *messages)[1:]
    assert [(unit.sql, unit.prepares) for unit in found] == expected
    assert [unit.binds for unit in found] == [unit.sql is None for unit in found]
