"""Whether a driver prepares a statement apart, and how, changes neither schedules nor what they end with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.replay import replay
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scheduler import Body, GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point
from tests.pgweave.gate.observing import Watcher
from tests.pgweave.scheduler.raw_session import (
    FLUSH,
    SYNC,
    RawSession,
    bind,
    describe,
    execute,
    extended,
    parse,
    raw_session,
    trusting_database,
)

Reads = Callable[[RawSession, str], Coroutine[Any, Any, list[str]]]
"""Reads whether a row has been written, each driver in its way."""

SCHEMA = "CREATE TABLE rows (id int PRIMARY KEY, value int NOT NULL); INSERT INTO rows VALUES (1, 0), (2, 0)"
BEGIN = "BEGIN ISOLATION LEVEL {}"
WRITTEN, OTHER = "SELECT FROM rows WHERE id = 1 AND value > 0", "SELECT FROM rows WHERE id = 2"
WRITE = "UPDATE rows SET value = value + 1 WHERE id = 1"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with trusting_database(SCHEMA) as dsn:
        yield dsn


async def at_once(session: RawSession, sql: str) -> list[str]:
    return await session.ask(extended(sql), SYNC)


async def parse_and_sync(session: RawSession, sql: str) -> list[str]:
    await session.ask(parse(sql, "mine"), SYNC)
    return await session.ask(bind("mine"), execute(), SYNC)


async def parse_and_describe(session: RawSession, sql: str) -> list[str]:
    await session.ask(parse(sql), describe(), FLUSH, ends="T")
    return await session.ask(bind(), execute(), SYNC)


async def parse_then_describe(session: RawSession, sql: str) -> list[str]:
    await session.ask(parse(sql), SYNC)
    await session.ask(describe(), SYNC)
    return await session.ask(bind(), execute(), SYNC)


async def bind_apart(session: RawSession, sql: str) -> list[str]:
    await session.ask(parse(sql), bind(), FLUSH, ends="2")
    return await session.ask(execute(), SYNC)


async def describe_known(session: RawSession, _sql: str) -> list[str]:
    await session.ask(describe("known"), SYNC)
    return await session.ask(bind("known"), execute(), SYNC)


APART = [parse_and_sync, parse_and_describe, parse_then_describe, bind_apart, describe_known]


class Transactions:
    """One transaction reads two rows, another writes one; the result is what each was told."""

    processes = 2
    writes: Sequence[str] = (WRITE,)

    def __init__(self, dsn: str, gate: Gate, monitor: Monitor, reads: Reads, level: str) -> None:
        self.dsn, self.gate, self.monitor, self.reads = dsn, gate, monitor, reads
        self.begin = BEGIN.format(level)
        self.catalog = read_catalog(dsn, "payment_clock")

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        told: list[list[str]] = [[], []]
        async with AsyncExitStack() as stack:
            sessions = [(await stack.enter_async_context(raw_session(self.gate.socket_dsn)))[0] for _ in told]
            await sessions[0].query("UPDATE rows SET value = 0")
            await sessions[0].ask(parse(WRITTEN, "known"), SYNC)
            bodies = [
                ("reads", self.reading(sessions[0], told[0])),
                ("writes", self.writing(sessions[1], told[1])),
            ]
            database = GatedDatabase(self.gate, self.monitor, self.catalog, Turns(ours=True))
            run = await Run(bodies, database)(choose)
        return Execution(run.steps, run.complete, tuple(map(tuple, told)), strays=run.strays)

    def reading(self, session: RawSession, told: list[str]) -> Body:
        async def body(_process: Process) -> None:
            await session.query(self.begin)
            told.extend(each for each in await self.reads(session, WRITTEN) if each[0] in "CE")
            told.extend(each for each in await session.query(OTHER) if each[0] in "CE")
            await session.query("COMMIT")

        return body

    def writing(self, session: RawSession, told: list[str]) -> Body:
        async def body(_process: Process) -> None:
            told.extend([(await session.query(sql))[0] for sql in (self.begin, *self.writes, "COMMIT")])

        return body


def through_gate(dsn: str, work: Callable[[Gate, Monitor], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with (
            asyncio.timeout(60),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
        ):
            return await work(gate, monitor)

    return asyncio.run(main())


def explored(dsn: str, reads: Reads, level: str) -> dict[tuple[int, ...], Any]:
    """Each schedule that was tried, with what was told in it."""
    found: dict[tuple[int, ...], Any] = {}

    async def work(gate: Gate, monitor: Monitor) -> None:
        program = Transactions(dsn, gate, monitor, reads, level)

        def note(run: Execution, _plan: object) -> None:
            found[tuple(step.process for step in run.steps)] = run.result

        report = await explore(program, SourceDPOR(), on_execution=note)
        assert report.complete, report.divergences

    through_gate(dsn, work)
    return found


def replayed(dsn: str, reads: Reads, level: str, schedules: list[tuple[int, ...]]) -> list[Any]:
    async def work(gate: Gate, monitor: Monitor) -> list[Any]:
        program = Transactions(dsn, gate, monitor, reads, level)
        return [(await replay(program, schedule)).result for schedule in schedules]

    results: list[Any] = through_gate(dsn, work)
    return results


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("reads", APART)
def test_the_same_schedules_end_in_the_same_way(dsn: str, reads: Reads, level: str) -> None:
    found = explored(dsn, at_once, level)
    assert {told[0][0] for told in found.values()} == {"C SELECT 0", "C SELECT 1"}
    assert explored(dsn, reads, level) == found
    assert replayed(dsn, reads, level, list(found)) == list(found.values())


def test_a_gate_that_does_not_hold_it_is_found_out(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = explored(dsn, at_once, "SERIALIZABLE")
    monkeypatch.setattr(Run, "decide_to_hold_other", lambda *_: False)
    assert replayed(dsn, parse_and_sync, "SERIALIZABLE", list(found)) != list(found.values())


@pytest.mark.parametrize("reads", [parse_and_sync, parse_and_describe, parse_then_describe])
def test_what_is_prepared_at_read_committed_is_not_held(
    dsn: str, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explored(dsn, at_once, "READ COMMITTED")
    assert explored(dsn, reads, "READ COMMITTED") == found
    monkeypatch.setattr(Run, "decide_to_hold_other", lambda *_: False)
    assert explored(dsn, reads, "READ COMMITTED") == found


def test_what_is_prepared_and_not_executed_next_is_a_step_by_itself(dsn: str) -> None:
    async def prepare_another(session: RawSession, sql: str) -> list[str]:
        await session.ask(parse(OTHER, "other"), SYNC)
        return await session.ask(extended(sql), SYNC)

    for told in explored(dsn, prepare_another, "SERIALIZABLE").values():
        assert told[0][1:] == ("C SELECT 1",)
    written_after_it = [0, 0, 1, 1, 1, 0, 0, 0]
    written_before_it = [0, 1, 1, 1, 0, 0, 0, 0]
    told = replayed(dsn, prepare_another, "SERIALIZABLE", [tuple(written_after_it), tuple(written_before_it)])
    assert [each[0][0] for each in told] == ["C SELECT 0", "C SELECT 1"]


def test_one_that_waits_as_it_is_prepared_is_followed(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transactions, "writes", ("LOCK TABLE rows IN ACCESS EXCLUSIVE MODE", WRITE))
    ends = set(explored(dsn, at_once, "SERIALIZABLE").values())
    assert len(ends) == 2
    assert set(explored(dsn, parse_and_sync, "SERIALIZABLE").values()) == ends


def test_what_cannot_be_prepared_fails_in_its_step(dsn: str) -> None:
    async def prepare_nothing(session: RawSession, _sql: str) -> list[str]:
        return await session.ask(parse("SELECT FROM rows WHERE no_column", "mine"), SYNC)

    ends = set(explored(dsn, prepare_nothing, "SERIALIZABLE").values())
    assert ends == {(("E ERROR 42703", "E ERROR 25P02"), ("C BEGIN", "C UPDATE 1", "C COMMIT"))}


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_question_for_what_is_fixed_is_held_where_it_takes_the_snapshot(
    dsn: str, level: str, prepared: bool
) -> None:
    async def ask_first(session: RawSession, sql: str) -> list[str]:
        if prepared:
            await session.ask(parse("SELECT current_database()", "mine"), SYNC)
            await session.ask(bind("mine"), execute(), SYNC)
        else:
            await session.query("SELECT current_database()")
        return await session.query(sql)

    found = explored(dsn, ask_first, level)
    assert {told[0][0] for told in found.values()} == {"C SELECT 0", "C SELECT 1"}
    assert found[0, 0, 1, 1, 1, 0, 0, 0][0][0] == "C SELECT 0"


# ---- the gate alone ------------------------------------------------------------------------------


def held_apart(dsn: str, talk: Callable[[RawSession, Watcher], Coroutine[Any, Any, None]]) -> Watcher:
    watcher = Watcher(lets_go=lambda statement: not statement.prepares, holds_prepared=True)

    async def main() -> None:
        async with asyncio.timeout(30), Gate.open(dsn) as gate:
            gate.observer = watcher
            async with raw_session(gate.socket_dsn) as (session, _):
                await talk(session, watcher)
                assert gate.sessions[0].idle

    asyncio.run(main())
    return watcher


async def released(watcher: Watcher, asking: Coroutine[Any, Any, list[str]]) -> list[str]:
    task = asyncio.create_task(asking)
    statement = await watcher.next_held()
    assert not task.done()
    assert watcher.answers[-1:] != [(statement.sql, "")]
    statement.release()
    return await task


def test_a_statement_is_held_once_and_answered_once(dsn: str) -> None:
    async def talk(session: RawSession, watcher: Watcher) -> None:
        await session.query("BEGIN")
        assert await released(watcher, session.ask(parse(OTHER), SYNC)) == ["1", "Z T"]
        assert await session.ask(bind(), execute(), SYNC) == ["2", "D", "C SELECT 1", "Z T"]
        await session.query("COMMIT")

    assert held_apart(dsn, talk).answers == [("BEGIN", "BEGIN"), (OTHER, "SELECT 1"), ("COMMIT", "COMMIT")]


def test_what_is_prepared_is_over_when_another_is_executed(dsn: str) -> None:
    async def talk(session: RawSession, watcher: Watcher) -> None:
        await session.query("BEGIN")
        await released(watcher, session.ask(parse(OTHER), SYNC))
        await session.query("COMMIT")

    assert held_apart(dsn, talk).answers == [("BEGIN", "BEGIN"), (OTHER, ""), ("COMMIT", "COMMIT")]


def test_what_is_prepared_is_over_when_its_transaction_is(dsn: str) -> None:
    async def talk(session: RawSession, watcher: Watcher) -> None:
        await released(watcher, session.ask(parse(OTHER), FLUSH, ends="1"))
        assert await session.ask(SYNC) == ["Z I"]
        await session.ask(
            parse(OTHER), SYNC
        )  # alone, it is a transaction by itself: nobody sees its snapshot

    assert held_apart(dsn, talk).answers == [(OTHER, "")]
