"""The pool of connections: it tells how long requests wait, and takes back whatever state they come in."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any, Protocol

from psycopg import Error
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.finishing import ended

AT_HAND_S = 1.0
"""How long an unused connection is kept at hand, in seconds."""


class Waits(Protocol):
    """Measures how long requests wait, in seconds, and counts conflicts."""

    def pool_wait(self, seconds: float) -> None:
        """For a connection, got or not."""

    def lock_wait(self, seconds: float) -> None:
        """For the round trip that locks a payment."""

    def conflict(self) -> None:
        """A transaction was taken back because of others."""


class _NoMetrics:
    def pool_wait(self, seconds: float) -> None: ...

    def lock_wait(self, seconds: float) -> None: ...

    def conflict(self) -> None: ...


NO_METRICS: Waits = _NoMetrics()
"""Measures nothing."""


class PoolExhausted(PoolTimeout):
    """All connections that there are were in use: the database can be reached, and is kept busy."""


class Pool(AsyncConnectionPool[Connection]):
    """A pool that tells how long requests wait for its connections.

    What comes back is kept at hand for who comes next, unless somebody waits: the way into psycopg's pool and
    out of it costs a capture more than ten times as much. Every `AT_HAND_S` what is at hand goes back there,
    and is closed, replaced, given to others or left idle as that sees fit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's
        super().__init__(*args, **kwargs)
        self.waits: Waits = NO_METRICS
        self._at_hand: deque[Connection] = deque()
        self._waiting_for_one = 0
        self.in_use = 0
        self._timer: asyncio.TimerHandle | None = None
        self._returns: set[asyncio.Task[None]] = set()

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - the pool's
        """A connection whose session lives, at most ``timeout`` seconds later.

        The server may have ended any number of them meanwhile, all at once where it was restarted. Those are
        given up before anything is sent: nothing that might have been done is asked for a second time.

        Raises:
            PoolExhausted: if all that there are were in use for so long.
            PoolTimeout: if there are none.
        """
        while self._at_hand:
            connection = self._at_hand.popleft()
            if not connection.has_ended():
                self.waits.pool_wait(0.0)
                self.in_use += 1
                return connection
            await self._discard(connection)
        asked = perf_counter()
        self._waiting_for_one += 1
        until = asked + (self.timeout if timeout is None else timeout)
        try:
            while (connection := await super().getconn(until - perf_counter())).has_ended():
                await self._discard(connection)
        except PoolTimeout:
            if self.in_use:
                raise PoolExhausted(f"all {self.in_use} connections are in use") from None
            raise
        else:
            self.in_use += 1
            return connection
        finally:
            self._waiting_for_one -= 1
            self.waits.pool_wait(perf_counter() - asked)

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109
        """Lend a connection for the block. psycopg_pool's own block would commit an open transaction."""
        connection = await self.getconn(timeout)
        try:
            yield connection
        finally:
            await self.give_back(connection)

    async def give_back(self, connection: Connection) -> None:
        """Take a connection back, and roll an open transaction back: only an explicit commit stores.

        A request that was cancelled may leave it in pipeline mode, where the next statement would seem to
        succeed, yet wait for a sync that never comes, and not be committed: it is closed.
        """
        self.in_use -= 1
        pgconn = connection.pgconn
        try:
            if pgconn.pipeline_status != PipelineStatus.OFF:
                connection.abandon()
            elif pgconn.transaction_status != TransactionStatus.IDLE and not connection.closed:
                with suppress(Error):  # a connection that cannot do even that is closed by the pool
                    await connection.rollback()
        finally:
            if self._waiting_for_one or self.closed or pgconn.transaction_status != TransactionStatus.IDLE:
                # Cancelled on its way into the pool, it would be lost for good.
                await ended(asyncio.ensure_future(self.putconn(connection)))
            else:
                self._keep(connection)

    async def _discard(self, connection: Connection) -> None:
        """Have the pool put another in its place."""
        connection.abandon()
        await ended(asyncio.ensure_future(self.putconn(connection)))

    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks of an open pool that make its connections, and replace them."""
        scheduler = [] if self._sched_runner is None else [self._sched_runner]
        return [*self._workers, *scheduler]

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - the pool's
        """Close the pool and its connections. One that is in use is closed when it is given back."""
        self._workers = [task for task in self._workers if not task.done()]  # whose error would end this
        if self._sched_runner is not None and self._sched_runner.done():
            self._sched_runner = None
        await super().close(timeout)
        if self._timer is not None:
            self._timer.cancel()
            self._return_all()
        await asyncio.gather(*self._returns)

    def _keep(self, connection: Connection) -> None:
        self._at_hand.append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(AT_HAND_S, self._return_all)

    def _return_all(self) -> None:
        self._timer = None
        while self._at_hand:
            task = asyncio.create_task(self.putconn(self._at_hand.popleft()))
            self._returns.add(task)
            task.add_done_callback(self._returns.discard)
