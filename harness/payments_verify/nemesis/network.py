"""A TCP proxy between the service and its database that cuts, delays, swallows and redirects.

It knows one thing about what passes: how PostgreSQL says that a COMMIT is done. That is enough to lose
exactly that answer.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""CommandComplete of a COMMIT, as the server sends it."""

_SO_ATTACH_FILTER = 26  # Linux: the socket module has no name for it
_ACKNOWLEDGED_S = 0.25
_KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # a packet filter of one instruction: return 0 bytes


class Network:
    """The way from the service to its database.

    Attributes:
        port: where it listens, on loopback.
        upstream: where it leads to; connections that are open stay with the server they have.
        delay_s: how long every byte is kept, in each direction.
        cut_requests: how many of the next messages from the service are lost, with their connections.
        halve_requests: how many of the next messages are cut in half, with their connections after them.
        lose_commits: how many of the next answers to COMMIT are lost, with their connections.
        open: whether new connections are taken; otherwise they are closed at once.
        is_deaf: whether what comes from the service is swallowed, while answers still go to it.
        stalled: whether nothing moves: bytes wait, connections stay.
        cuts: connections that were cut so far, by whatever of these.
    """

    def __init__(self) -> None:
        self.port = 0
        self.upstream = ("127.0.0.1", 0)
        self.delay_s = 0.0
        self.cut_requests = 0
        self.halve_requests = 0
        self.lose_commits = 0
        self.open = True
        self.is_deaf = False
        self.stalled = False
        self.cuts = 0
        self._listening = -1
        self.links: set[Link] = set()

    @classmethod
    @asynccontextmanager
    async def between(cls, upstream: tuple[str, int]) -> AsyncIterator[Network]:
        """A way to ``upstream``, until the block ends.

        Raises:
            OSError: if it cannot listen.
        """
        network = cls()
        network.upstream = upstream
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _End(network), "127.0.0.1", 0)
        network.port = server.sockets[0].getsockname()[1]
        network._listening = server.sockets[0].fileno()
        try:
            yield network
        finally:
            server.close()
            network.cut_all()

    def cut_all(self) -> int:
        """Cut every connection now; how many there were."""
        links = list(self.links)
        for link in links:
            link.cut(counted=True)
        return len(links)

    def deaden(self) -> int:
        """Let every connection of now swallow whatever comes, for good, without anybody being told."""
        for link in self.links:
            link.is_dead = True
        return len(self.links)

    async def drop_packets(self) -> None:
        """Have the system drop every packet that comes from the service, for good: nothing is acknowledged.

        What goes to the service is acknowledged before: the system would send it again and again, and the
        service would take that for a sign of life.
        """
        self.deaden()
        await asyncio.sleep(_ACKNOWLEDGED_S)
        self.deaden()
        _drop_packets(self._listening)
        for link in self.links:
            link.drop_packets()

    def resume(self) -> None:
        """Let everything flow again after ``stalled``."""
        self.stalled = False
        for link in list(self.links):
            link.flush()

    def opened(self, link: Link) -> None:
        """A connection of the service has come."""
        self.links.add(link)

    def closed(self, link: Link) -> None:
        """A connection has ended."""
        self.links.discard(link)


class _End(asyncio.Protocol):
    """One end of a connection; the service's end makes the link."""

    def __init__(self, network: Network, link: Link | None = None) -> None:
        self._network = network
        self._link = link
        self._is_service = link is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)
        if self._link is not None:
            self._link.connected(made)
        elif not self._network.open:
            made.abort()
        else:
            self._link = Link(self._network, made)

    def data_received(self, data: bytes) -> None:
        if self._link is not None:
            self._link.received(data, from_service=self._is_service)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._link is not None:
            self._link.lost(from_service=self._is_service)


class _Lane:
    """Carries bytes one way, in their order, not before they are due, and then the end.

    Args:
        network: the way.
        to: where they go.
        at_end: is called once the end is told.
    """

    def __init__(self, network: Network, to: asyncio.Transport | None, at_end: Callable[[], None]) -> None:
        self.to = to
        self._at_end = at_end
        self._ends = False
        self._network = network
        self._pending: deque[tuple[float, bytes]] = deque()
        self._comes_again = False

    def carry(self, data: bytes) -> None:
        """Take bytes to carry."""
        self._pending.append((asyncio.get_running_loop().time() + self._network.delay_s, data))
        self.flush()

    def end(self) -> None:
        """Nothing more comes: tell so, behind what is on the way."""
        self._ends = True
        self.flush()

    def flush(self) -> None:
        """Deliver what is due, and come again for the rest."""
        if self._network.stalled or self.to is None:
            return
        if self.to.is_closing():
            self._pending.clear()
            self._tell_end()
            return
        loop = asyncio.get_running_loop()
        while self._pending and self._pending[0][0] <= loop.time():
            self.to.write(self._pending.popleft()[1])
        if self._pending and not self._comes_again:
            self._comes_again = True
            loop.call_at(self._pending[0][0], self._come_again)
        self._tell_end()

    def _tell_end(self) -> None:
        if self._ends and not self._pending and self.to is not None:
            self._ends = False
            self.to.close()
            self._at_end()

    def _come_again(self) -> None:
        self._comes_again = False
        self.flush()


class Link:
    """A connection of the service, and the one to the server that belongs to it.

    Attributes:
        is_dead: whether it swallows what comes.
    """

    def __init__(self, network: Network, service: asyncio.Transport) -> None:
        self._network = network
        self.to_service = _Lane(network, service, self._ended)
        self.to_server = _Lane(network, None, self._ended)
        self._tail = b""
        self._is_cut = False
        self.is_dead = False
        network.opened(self)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        host, port = self._network.upstream
        try:
            await loop.create_connection(lambda: _End(self._network, self), host, port)
        except OSError:
            self.cut()

    def connected(self, server: asyncio.Transport) -> None:
        """The server has taken the connection."""
        if self._is_cut:
            server.abort()
            return
        self.to_server.to = server
        self.flush()

    def drop_packets(self) -> None:
        """Have the system drop every packet that comes from the service."""
        if self.to_service.to is not None:
            _drop_packets(self.to_service.to.get_extra_info("socket").fileno())

    def received(self, data: bytes, *, from_service: bool) -> None:
        """Bytes have come from one side."""
        network = self._network
        if self._is_cut or self.is_dead or (from_service and network.is_deaf):
            return
        if from_service and network.cut_requests > 0:
            network.cut_requests -= 1
            self.cut(counted=True)
        elif from_service and network.halve_requests > 0 and len(data) > 1 and self.to_server.to is not None:
            network.halve_requests -= 1
            self.to_server.to.write(data[: len(data) // 2])
            self.cut(counted=True, gently=True)
        elif not from_service and self.is_commit(data) and network.lose_commits > 0:
            network.lose_commits -= 1
            self.cut(counted=True)
        else:
            (self.to_server if from_service else self.to_service).carry(data)

    def is_commit(self, data: bytes) -> bool:
        """Whether the tag of a COMMIT ends in this piece; it may have begun in the one before."""
        seen = self._tail + data
        self._tail = seen[-len(COMMITTED) + 1 :]
        return COMMITTED in seen

    def flush(self) -> None:
        """Send on what had to wait."""
        self.to_server.flush()
        self.to_service.flush()

    def cut(self, *, counted: bool = False, gently: bool = False) -> None:
        """End both sides now; ``gently``: what was written to the server still reaches it."""
        if self._is_cut:
            return
        self._is_cut = True
        self._network.cuts += counted
        self._network.closed(self)
        if self.to_service.to is not None:
            self.to_service.to.abort()
        if self.to_server.to is not None:
            self.to_server.to.close() if gently else self.to_server.to.abort()

    def lost(self, *, from_service: bool) -> None:
        """One side has ended, so the other ends as well, after what was sent to it has arrived."""
        if self._is_cut or (self.is_dead and not from_service):
            return  # nobody is told what happens behind a dead connection
        (self.to_server if from_service else self.to_service).end()

    def _ended(self) -> None:
        if not self._is_cut:
            self._is_cut = True
            self._network.closed(self)


def _drop_packets(descriptor: int) -> None:
    """Attach a filter to a socket that keeps nothing of what arrives, not even the wish to connect."""
    filter_ = ctypes.create_string_buffer(_KEEP_NOTHING, len(_KEEP_NOTHING))
    with socket.socket(fileno=os.dup(descriptor)) as own:
        program = struct.pack("HL", 1, ctypes.addressof(filter_))
        own.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
