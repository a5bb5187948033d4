"""A step of one client ends the service's process, and with it the connections of the others."""

from __future__ import annotations

import asyncio

import psycopg

from pgweave.gate import Gate
from pgweave.interleavings.execution import Chooser, Execution
from pgweave.interleavings.strategy import FirstReady, SchedulePlan, perform
from pgweave.scheduler import GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

ADD = "UPDATE items SET value = value + 1 WHERE item_id = %s"


async def connected(gate: Gate) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True)


class LosesConnections:
    """The first client's statement ends all connections; then the second one asks again on another."""

    processes = 2

    def __init__(self, dsn: str, gate: Gate, monitor: Monitor) -> None:
        self._gate = gate
        self._database = GatedDatabase(gate, monitor, read_catalog(dsn), Turns(ours=True))

    async def run(self, choose: Chooser) -> Execution:
        async with await connected(self._gate) as one, await connected(self._gate) as other:
            return await self._run(one, other, choose)

    async def _run(
        self, one: psycopg.AsyncConnection, other: psycopg.AsyncConnection, choose: Chooser
    ) -> Execution:

        async def ends_all(_process: Process) -> None:
            await one.execute(ADD, [1])
            for session in list(self._gate.sessions):
                session.cut()

        async def asks_again(_process: Process) -> None:
            try:
                await other.execute(ADD, [2])
            except psycopg.OperationalError:
                async with await connected(self._gate) as another:
                    await another.execute(ADD, [2])

        run = Run([("ends all", ends_all), ("asks again", asks_again)], self._database)
        return await run(choose)


async def performed(dsn: str) -> Execution:
    async with Gate.open(dsn, is_scheduling_point) as gate, Monitor.connect(dsn) as monitor:
        plan = SchedulePlan((0,), FirstReady())
        return (await perform(LosesConnections(dsn, gate, monitor), plan)).execution


def test_who_has_lost_its_connection_before_its_step_goes_on(exploring_dsn: str) -> None:
    with psycopg.connect(exploring_dsn) as connection:
        connection.execute("CREATE TABLE items (item_id int PRIMARY KEY, value int NOT NULL)")
        connection.execute("INSERT INTO items VALUES (1, 0), (2, 0)")
    execution = asyncio.run(performed(exploring_dsn))
    with psycopg.connect(exploring_dsn) as connection:
        values = connection.execute("SELECT value FROM items ORDER BY item_id").fetchall()
    assert execution.complete
    assert [step.process for step in execution.steps] == [0, 1]
    assert values == [(1,), (1,)]
