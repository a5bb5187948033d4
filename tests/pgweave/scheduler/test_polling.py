"""Clients that wait by asking again and again: the exploration ends, and misses no bug for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scheduler import Body, GatedDatabase, Limits, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

SCHEMA = """
    CREATE TABLE claims (key uuid PRIMARY KEY, done boolean NOT NULL DEFAULT false);
    CREATE TABLE works (work uuid PRIMARY KEY, times int NOT NULL DEFAULT 0);
"""
PERIOD_S = 0.02


@pytest.fixture(scope="module")
def dsn(exploring_dsn: str) -> str:
    with psycopg.connect(exploring_dsn, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    return exploring_dsn


Client = Callable[[psycopg.AsyncConnection, UUID], Any]


async def once(connection: psycopg.AsyncConnection, key: UUID, patience: int = 1_000) -> str:
    """Do the work, or wait until whoever claimed the key before has done it."""
    claim = b"INSERT INTO claims VALUES (%s) ON CONFLICT DO NOTHING"
    if (await connection.execute(claim, [key])).rowcount:
        await connection.execute("UPDATE works SET times = times + 1 WHERE work = %s", [key])
        await connection.execute("UPDATE claims SET done = true WHERE key = %s", [key])
        return "did it"
    for _ in range(patience):
        row = await (await connection.execute("SELECT done FROM claims WHERE key = %s", [key])).fetchone()
        if row is not None and row[0]:
            return "waited"
        await asyncio.sleep(PERIOD_S)
    return "gave up"


async def in_transactions(connection: psycopg.AsyncConnection, key: UUID) -> str:
    """The same, each question in a transaction of its own."""
    claim = b"INSERT INTO claims VALUES (%s) ON CONFLICT DO NOTHING"
    if (await connection.execute(claim, [key])).rowcount:
        await connection.execute("UPDATE claims SET done = true WHERE key = %s", [key])
        return "did it"
    while True:
        await connection.execute("BEGIN")
        look = b"SELECT done, clock_timestamp() FROM claims WHERE key = %s"  # never the same answer
        row = await (await connection.execute(look, [key])).fetchone()
        await connection.execute("COMMIT")
        if row is not None and row[0]:
            return "waited"
        await asyncio.sleep(PERIOD_S)


async def impatiently(connection: psycopg.AsyncConnection, key: UUID) -> str:
    """Wrong: after two looks it does the work itself."""
    told = await once(connection, key, patience=2)
    if told == "gave up":
        await connection.execute("UPDATE works SET times = times + 1 WHERE work = %s", [key])
    return told


class Clients:
    def __init__(self, gate: Gate, database: GatedDatabase, dsn: str, client: Client, processes: int) -> None:
        self.processes = processes
        self._gate, self._database, self._dsn, self._client = gate, database, dsn, client
        self.claimed = False

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        key = uuid4()
        with psycopg.connect(self._dsn, autocommit=True) as direct:
            direct.execute("INSERT INTO works VALUES (%s)", [key])
            if self.claimed:
                direct.execute("INSERT INTO claims VALUES (%s)", [key])
        connect, dsn = psycopg.AsyncConnection.connect, self._gate.socket_dsn
        connections = [await connect(dsn, autocommit=True) for _ in range(self.processes)]
        told = [""] * self.processes

        def body(number: int) -> Body:
            async def ask(_process: Process) -> None:
                told[number] = await self._client(connections[number], key)

            return ask

        try:
            bodies = [(f"client {number}", body(number)) for number in range(self.processes)]
            execution = await Run(bodies, self._database, limits=Limits(step=5))(choose)
            with psycopg.connect(self._dsn) as direct:
                row = direct.execute("SELECT times FROM works WHERE work = %s", [key]).fetchone()
        finally:
            for connection in connections:
                await connection.close()
        assert row is not None
        return Execution(execution.steps, execution.complete, (*told, row[0]))


def explored(
    dsn: str, client: Client, processes: int = 2, *, claimed: bool = False
) -> tuple[Report, set[Any]]:
    outcomes: set[Any] = set()

    async def main() -> Report:
        async with (
            asyncio.timeout(200),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
        ):
            database = GatedDatabase(gate, monitor, read_catalog(dsn, "payment_clock"), Turns(ours=True))
            program = Clients(gate, database, dsn, client, processes)
            program.claimed = claimed
            return await explore(
                program,
                SourceDPOR(),
                on_execution=lambda run, _plan: outcomes.add(run.result),
                options=Options(rerun_every=3, runs=500),
            )

    report = asyncio.run(main())
    assert report.trustworthy, [*report.divergences, *report.nondeterminism]
    assert report.complete
    return report, outcomes


@pytest.mark.parametrize(("client", "times"), [(once, 1), (in_transactions, 0)])
def test_one_works_and_the_other_waits_for_it(dsn: str, client: Client, times: int) -> None:
    _, outcomes = explored(dsn, client)
    assert outcomes == {("did it", "waited", times), ("waited", "did it", times)}


def test_one_that_asks_on_when_nobody_else_is_left_comes_to_its_end(dsn: str) -> None:
    async def client(connection: psycopg.AsyncConnection, key: UUID) -> str:
        return await once(connection, key, patience=30)

    report, outcomes = explored(dsn, client, 1, claimed=True)
    assert outcomes == {("gave up", 0)}
    assert report.deepest < 10


def test_one_that_does_not_wait_long_enough_is_found(dsn: str) -> None:
    _, outcomes = explored(dsn, impatiently)
    assert ("did it", "gave up", 2) in outcomes
    assert ("did it", "waited", 1) in outcomes
