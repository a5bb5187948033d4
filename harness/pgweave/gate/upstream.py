"""The server behind the gate: where it listens, and how a connection to it is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pgweave.database_url import DatabaseUrl


@dataclass(frozen=True)
class Upstream:
    """Where the server listens.

    Attributes:
        socket: the path of its Unix socket; none if it is reached through TCP.
        host: its host.
        port: its port.
    """

    socket: str | None
    host: str
    port: int

    @classmethod
    def of(cls, dsn: str) -> Upstream:
        """The server of a connection string."""
        url = DatabaseUrl.of(dsn)
        socket = f"{url.host}/.s.PGSQL.{url.port}" if url.host.startswith("/") else None
        return cls(socket, url.host, int(url.port))

    async def connect(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.WriteTransport:
        """Open a connection.

        Raises:
            OSError: if it cannot be reached.
        """
        loop = asyncio.get_running_loop()
        if self.socket is not None:
            transport, _ = await loop.create_unix_connection(protocol, self.socket)
            return transport
        tcp, _ = await loop.create_connection(protocol, self.host, self.port)
        return tcp
