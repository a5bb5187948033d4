"""The pool of connections: it tells how long requests wait, and takes back whatever state they come in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Protocol

from psycopg import Error
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg_pool import AsyncConnectionPool

from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.finishing import to_its_end


class Waits(Protocol):
    """Told how long requests wait, in seconds, and of conflicts; for metrics."""

    def pool_wait(self, seconds: float) -> None:
        """For a connection, got or not."""

    def lock_wait(self, seconds: float) -> None:
        """For the round trip that locks a payment."""

    def conflict(self) -> None:
        """A transaction was taken back because of others."""


class _Untold:
    def pool_wait(self, seconds: float) -> None: ...

    def lock_wait(self, seconds: float) -> None: ...

    def conflict(self) -> None: ...


UNTOLD: Waits = _Untold()
"""For who wants no metrics."""


class Pool(AsyncConnectionPool[Connection]):
    """A pool that tells how long requests wait for its connections."""

    waits: Waits = UNTOLD

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - the pool's
        """A connection, at most ``timeout`` seconds later."""
        asked = perf_counter()
        try:
            return await super().getconn(timeout)
        finally:
            self.waits.pool_wait(perf_counter() - asked)

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109
        """A connection for the block. The pool's own block would commit what this leaves uncommitted."""
        connection = await self.getconn(timeout)
        try:
            yield connection
        finally:
            await self.give_back(connection)

    async def give_back(self, connection: Connection) -> None:
        """Take a connection back; what is uncommitted is rolled back: only an explicit commit stores.

        A request that was cancelled may leave it in pipeline mode, where the next statement would seem to
        succeed, yet wait for a sync that never comes, and not be committed: it is closed.
        """
        try:
            if connection.pgconn.pipeline_status != PipelineStatus.OFF:
                connection.abandon()
            elif connection.pgconn.transaction_status != TransactionStatus.IDLE and not connection.closed:
                with suppress(Error):  # a connection that cannot do even that is closed by the pool
                    await connection.rollback()
        finally:
            # Cancelled on its way into the pool, it would be lost for good.
            await to_its_end(self.putconn(connection))
