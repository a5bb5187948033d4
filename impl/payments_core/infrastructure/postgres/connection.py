"""A connection that batches use: it remembers what is prepared, and goes on watching its socket.

psycopg watches a connection's socket for the length of one wait. In uvloop the beginning and the end of that
are seven system calls, and a capture waits twice.
"""

from __future__ import annotations

import asyncio
import secrets
import select
from functools import partial
from itertools import count
from typing import Any, Self, TypeVar

from psycopg import AsyncConnection, OperationalError
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import Diagnostic
from psycopg.pq import ConnStatus
from psycopg.waiting import Ready, Wait, wait_async

from payments_core.infrastructure.postgres.finishing import ended
from payments_core.infrastructure.postgres.hosts import each_host, first_of

Row = tuple[Any, ...]
Result = TypeVar("Result")

_ASK_AGAIN_S = 0.05
_PATIENCE_S = 5.0


class Connection(AsyncConnection[Row]):
    """A connection for batches.

    It is to be opened with ``prepare_threshold=None``: psycopg deallocates everything after a rollback, if it
    has prepared something of its own.

    Attributes:
        adaptation: of values to parameters, and of results to values.
        prepared: the names of the statements that are prepared.
        names: for statements, that nobody has used: not even in a session that a pooler lends to several.
        opening: the statement that begins every transaction, where a session is only lent for one; nothing
            is prepared then.
        warnings: of the server, and its last words, which whoever asks for them clears.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's
        super().__init__(*args, **kwargs)
        self.adaptation = Transformer(self)
        self.prepared: dict[str, bytes] = {}
        own = secrets.token_hex(4)
        self.names = (f"payments_{own}_{number}".encode() for number in count(1))
        self.opening: str | None = None
        self.warnings: list[str | None] = []
        self.add_notice_handler(partial(_note_warning, self.warnings))
        self._incoming = select.poll()
        self._incoming.register(self.pgconn.socket, select.POLLIN)
        self._watched: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrival: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:  # noqa: ANN401 - the base class's
        """Open a connection: of several hosts, to the first that takes it. A silent one delays no other.

        Raises:
            psycopg.Error: no host takes it.
        """
        open_one = super().connect
        hosts = each_host(conninfo)
        if len(hosts) == 1:
            return await open_one(conninfo, **kwargs)
        return await first_of([partial(open_one, conninfo, **{**kwargs, **host}) for host in hosts])

    def has_ended(self) -> bool:
        """Whether the server has ended the session, as far as its messages tell. For an idle connection.

        The server sends a warning before it drops a session in a crash, and a reason when it ends one
        otherwise. Other messages do not matter here.
        """
        self.warnings.clear()
        try:
            while self._incoming.poll(0):
                self.pgconn.consume_input()
                self.pgconn.is_busy()  # reads what has come
        except OperationalError:
            return True
        return bool(self.warnings)

    async def converse(self, generator: PQGen[Result]) -> Result:
        """Run a generator that waits for the server. If the caller is cancelled, end it in the database.

        Raises:
            psycopg.Error: of the generator.
        """
        result: Result
        try:
            wanted = next(generator)
            while wanted == Wait.R:
                await self._arrived()
                wanted = generator.send(Ready.R)
                while wanted == Wait.R and self._incoming.poll(0):
                    # All of it now: uvloop tells of a socket in error once, and then watches it no more.
                    wanted = generator.send(Ready.R)
            self._unwatch()
            result = await wait_async(generator, self.pgconn.socket)  # more than the socket took: rare
        except StopIteration as ended:
            result = ended.value
        except asyncio.CancelledError:
            await self._give_up(generator)
            raise
        finally:
            if self.pgconn.status == ConnStatus.BAD:
                self._unwatch()  # libpq has closed the socket, and its number may soon be another's
        return result

    async def wait(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the base class's
        """Run a generator of psycopg, which watches the socket itself."""
        self._unwatch()
        return await super().wait(*args, **kwargs)

    async def close(self) -> None:
        """Close the connection."""
        self._unwatch()
        await super().close()

    def abandon(self) -> None:
        """Close the connection at once: it owes answers that nobody waits for."""
        self._unwatch()
        self.pgconn.finish()

    async def _give_up(self, generator: PQGen[Any]) -> None:
        """Cancel the statement, and wait for its end even if the caller is cancelled again."""
        self._unwatch()
        await ended(asyncio.create_task(self._end(generator)))

    async def _end(self, generator: PQGen[Any]) -> None:
        """Repeat the cancel request until it works: one between two statements is ignored.

        One that has not come to its end may still be on its way, and end what would be the next statement.
        """
        is_under_way = False
        hearing = asyncio.create_task(wait_async(generator, self.pgconn.socket))
        clock = asyncio.get_running_loop().time
        limit = clock() + _PATIENCE_S
        while not hearing.done() and clock() < limit:
            asking = asyncio.create_task(self.cancel_safe(timeout=_PATIENCE_S))
            await asyncio.wait([hearing, asking], return_when=asyncio.FIRST_COMPLETED)
            if self.pgconn.status == ConnStatus.BAD:
                asking.cancel()  # where the connection is lost, nobody may answer this either
            [failure] = await asyncio.gather(asking, return_exceptions=True)  # it is asked again
            is_under_way |= failure is not None
            await asyncio.wait([hearing], timeout=_ASK_AGAIN_S)
        if not hearing.done():
            hearing.cancel()
            await asyncio.wait([hearing])
        if not hearing.cancelled():
            hearing.exception()  # of the statement that was ended, or of the connection: nobody asks
        if is_under_way or hearing.cancelled():
            self.abandon()

    async def _arrived(self) -> None:
        """Wait until there is something to receive, or may be."""
        loop = self._loop
        if loop is None:  # asked for once: up to Python 3.11 that is a call of the system
            loop = self._loop = asyncio.get_running_loop()
        self._arrival = loop.create_future()
        if self._watched is None:
            self._watched = self.pgconn.socket
            loop.add_reader(self._watched, self._on_arrival)
        await self._arrival

    def _on_arrival(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is None:
            self._unwatch()  # nobody waits: the next batch will see what has come
        elif not arrival.done():
            arrival.set_result(None)

    def _unwatch(self) -> None:
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None


def _note_warning(warnings: list[str | None], diagnostic: Diagnostic) -> None:
    if diagnostic.severity_nonlocalized in {"WARNING", "FATAL"}:
        warnings.append(diagnostic.message_primary)
