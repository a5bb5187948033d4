"""Asks PostgreSQL which sessions wait for a lock that another session of the gate holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Self

import psycopg
from psycopg import sql

# The function that PostgreSQL's own isolation tester asks: cheaper than pg_blocking_pids.
_BLOCKED = (
    b"SELECT pid FROM unnest($1::int[]) AS pid WHERE pg_isolation_test_session_is_blocked(pid, $2::int[])"
)
# The same where Citus has the database on several machines. A session works there by others, which are known
# by its number; its own process waits for those, and not for a lock.
_BLOCKED_ON_CITUS = b"""
    SELECT DISTINCT citus_pid_for_gpid(waiting_global_pid) FROM citus_internal.global_blocked_processes()
    WHERE citus_pid_for_gpid(waiting_global_pid) = ANY($1::int[])
      AND citus_pid_for_gpid(blocking_global_pid) = ANY($2::int[])
"""
_WAITING_ON_CITUS = b"""
    SELECT DISTINCT citus_pid_for_gpid(waiting_global_pid), citus_pid_for_gpid(blocking_global_pid)
    FROM citus_internal.global_blocked_processes()
    WHERE citus_pid_for_gpid(waiting_global_pid) = ANY($1::int[])
"""
_PATIENT = sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '1s'")
_AS_BEFORE = sql.SQL("ALTER DATABASE {} RESET deadlock_timeout")
# Who waits for whom at a lock that the other holds: where one is only ahead in the queue for it, PostgreSQL
# may let the queue change places, and nobody has to be ended.
_WAITING_FOR = b"""
    SELECT DISTINCT mine.pid, other.pid
    FROM pg_locks mine JOIN pg_locks other
      ON (mine.locktype, mine.database, mine.relation, mine.page, mine.tuple, mine.virtualxid,
          mine.transactionid, mine.classid, mine.objid, mine.objsubid) IS NOT DISTINCT FROM
         (other.locktype, other.database, other.relation, other.page, other.tuple, other.virtualxid,
          other.transactionid, other.classid, other.objid, other.objsubid)
    WHERE NOT mine.granted AND other.granted AND mine.pid = ANY($1::int[])
      AND other.pid = ANY(pg_blocking_pids(mine.pid))
"""
# Whatever the harness opens itself has a name that begins so. On Citus, nodes connect to one another.
_STRANGERS = b"""
    SELECT pid, application_name, coalesce(host(client_addr), 'a socket') FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND application_name NOT LIKE 'pgweave %' AND application_name NOT LIKE 'citus_%'
      AND NOT pid = ANY($1::int[])
"""


class Monitor:
    """A connection of the harness's own, past the gate.

    Attributes:
        seconds: how long its questions have taken, all together.
        questions: how many it has asked.
    """

    def __init__(self, connection: psycopg.AsyncConnection, *, on_citus: bool) -> None:
        self._connection = connection
        self._blocked = _BLOCKED_ON_CITUS if on_citus else _BLOCKED
        self._waiting_for = _WAITING_ON_CITUS if on_citus else _WAITING_FOR
        self._cursor = psycopg.AsyncRawCursor(connection)
        self.seconds = 0.0
        self.questions = 0

    @classmethod
    @asynccontextmanager
    async def connect(cls, dsn: str, *, ours: bool = True) -> AsyncIterator[Self]:
        """Open the connection.

        Args:
            dsn: leads to the database itself.
            ours: whether the database is the harness's own. Then PostgreSQL is kept from ending deadlocks of
                sessions that begin now, until those who schedule them have had the time to.
        """
        async with await psycopg.AsyncConnection.connect(
            dsn, autocommit=True, prepare_threshold=0, application_name="pgweave monitor"
        ) as connection:
            database = sql.Identifier(connection.info.dbname)
            if ours:
                await connection.execute(_PATIENT.format(database))
            try:
                found = await connection.execute("SELECT FROM pg_extension WHERE extname = 'citus'")
                yield cls(connection, on_citus=await found.fetchone() is not None)
            finally:
                if ours:
                    await connection.execute(_AS_BEFORE.format(database))

    @property
    def pid(self) -> int:
        """The server process of its own connection."""
        return self._connection.info.backend_pid

    async def terminate(self, pid: int) -> None:
        """End a server process, as an administrator does."""
        await self._cursor.execute(b"SELECT pg_terminate_backend($1::int)", [pid])

    async def cancel(self, pid: int) -> None:
        """Have a server process end its statement, as a client does who asks for it."""
        await self._cursor.execute(b"SELECT pg_cancel_backend($1::int)", [pid])

    async def waiting_for(self, pids: Iterable[int]) -> Mapping[int, frozenset[int]]:
        """For each of the server processes, which ones hold what it waits for."""
        rows = await (await self._cursor.execute(self._waiting_for, [_array(pids)])).fetchall()
        return {one: frozenset(other for each, other in rows if each == one) for one, _ in rows}

    async def strangers(self, known: Iterable[int]) -> Mapping[int, str]:
        """The clients of the database that are none of these server processes, for people."""
        rows = await (await self._cursor.execute(_STRANGERS, [_array(known)])).fetchall()
        return {
            pid: f"a connection of {name or 'no name'} from {there} (server process {pid})"
            for pid, name, there in rows
        }

    async def is_alive(self, pid: int) -> bool:
        """Whether there is a server process of that number."""
        found = await self._cursor.execute(b"SELECT FROM pg_stat_activity WHERE pid = $1", [pid])
        return await found.fetchone() is not None

    async def blocked(self, waiting: Iterable[int], sessions: Iterable[int]) -> set[int]:
        """Which of the server processes ``waiting`` wait for a lock held by one of ``sessions``."""
        started = time.perf_counter()
        asked = _array(waiting), _array(sessions)
        rows = await (await self._cursor.execute(self._blocked, asked)).fetchall()
        self.seconds += time.perf_counter() - started
        self.questions += 1
        return {row[0] for row in rows}


def _array(pids: Iterable[int]) -> str:
    """Numbers as PostgreSQL writes an array of them: the driver takes seven times as long for a list."""
    return f"{{{','.join(map(str, pids))}}}"
