"""A service that writes the ids of a run into the text of its statements: the steps have the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from payments_verify.systems import EXPLORING, prepared_database
from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scheduler import Body, Conditions, GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog import Catalog
from pgweave.sql.footprints import is_scheduling_point
from tests.support.postgres import chosen_bin_dir

NAME = UUID(int=0)
STATEMENTS = (
    "BEGIN",
    "SELECT value FROM notes WHERE note_id = '{}' FOR UPDATE",
    "UPDATE notes SET value = value + 1 WHERE note_id = '{}'",
    "COMMIT",
)


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE notes (note_id uuid PRIMARY KEY, value int NOT NULL)")
        yield dsn


class Increments:
    """Two sessions that increment a note which is new in each run."""

    processes = 2

    def __init__(
        self,
        database: GatedDatabase,
        sessions: list[psycopg.AsyncConnection],
        names: Callable[[UUID], dict[Hashable, Hashable]],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._names = names

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        note = uuid4()
        await self._sessions[0].execute(f"INSERT INTO notes VALUES ('{note}', 0)".encode())
        bodies = [(f"session {n}", _body(session, note)) for n, session in enumerate(self._sessions)]
        return await Run(bodies, self._database, conditions=Conditions(self._names(note)))(choose)


def _body(session: psycopg.AsyncConnection, note: UUID) -> Body:
    async def run(_process: Process) -> None:
        for statement in STATEMENTS:
            await session.execute(statement.format(note).encode())

    return run


def report(dsn: str, names: Callable[[UUID], dict[Hashable, Hashable]]) -> tuple[Report, set[str]]:
    labels: set[str] = set()

    async def main() -> Report:
        async with (
            asyncio.timeout(120),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
            await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True) as one,
            await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True) as other,
        ):
            database = GatedDatabase(gate, monitor, Catalog.load(dsn, "payment_clock"), Turns(ours=True))
            return await explore(
                Increments(database, [one, other], names),
                SourceDPOR(),
                on_execution=lambda run, _plan: labels.update(step.label for step in run.steps),
            )

    return asyncio.run(main()), labels


def test_its_schedules_are_explored_to_the_end(dsn: str) -> None:
    found, labels = report(dsn, lambda note: {note: NAME})
    assert found.complete
    assert found.trustworthy
    assert labels == {statement.format(NAME) for statement in STATEMENTS}


def test_so_are_they_with_an_id_that_nobody_told_of(dsn: str) -> None:
    told, _ = report(dsn, lambda note: {note: NAME})
    found, _ = report(dsn, lambda _note: {})
    assert found.complete
    assert found.trustworthy
    assert found.schedules == told.schedules
