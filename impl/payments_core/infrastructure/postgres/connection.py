"""A connection that batches use: it remembers what is prepared, and goes on watching its socket.

psycopg watches a connection's socket for the length of one wait. In uvloop the beginning and the end of that
are seven system calls, and a capture waits twice.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus
from psycopg.waiting import Ready, Wait

Row = tuple[Any, ...]
Result = TypeVar("Result")

_CANCEL_LIMIT_S = 5.0


class Connection(AsyncConnection[Row]):
    """A connection for batches.

    It is to be opened with ``prepare_threshold=None``: psycopg deallocates everything after a rollback, if it
    has prepared something of its own.

    Attributes:
        adaptation: of values to parameters, and of results to values.
        prepared: the names of the statements that are prepared.
        names: numbers for names that have not been used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's
        super().__init__(*args, **kwargs)
        self.adaptation = Transformer(self)
        self.prepared: dict[str, bytes] = {}
        self.names = count(1)
        self._watched: int | None = None
        self._arrival: asyncio.Future[None] | None = None

    async def converse(self, generator: PQGen[Result]) -> Result:
        """Run a generator that waits for the server, as ``wait`` does, and with the same care when cancelled.

        Raises:
            psycopg.Error: of the generator.
        """
        result: Result
        try:
            wanted = next(generator)
            while wanted == Wait.R:
                await self._arrived()
                wanted = generator.send(Ready.R)
        except StopIteration as ended:
            result = ended.value
            return result
        except asyncio.CancelledError:
            await self._give_up(generator)
            raise
        finally:
            if self.pgconn.status == ConnStatus.BAD:
                self._unwatch()  # libpq has closed the socket, and its number may soon be another's
        result = await self.wait(generator)  # there was more to send than the socket took: a rare case
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
        """Have the server end the statement, and hear it out."""
        try:
            await self.cancel_safe(timeout=_CANCEL_LIMIT_S)
            await self.wait(generator, timeout=_CANCEL_LIMIT_S)
        except BaseException:  # noqa: BLE001 - whatever it is, the cancellation is what the caller hears of
            self.abandon()

    async def _arrived(self) -> None:
        """Wait until there is something to receive, or may be."""
        loop = asyncio.get_running_loop()
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
