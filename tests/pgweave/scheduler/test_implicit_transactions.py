"""A batch with one Sync, and no BEGIN, is one transaction: its schedules are those of that."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.explore import explore
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from pgweave.scheduler import Body, GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from tests.pgweave.scheduler.raw_session import (
    FLUSH,
    SYNC,
    RawSession,
    extended,
    pipeline,
    raw_session,
    trusting_database,
)
from tests.pgweave.scheduler.test_prepared_apart import through_gate

Leaves = Callable[[RawSession, str, str], Coroutine[Any, Any, Any]]
"""Has a doctor leave, each driver in its way."""

SCHEMA = "CREATE TABLE doctors (id int PRIMARY KEY, on_call int NOT NULL); CREATE TABLE log (id int)"
LEAVE = "UPDATE doctors SET on_call = 0 WHERE id = {} AND (SELECT sum(on_call) FROM doctors) > 1"
WRITE_DOWN = "INSERT INTO log VALUES ({})"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with trusting_database(SCHEMA) as dsn:
        yield dsn


async def one_batch(session: RawSession, leave: str, write_down: str) -> None:
    await session.ask(pipeline([leave, write_down]))


async def sync_apart(session: RawSession, leave: str, write_down: str) -> None:
    await session.ask(extended(leave), FLUSH, ends="C")
    await session.ask(extended(write_down), FLUSH, ends="C")
    await session.ask(SYNC)


async def ends_with_housekeeping(session: RawSession, leave: str, write_down: str) -> None:
    await session.ask(pipeline([leave, write_down, "SELECT 1"]))


async def becomes_a_block(session: RawSession, leave: str, write_down: str) -> None:
    await session.ask(pipeline([leave, "BEGIN", write_down]))
    await session.query("COMMIT")


async def fails(session: RawSession, leave: str, _write_down: str) -> None:
    await session.ask(pipeline([leave, "SELECT 1/0 FROM log", "SELECT 2"]))


class Doctors:
    """Two doctors leave, each in a batch; the result is who is on call at the end."""

    processes = 2

    def __init__(self, dsn: str, gate: Gate, monitor: Monitor, leaves: Leaves) -> None:
        self.dsn, self.gate, self.monitor, self.leaves = dsn, gate, monitor, leaves
        self.catalog = read_catalog(dsn, "payment_clock")

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        async with AsyncExitStack() as stack:
            sessions = [
                (await stack.enter_async_context(raw_session(self.gate.socket_dsn)))[0] for _ in range(2)
            ]
            await sessions[0].query("TRUNCATE doctors, log; INSERT INTO doctors VALUES (1, 1), (2, 1)")
            bodies = [(f"doctor {n}", self.leaving(session, n)) for n, session in enumerate(sessions, 1)]
            database = GatedDatabase(self.gate, self.monitor, self.catalog, Turns(ours=True))
            run = await Run(bodies, database)(choose)
            on_call = [
                (await sessions[0].query(f"SELECT FROM doctors WHERE id = {n} AND on_call = 1"))[-2]
                for n in (1, 2)
            ]
        return Execution(run.steps, run.complete, tuple(on_call), strays=run.strays)

    def leaving(self, session: RawSession, number: int) -> Body:
        async def body(_process: Process) -> None:
            await self.leaves(session, LEAVE.format(number), WRITE_DOWN.format(number))

        return body


def outcomes(dsn: str, leaves: Leaves, strategy: Strategy) -> set[Any]:
    found = set()

    async def work(gate: Gate, monitor: Monitor) -> None:
        def note(run: Execution, _plan: object) -> None:
            found.add(run.result)

        report = await explore(Doctors(dsn, gate, monitor, leaves), strategy, on_execution=note)
        assert report.complete, report.divergences

    through_gate(dsn, work)
    return found


GONE, HERE = "C SELECT 0", "C SELECT 1"


@pytest.mark.parametrize("leaves", [one_batch, sync_apart, ends_with_housekeeping, becomes_a_block])
def test_no_end_is_lost(dsn: str, leaves: Leaves) -> None:
    found = outcomes(dsn, leaves, SourceDPOR())
    assert found == {(GONE, HERE), (HERE, GONE), (GONE, GONE)}
    assert found == outcomes(dsn, leaves, Naive())


def test_what_fails_on_the_way_leaves_nothing(dsn: str) -> None:
    assert outcomes(dsn, fails, SourceDPOR()) == outcomes(dsn, fails, Naive()) == {(HERE, HERE)}
