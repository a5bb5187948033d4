"""Requests to cancel a statement: each goes on to the server at once, or is kept until told."""

from __future__ import annotations

import asyncio

from pgweave.gate.upstream import Upstream


class CancelRequests:
    """The requests to cancel that come to a gate.

    Args:
        upstream: where the server listens.

    Attributes:
        are_kept: whether those that come wait in the gate until `deliver`, as on a slow way.
        kept: those that wait; each is done when the server has ended it.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.are_kept = False
        self.kept: list[asyncio.Future[None]] = []
        self._upstream = upstream
        self._delivery = asyncio.Event()

    async def hand_on(self, packet: bytes, client: asyncio.WriteTransport) -> None:
        """Hand a request on to the server, even if its client has left meanwhile.

        The client's connection is closed once the server has closed its own, as it would without the gate: a
        client that sends its next statement before would have that one cancelled.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            if self.are_kept:
                self.kept.append(done)
                await self._delivery.wait()
            await self._sent(packet)
        except OSError:
            pass
        finally:
            client.close()
            done.set_result(None)

    async def deliver(self) -> None:
        """Hand on what was kept, keep no more, and return when the server has ended each."""
        delivered, self.kept, self.are_kept = self.kept, [], False
        self._delivery.set()
        self._delivery = asyncio.Event()
        if delivered:
            await asyncio.wait(delivered)

    async def _sent(self, packet: bytes) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        transport = await self._upstream.connect(lambda: _ServerSide(ended))
        try:
            transport.write(packet)
            await ended
        finally:
            transport.close()


class _ServerSide(asyncio.Protocol):
    def __init__(self, ended: asyncio.Future[None]) -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
