"""The service's HTTP protocol in this process, below an application of the test's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from payments_core.entrypoints.http.connections import Connections
from payments_core.entrypoints.http.protocol import BoundedProtocol

LIMIT_S = 30.0


@dataclass
class Client:
    """One connection to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Send the parts, with a moment between."""
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(0.001)
            self.writer.write(part)
            await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        """What comes up to these bytes."""
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """What comes until it is closed."""
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.read()


@dataclass
class Served:
    """A server that runs.

    Attributes:
        server: uvicorn's; its ``shutdown`` is what SIGTERM leads to.
        port: its own.
    """

    server: uvicorn.Server
    port: int

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection for the block."""
        made = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield made
        finally:
            made.writer.transport.abort()


@asynccontextmanager
async def served(app: ASGIApp, connections: int = 100) -> AsyncIterator[Served]:
    """Serve an application for the block; afterwards the server has ended, and left nothing."""
    bound = partial(BoundedProtocol, connections=Connections(connections))
    config = uvicorn.Config(
        app,
        http=bound,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
        server_header=False,
        proxy_headers=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        await server.startup([listener])
        try:
            yield Served(server, port)
        finally:
            await server.shutdown([listener])
