"""The application over memory, served in a thread whose event loop's time is moved on, and its clients."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from uuid import UUID, uuid4

import uvicorn
from starlette.types import ASGIApp

from payments_core.entrypoints.serving import bound, server_config
from payments_core.entrypoints.settings import Settings
from payments_verify.patience import patient
from payments_verify.surface import Server, Witness
from payments_verify.surface.exchange import Answer, filled, until_ended, wrong_answer
from payments_verify.surface.written import PAYMENT, UNKNOWN
from payments_verify.systems.application import OwnTokens, witnessed
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.whole.stopped_time import StoppedLoop, StoppedTime, stopped_loop

CONNECTIONS = 4
"""As many connections, and requests, may there be at a time."""
ENDED = "the connection ended"
"""What is wrong with an answer that cannot come."""
_PATIENCE_S = 10.0
_TIME = StoppedTime()
_JSON = (("Content-Type", b"application/json"),)

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Served:
    """The application over memory, the server that serves it, and clients.

    Attributes:
        loop: in which all of them are.
        store: the payments.
        witness: of the application.
        server: where it listens.
        uvicorn: what serves it.
        task: that of the server.
        payment: an authorized payment of 500 cents.
        meant: what placeholders stand for.
    """

    loop: StoppedLoop
    store: InMemoryPaymentStore
    witness: Witness
    server: Server
    uvicorn: uvicorn.Server
    task: asyncio.Task[None]
    payment: UUID
    meant: Mapping[str, str]

    @asynccontextmanager
    async def sent(self, *requests: bytes) -> AsyncIterator[list[Connection]]:
        """A connection for each of these, which is sent before the next one is opened."""
        opened: list[Connection] = []
        async with self._closed_afterwards(opened):
            for each in requests:
                opened.append(await asyncio.open_connection(self.server.host, self.server.port))
                opened[-1][1].write(filled(each, self.meant))
                await self.loop.rest()
            yield opened

    @asynccontextmanager
    async def sent_at_once(self, *requests: bytes) -> AsyncIterator[list[Connection]]:
        """A connection for each of these; all of them come together."""
        at = self.server.host, self.server.port
        opened = await asyncio.gather(*(asyncio.open_connection(*at) for _ in requests))
        async with self._closed_afterwards(opened):
            for (_, writer), each in zip(opened, requests, strict=True):
                writer.write(filled(each, self.meant))
            await self.loop.rest()
            yield opened

    @asynccontextmanager
    async def _closed_afterwards(self, opened: Sequence[Connection]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for _, writer in opened:
                writer.close()
            await self.loop.rest()

    async def answered(
        self, connection: Connection, answer: Answer, rest: bytes = b"", patience_s: float | None = None
    ) -> str | None:
        """What is wrong with the answer to a request of which this is the rest; ``None`` if nothing is."""
        reader, writer = connection
        reading = asyncio.create_task(wrong_answer(self.witness, reader, answer))
        await asyncio.sleep(0)  # what has come already may be lost once the rest is sent
        writer.write(filled(rest, self.meant))
        try:
            return await _TIME.within(patient(patience_s or _PATIENCE_S), reading)
        except TimeoutError:
            return f"no answer within {patience_s or _PATIENCE_S:g} s"
        except (OSError, EOFError) as error:
            return f"{ENDED}: {type(error).__name__}"

    async def is_ended(self, connection: Connection, patience_s: float | None = None) -> bool:
        """Whether the server ends a connection, and says nothing before."""
        limit_s = patient(patience_s or _PATIENCE_S)
        try:
            return await _TIME.within(limit_s, until_ended(connection[0])) == 0
        except TimeoutError:
            return False


@asynccontextmanager
async def moved_server(connections: int = CONNECTIONS) -> AsyncIterator[Served]:
    """Serve within the block, with a token that allows everything and an authorized payment of 500 cents.

    Args:
        connections: as many, and as many requests, may there be at a time.
    """
    loop = stopped_loop()
    store, payment, tokens = InMemoryPaymentStore(lambda: 0), uuid4(), OwnTokens.make()
    witness = witnessed(store, made_tokens=tokens, max_requests=connections)
    settings = Settings(max_connections=connections, log_level="error")
    with bound("127.0.0.1", 0) as listeners:
        config = server_config(listeners, 1, settings, partial(_app, witness))
        config.callback_notify = None  # it would print where it serves
        if sys.platform == "linux":  # who says nothing has to come to the server, too
            listeners[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)
        host, port = listeners[0].getsockname()[:2]
        at = Server(host, port, f"Bearer {tokens.own}")
        meant = {
            "{host}": f"{at.host}:{at.port}",
            "{authorization}": at.authorization,
            PAYMENT: str(payment),
            UNKNOWN: str(uuid4()),
        }
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(listeners))
        await loop.rest()
        path = f"/payments/{payment}"
        await witness.write("PUT", path, _JSON, b'{"amount_cents": 500}')
        await witness.write("POST", f"{path}/authorize", _JSON, b'{"capture_window_seconds": 60}')
        try:
            yield Served(loop, store, witness, at, server, task, payment, meant)
        finally:
            server.should_exit = True
            while not task.done():
                await loop.pause(1)
            task.result()


def _app(witness: Witness) -> ASGIApp:
    assert isinstance(witness.http, ApplicationClient)
    return witness.http.app
