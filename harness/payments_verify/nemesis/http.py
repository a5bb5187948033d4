"""An HTTP/1.1 client for one process of the service that costs little beside what it loads.

A general client costs this harness more than the service and its database together, and what is measured then
is the harness. It gives up a request by closing its connection, which is what clients that leave do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import httptools
import httpx
import msgspec

from payments_verify.binding.http import HttpAnswer


class HttpPool:
    """Connections to one process; each request has one of its own for as long as it takes.

    Args:
        host: where it serves.
        port: on which port.
        token: what lets a client in.
        limit_s: how long a request may take, in seconds.
    """

    def __init__(self, host: str, port: int, token: str, limit_s: float) -> None:
        self._address = host, port
        self._common = f"Host: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
        self._limit_s = limit_s
        self._idle: list[_Connection] = []

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str, token: str, limit_s: float) -> AsyncIterator[HttpPool]:
        """The connections to ``url``, which close when the block ends."""
        parsed = httpx.URL(url)
        pool = cls(parsed.host, parsed.port or 80, token, limit_s)
        try:
            yield pool
        finally:
            for connection in pool._idle:
                connection.close()

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> HttpAnswer:
        """Send a request once, and wait for the whole response. Cancelled, it closes the connection.

        Raises:
            httpx.TransportError: if there is no whole response, or not in time.
        """
        sent = self._encode(method, path, headers, json)
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._limit_s):
                connection = self._reused() or await self._connected()
                answer = await connection.ask(sent)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, TimeoutError):
                raise httpx.ReadTimeout(f"no answer within {self._limit_s:g} s") from error
            if isinstance(error, OSError):
                raise httpx.ConnectError(str(error)) from error
            raise
        if connection.is_usable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _encode(
        self, method: str, path: str, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\n{self._common}{fields}"
        if json is None:
            return f"{head}\r\n".encode("latin-1")
        body = msgspec.json.encode(json)
        described = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"{head}{described}".encode("latin-1") + body

    def _reused(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, *self._address)
        return connection


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.is_usable = True
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[HttpAnswer] | None = None
        self._parser: Any = None
        self._headers: dict[str, str] = {}
        self._body = b""

    async def ask(self, sent: bytes) -> HttpAnswer:
        """Send a request, and wait for its response."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, b""
        self._transport.write(sent)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """Close it at once."""
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio's side --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; none are expected unless a request waits."""
        if self._waiting is None:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(f"no HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """It has closed."""
        self._fail(httpx.ReadError(str(error or "the connection was closed")))

    def _fail(self, error: httpx.TransportError) -> None:
        self.is_usable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    # ---- the parser's side -----------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The response is whole."""
        self.is_usable = self.is_usable and self._parser.should_keep_alive()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(HttpAnswer(self._parser.get_status_code(), self._headers, self._body))
