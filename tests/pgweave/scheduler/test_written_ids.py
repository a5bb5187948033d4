"""A service that writes the ids of a run into the text of its statements: the steps have the same names."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID, uuid4

import psycopg
import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scheduler import Body, Conditions, GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

NEW: Mapping[str, Callable[[], Hashable]] = {
    "uuid": uuid4,
    "text": lambda: f"pi_{b64encode(uuid4().bytes, b'xY').decode()[:22]}",
    "bigint": lambda: 10**17 + uuid4().int % 10**17,
}
"""Ids of columns of each type."""
NAMES: Mapping[str, Hashable] = {"uuid": UUID(int=0), "text": "payment-0", "bigint": 0}


def statements(kind: str, note: Hashable) -> tuple[str, ...]:
    return (
        "BEGIN",
        f"SELECT value FROM notes_{kind} WHERE note_id = '{note}' FOR UPDATE",
        f"UPDATE notes_{kind} SET value = value + 1 WHERE note_id = '{note}'",
        "COMMIT",
    )


@pytest.fixture(scope="module")
def dsn(exploring_dsn: str) -> str:
    with psycopg.connect(exploring_dsn) as connection:
        for kind in NEW:
            connection.execute(
                f"CREATE TABLE notes_{kind} (note_id {kind} PRIMARY KEY, value int NOT NULL)".encode()
            )
    return exploring_dsn


Names: TypeAlias = Callable[[Hashable], dict[Hashable, Hashable]]


class Increments:
    """Two sessions that increment a note which is new in each run."""

    processes = 2

    def __init__(
        self,
        database: GatedDatabase,
        sessions: list[psycopg.AsyncConnection],
        names: Names,
        kind: str,
    ) -> None:
        self._kind = kind
        self._database = database
        self._sessions = sessions
        self._names = names

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        note = NEW[self._kind]()
        await self._sessions[0].execute(f"INSERT INTO notes_{self._kind} VALUES ('{note}', 0)".encode())
        texts = statements(self._kind, note)
        bodies = [(f"session {n}", _body(session, texts)) for n, session in enumerate(self._sessions)]
        return await Run(bodies, self._database, conditions=Conditions(self._names(note)))(choose)


def _body(session: psycopg.AsyncConnection, texts: Sequence[str]) -> Body:
    async def run(_process: Process) -> None:
        for text in texts:
            await session.execute(text.encode())

    return run


def report(dsn: str, names: Names, kind: str) -> tuple[Report, set[str]]:
    labels: set[str] = set()

    async def main() -> Report:
        async with (
            asyncio.timeout(120),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
            await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True) as one,
            await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True) as other,
        ):
            database = GatedDatabase(gate, monitor, read_catalog(dsn, "payment_clock"), Turns(ours=True))
            return await explore(
                Increments(database, [one, other], names, kind),
                SourceDPOR(),
                on_execution=lambda run, _plan: labels.update(step.label for step in run.steps),
            )

    return asyncio.run(main()), labels


@pytest.mark.parametrize("kind", NEW)
def test_its_schedules_are_explored_to_the_end(dsn: str, kind: str) -> None:
    found, labels = report(dsn, lambda note: {note: NAMES[kind]}, kind)
    assert found.complete
    assert found.trustworthy
    assert labels == set(statements(kind, NAMES[kind]))


@pytest.mark.parametrize("kind", ["uuid", "text"])
def test_so_are_they_with_an_id_that_nobody_told_of(dsn: str, kind: str) -> None:
    told, _ = report(dsn, lambda note: {note: NAMES[kind]}, kind)
    found, _ = report(dsn, lambda _note: {}, kind)
    assert found.complete
    assert found.trustworthy
    assert found.schedules == told.schedules
