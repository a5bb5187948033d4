"""Runs of raw sessions through the gate: who waits, who wakes, how deadlocks end; nothing hangs."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution, SchedulingError
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.explore import explore
from pgweave.interleavings.replay import replay
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from pgweave.scheduler import Body, GatedDatabase, Limits, Monitor, Process, Run, Turns
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

LOCK = "SELECT FROM items WHERE item_id = %s FOR UPDATE"
ADD = "UPDATE items SET value = value + 1 WHERE item_id = %s"


@pytest.fixture(scope="module")
def dsn(exploring_dsn: str) -> str:
    with psycopg.connect(exploring_dsn) as connection:
        connection.execute("CREATE TABLE items (item_id int PRIMARY KEY, value int NOT NULL)")
        connection.execute("INSERT INTO items VALUES (1, 0), (2, 0)")
    return exploring_dsn


class Sessions:
    """Sessions that run scripts of statements, as a program; the result is what each session was told."""

    def __init__(self, dsn: str, gate: Gate, monitor: Monitor, scripts: Sequence[Sequence[Any]]) -> None:
        self._dsn = dsn
        self._gate = gate
        self._monitor = monitor
        self._scripts = scripts

    @property
    def processes(self) -> int:
        return len(self._scripts)

    async def run(self, choose: Callable[..., int | None]) -> Execution:
        told: list[list[str]] = [[] for _ in self._scripts]
        connections = [await connected(self._gate) for _ in self._scripts]
        try:
            bodies = [
                (f"session {index}", script(connections[index], statements, told[index]))
                for index, statements in enumerate(self._scripts)
            ]
            catalog = read_catalog(self._dsn, "payment_clock")
            run = Run(bodies, GatedDatabase(self._gate, self._monitor, catalog, Turns(ours=True)))
            execution = await run(choose)
        finally:
            for connection in connections:
                await connection.close()
        return Execution(execution.steps, execution.complete, tuple(map(tuple, told)))


async def connected(gate: Gate) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True)


def script(connection: psycopg.AsyncConnection, statements: Sequence[Any], told: list[str]) -> Body:
    async def body(_process: Process) -> None:
        for sql, *values in statements:
            try:
                cursor = await connection.execute(sql, values)
            except psycopg.Error as error:
                told.append(str(error.sqlstate))
            else:
                rows = await cursor.fetchall() if cursor.description else None
                told.append(f"{cursor.statusmessage} {rows}" if rows else str(cursor.statusmessage))

    return body


def outcomes(dsn: str, scripts: Sequence[Sequence[Any]], strategy: Strategy) -> tuple[set[Any], int, str]:
    async def main() -> tuple[set[Any], int, str]:
        seen: set[Any] = set()
        async with (
            asyncio.timeout(120),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
        ):
            program = Sessions(dsn, gate, monitor, scripts)
            report = await explore(program, strategy, on_execution=lambda run, _plan: seen.add(run.result))
        assert report.complete, report.divergences
        return seen, report.schedules, "\n".join(report.divergences)

    return asyncio.run(main())


def one_run(dsn: str, scripts: Sequence[Sequence[Any]], schedule: Sequence[int]) -> Execution:
    async def main() -> Execution:
        async with (
            asyncio.timeout(60),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
        ):
            return await replay(Sessions(dsn, gate, monitor, scripts), schedule)

    return asyncio.run(main())


def locking(*items: int) -> list[Any]:
    return [("BEGIN",), *((LOCK, item) for item in items), ("ROLLBACK",)]


def test_a_waiting_statement_is_seen_and_woken_by_whoever_lets_it_go(dsn: str) -> None:
    run = one_run(dsn, [locking(1), locking(1)], [0, 0, 1, 1, 0, 1])
    assert [step.blocked for step in run.steps] == [False, False, False, True, False, False]
    assert [step.woke for step in run.steps] == [(), (), (), (), (1,), ()]


def test_several_waiters_are_served_in_the_order_in_which_they_came(dsn: str) -> None:
    writing = [("BEGIN",), (ADD, 1), ("COMMIT",)]
    for first, second in ((1, 2), (2, 1)):
        for _ in range(5):
            schedule = [0, 0, first, first, second, second, 0, first, second]
            run = one_run(dsn, [writing, writing, writing], schedule)
            assert [step.woke for step in run.steps][6:8] == [(first,), (second,)]


def test_a_deadlock_is_an_outcome(dsn: str) -> None:
    scripts = [locking(1, 2), locking(2, 1)]
    seen, _, _ = outcomes(dsn, scripts, Naive())
    fine = ("BEGIN", "SELECT 1", "SELECT 1", "ROLLBACK")
    victim = ("BEGIN", "SELECT 1", "40P01", "ROLLBACK")
    assert (fine, fine) in seen
    assert {(fine, victim), (victim, fine)} & seen
    assert {told for both in seen for told in both} == {fine, victim}
    assert outcomes(dsn, scripts, SourceDPOR())[0] == seen


def test_a_serialization_failure_is_an_outcome(dsn: str) -> None:
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    writing = [(begin,), (ADD, 2), ("COMMIT",)]
    seen, _, _ = outcomes(dsn, [writing, writing], Naive())
    assert any("40001" in told for both in seen for told in both)
    assert outcomes(dsn, [writing, writing], SourceDPOR())[0] == seen


def test_a_duplicate_key_is_an_outcome_and_the_order_of_commits_decides(dsn: str) -> None:
    insert = ("INSERT INTO items VALUES (%s, 0)", 3)
    scripts = [[("BEGIN",), insert, ("ROLLBACK",)], [("BEGIN",), insert, ("ROLLBACK",)]]
    seen, schedules, _ = outcomes(dsn, scripts, SourceDPOR())
    assert seen == {(("BEGIN", "INSERT 0 1", "ROLLBACK"),) * 2}
    assert schedules > 1


def failing(dsn: str, body: Callable[[Gate], Body], limits: Limits) -> str:
    async def main() -> str:
        async with (
            asyncio.timeout(30),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
        ):
            database = GatedDatabase(gate, monitor, read_catalog(dsn, "payment_clock"), Turns(ours=False))
            run = Run([("client", body(gate))], database, limits=limits)
            with pytest.raises(SchedulingError) as error:
                await run(lambda situation: min(situation.ready))
            return str(error.value)

    return asyncio.run(main())


def test_a_half_sent_message_ends_the_run_and_says_who_waits_for_what(dsn: str) -> None:
    def body(gate: Gate) -> Body:
        async def send_half(_process: Process) -> None:
            connection = await connected(gate)
            try:
                raw = connection.fileno()
                loop = asyncio.get_running_loop()
                half = b"Q" + struct.pack("!i", 100) + b"SELECT"
                with open(raw, "wb", closefd=False, buffering=0) as out:  # noqa: ASYNC230 - a socket's
                    out.write(half)
                await loop.create_future()
            finally:
                await connection.close()

        return send_half

    said = failing(dsn, body, Limits(step=0.5, stall=20))
    assert "process 0 (client): waits inside the service" in said
    assert "11 bytes of a message that has not come to its end" in said


def test_a_body_that_fails_ends_the_run_while_others_wait_for_what_it_holds(dsn: str) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(30),
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn) as monitor,
            await connected(gate) as holding,
            await connected(gate) as waiting,
        ):

            async def fail(_process: Process) -> None:
                await holding.execute("BEGIN")
                await holding.execute(LOCK, [1])
                await holding.execute("SELECT 1 FROM items")
                raise ValueError("of the body")

            bodies = [("fails", fail), ("waits", script(waiting, [(LOCK, 1)], []))]
            run = Run(
                bodies, GatedDatabase(gate, monitor, read_catalog(dsn, "payment_clock"), Turns(ours=False))
            )
            order = iter([0, 0, 1])
            with pytest.raises(ValueError, match="of the body"):
                await run(lambda _situation: next(order, 0))

    asyncio.run(main())


def test_a_statement_that_takes_too_long_ends_the_run(dsn: str) -> None:
    def body(gate: Gate) -> Body:
        async def sleep(_process: Process) -> None:
            connection = await connected(gate)
            try:
                await connection.execute("SELECT pg_sleep(3)")
            finally:
                await connection.close()

        return sleep

    assert "waits for the answer to SELECT pg_sleep(3)" in failing(dsn, body, Limits(step=0.5))
