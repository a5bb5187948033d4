"""Faults of the database server and its sessions."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import ClassVar

from payments_verify.nemesis.fault import Fault
from payments_verify.systems import SERVICE_LOGIN, Connection

_BEAT_S = 0.1
SESSIONS = "FROM pg_stat_activity WHERE usename = %s AND backend_type = 'client backend'"


async def count_of(connection: Connection, query: str, *parameters: object) -> int:
    """The single number that a query gives; 0 for none."""
    row = await (await connection.execute(query.encode(), parameters)).fetchone()
    return int(str(row[0])) if row is not None and row[0] is not None else 0


class ImmediateStop(Fault):
    """The server ends as in a crash."""

    name = "immediate stop"
    about = "the postmaster is stopped immediate, and started again: recovery from the log"
    side = "database"
    hold_s = (0.0, 2.0)

    async def inject(self) -> None:
        """Stop it."""
        await self.deployment.cluster.stop(immediate=True)
        self.effects = 1

    async def heal(self) -> None:
        """Start it."""
        await self.deployment.cluster.start()


class FastRestart(Fault):
    """The server is restarted as for a change of its configuration."""

    name = "restart"
    about = "the postmaster is stopped in order, and started again"
    side = "database"
    hold_s = (0.0, 1.0)

    async def inject(self) -> None:
        """Stop it."""
        await self.deployment.cluster.stop(immediate=False)
        self.effects = 1

    async def heal(self) -> None:
        """Start it."""
        await self.deployment.cluster.start()


class _Signalled(Fault):
    """Signals some of the service's sessions, again and again."""

    side = "database"
    function: ClassVar[str]

    async def inject(self) -> None:
        """Nothing yet."""

    async def hold(self, seconds: float) -> None:
        """Signal about every second session at each beat."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        some = f"SELECT {self.function}(pid) AS done {SESSIONS} AND random() < 0.5"
        query = f"SELECT count(*) FROM ({some}) AS signalled WHERE done"  # noqa: S608 - constants
        async with self.deployment.cluster.connect() as connection:
            while loop.time() < until:
                self.effects += await count_of(connection, query, SERVICE_LOGIN)
                await asyncio.sleep(self.rng.uniform(0, 2 * _BEAT_S))


class Terminated(_Signalled):
    """An administrator ends sessions."""

    name = "terminated"
    about = "sessions are ended by pg_terminate_backend"
    function = "pg_terminate_backend"


class Cancelled(_Signalled):
    """An administrator cancels statements."""

    name = "cancelled"
    about = "statements are cancelled by pg_cancel_backend"
    function = "pg_cancel_backend"


class FullPool(Fault):
    """Every connection of the service waits for a lock."""

    name = "full pool"
    about = "a session locks the table of payments: all pooled connections wait, and requests behind them"
    side = "database"
    hold_s = (1.0, 3.0)

    async def inject(self) -> None:
        """Take the lock."""
        self._stack = AsyncExitStack()
        connection = await self._stack.enter_async_context(self.deployment.cluster.connect())
        await connection.execute(b"BEGIN")
        await connection.execute(b"LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")

    async def hold(self, seconds: float) -> None:
        """See how many wait for it in the end."""
        await asyncio.sleep(seconds)
        async with self.deployment.cluster.connect() as connection:
            waiting = f"SELECT count(*) {SESSIONS} AND wait_event_type = 'Lock'"
            self.effects = await count_of(connection, waiting, SERVICE_LOGIN)

    async def heal(self) -> None:
        """Give it back, by the end of the session."""
        await self._stack.aclose()
