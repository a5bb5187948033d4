"""Deadlocks: who is ended is the schedule's choice, and never a matter of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scheduler import GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

SHARE = "SELECT value FROM items WHERE item_id = 1 FOR SHARE"
ADD = "UPDATE items SET value = value + 1 WHERE item_id = 1"
ATTEMPTS = 2


@pytest.fixture(scope="module")
def dsn(exploring_dsn: str) -> str:
    with psycopg.connect(exploring_dsn) as connection:
        connection.execute("CREATE TABLE items (item_id int PRIMARY KEY, value int NOT NULL)")
        connection.execute("INSERT INTO items VALUES (1, 0)")
    return exploring_dsn


class Upgraders:
    """Clients that all share a row's lock, then want it for themselves, and try again when they are ended."""

    def __init__(self, gate: Gate, monitor: Monitor, catalog: Catalog, processes: int) -> None:
        self.processes = processes
        self._database = GatedDatabase(gate, monitor, catalog, Turns(ours=True))

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        dsn = self._database.gate.socket_dsn
        connections = [
            await psycopg.AsyncConnection.connect(dsn, autocommit=True) for _ in range(self.processes)
        ]
        told: list[list[str]] = [[] for _ in connections]

        def body(number: int) -> Callable[[Process], Any]:
            async def add(_process: Process) -> None:
                for _ in range(ATTEMPTS):
                    told[number].append(await added(connections[number]))
                    if told[number][-1] == "added":
                        break

            return add

        try:
            bodies = [(f"client {number}", body(number)) for number in range(self.processes)]
            execution = await Run(bodies, self._database)(choose)
        finally:
            for connection in connections:
                await connection.close()
        return Execution(execution.steps, execution.complete, tuple(map(tuple, told)))


async def added(connection: psycopg.AsyncConnection) -> str:
    try:
        for statement in ("BEGIN", SHARE, ADD, "COMMIT"):
            await connection.execute(statement)
    except psycopg.errors.DeadlockDetected:
        await connection.execute("ROLLBACK")
        return "40P01"
    return "added"


def explored(dsn: str, processes: int, options: Options) -> tuple[Report, set[Any]]:
    outcomes: set[Any] = set()

    async def main() -> Report:
        async with Gate.open(dsn, is_scheduling_point) as gate, Monitor.connect(dsn) as monitor:
            return await explore(
                Upgraders(gate, monitor, read_catalog(dsn, "payment_clock"), processes),
                SourceDPOR(),
                on_execution=lambda run, _plan: outcomes.add(run.result),
                options=options,
            )

    report = asyncio.run(main())
    assert report.trustworthy, [*report.divergences, *report.nondeterminism]
    return report, outcomes


def test_each_of_two_clients_is_ended_in_some_schedule(dsn: str) -> None:
    report, outcomes = explored(dsn, 2, Options(rerun_every=2))
    once, ended = ("added",), ("40P01", "added")
    assert report.complete
    assert (report.schedules, outcomes) == (8, {(once, once), (once, ended), (ended, once)})


def test_three_clients_do_the_same_whenever_a_schedule_is_run_again(dsn: str) -> None:
    _, outcomes = explored(dsn, 3, Options(rerun_every=4, runs=60))
    assert any("40P01" in told for each in outcomes for told in each)


@pytest.mark.long
def test_three_clients_are_explored_to_the_end(dsn: str) -> None:
    report, outcomes = explored(dsn, 3, Options(rerun_every=20))
    assert (report.complete, report.schedules) == (True, 594)
    assert all(tuple(reversed(each)) in outcomes for each in outcomes)
