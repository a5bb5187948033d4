"""Asks PostgreSQL which sessions wait for a lock that another session of the gate holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Self

import psycopg

# The function that PostgreSQL's own isolation tester asks: cheaper than pg_blocking_pids.
_BLOCKED = (
    b"SELECT pid FROM unnest($1::int[]) AS pid WHERE pg_isolation_test_session_is_blocked(pid, $2::int[])"
)


class Monitor:
    """A connection of the harness's own, past the gate.

    Attributes:
        seconds: how long its questions have taken, all together.
        questions: how many it has asked.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self._cursor = psycopg.AsyncRawCursor(connection)
        self.seconds = 0.0
        self.questions = 0

    @classmethod
    @asynccontextmanager
    async def connect(cls, dsn: str) -> AsyncIterator[Self]:
        """Open the connection; ``dsn`` leads to the database itself."""
        async with await psycopg.AsyncConnection.connect(
            dsn, autocommit=True, prepare_threshold=0, application_name="payments-verify monitor"
        ) as connection:
            yield cls(connection)

    @property
    def pid(self) -> int:
        """The server process of its own connection."""
        return self._connection.info.backend_pid

    async def terminate(self, pid: int) -> None:
        """End a server process, as an administrator does."""
        await self._cursor.execute(b"SELECT pg_terminate_backend($1)", [pid])

    async def is_alive(self, pid: int) -> bool:
        """Whether there is a server process of that number."""
        found = await self._cursor.execute(b"SELECT FROM pg_stat_activity WHERE pid = $1", [pid])
        return await found.fetchone() is not None

    async def blocked(self, waiting: Iterable[int], sessions: Iterable[int]) -> set[int]:
        """Which of the server processes ``waiting`` wait for a lock held by one of ``sessions``."""
        started = time.perf_counter()
        rows = await (await self._cursor.execute(_BLOCKED, (list(waiting), list(sessions)))).fetchall()
        self.seconds += time.perf_counter() - started
        self.questions += 1
        return {row[0] for row in rows}
