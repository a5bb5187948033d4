"""Two captures of one payment as bare SQL, for the gate and for PostgreSQL's isolation tester."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg

from payments_core.infrastructure.postgres import statements as sql
from pgweave.interleavings.execution import Chooser, Execution
from pgweave.scheduler import Body, GatedDatabase, Process, Run

SESSIONS = 2
STEPS = ("begin", "lock", "find", "clock", "update", "insert", "commit")
_PAYMENT = "00000000-0000-4000-8000-000000000001"

SETUP = f"""
    SET session_replication_role = replica;
    DELETE FROM capture_attempts WHERE payment_id = '{_PAYMENT}';
    DELETE FROM payments WHERE payment_id = '{_PAYMENT}';
    RESET session_replication_role;
    INSERT INTO payments (payment_id, amount_cents) VALUES ('{_PAYMENT}', 500);
    UPDATE payments
    SET state = 'authorized', authorized_at = created_at, capture_expires_at = created_at + interval '60 s'
    WHERE payment_id = '{_PAYMENT}';
"""
"""Makes the payment anew; history stays only while triggers look."""


def session(number: int) -> tuple[str, ...]:
    """The statements of a session, one for each of `STEPS`: the service's, with the values written in.

    What the service decides between two of them is decided in SQL: a capture that comes second updates
    nothing, and stores that it was refused.
    """
    key = f"k{number}"
    find = f"""
        SELECT {sql.ATTEMPT_COLUMNS} FROM capture_attempts
        WHERE payment_id = '{_PAYMENT}' AND idempotency_key = '{key}'
    """
    update = f"""
        UPDATE payments SET state = 'captured', captured_at = payment_clock(), captured_amount_cents = 500
        WHERE payment_id = '{_PAYMENT}' AND state = 'authorized'
    """
    insert = f"""
        INSERT INTO capture_attempts ({sql.ATTEMPT_COLUMNS})
        SELECT '{_PAYMENT}', '{key}', 500, outcome, payment_clock(),
               CASE outcome WHEN 'captured' THEN 201 ELSE 409 END, ''
        FROM (SELECT CASE WHEN EXISTS (
                  SELECT FROM capture_attempts WHERE payment_id = '{_PAYMENT}' AND outcome = 'captured')
              THEN 'already_captured' ELSE 'captured' END AS outcome) AS decided
    """
    lock = sql.LOCK_PAYMENT.replace("%s", f"'{_PAYMENT}'")
    return sql.BEGIN, lock, find, sql.READ_CLOCK, update, insert, sql.COMMIT


class RawSessions:
    """The sessions as a program of the explorer, on connections that stay open."""

    processes = SESSIONS

    def __init__(
        self,
        database: GatedDatabase,
        control: psycopg.AsyncConnection,
        connections: Sequence[psycopg.AsyncConnection],
    ) -> None:
        self._database = database
        self._control = control
        self._bodies = [
            (f"session {number}", _body(connection, session(number)))
            for number, connection in enumerate(connections, start=1)
        ]

    async def run(self, choose: Chooser) -> Execution:
        """Make the payment anew and run both sessions."""
        await self._control.execute(SETUP.encode())
        return await Run(self._bodies, self._database)(choose)


def _body(connection: psycopg.AsyncConnection, statements: Sequence[str]) -> Body:
    async def run(_process: Process) -> None:
        for statement in statements:
            await connection.execute(statement.encode())

    return run


@asynccontextmanager
async def raw_sessions(database: GatedDatabase, dsn: str) -> AsyncIterator[RawSessions]:
    """The sessions, connected through the gate; ``dsn`` leads past it."""
    async with AsyncExitStack() as stack:
        control, *connections = [
            await stack.enter_async_context(
                await psycopg.AsyncConnection.connect(where, autocommit=True, prepare_threshold=None)
            )
            for where in (dsn, *[database.gate.socket_dsn] * SESSIONS)
        ]
        yield RawSessions(database, control, connections)
