"""A client that calls an ASGI application in this process: no sockets, no framing, no pool of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
from starlette.types import ASGIApp, Message

from payments_verify.binding.http import HttpAnswer


class ApplicationClient:
    """Calls an application as a server would, one request at a time in each task.

    Args:
        app: the application; its lifespan is the caller's.
        headers: that every request has.
        connection: what the server says of the connection, where it is not the default: ``client``,
            ``server``, ``scheme``.
    """

    def __init__(
        self,
        app: ASGIApp,
        headers: Mapping[str, str] | None = None,
        connection: Mapping[str, Any] | None = None,
    ) -> None:
        self.app = app
        self.headers = dict(headers or {})
        self._connection = dict(connection or {})
        self._spaced: set[str] = set()

    async def request(
        self,
        method: str,
        path: str,
        /,
        *,
        headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]],
        json: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> HttpAnswer:
        """Send a request and collect the response.

        Args:
            method: the method.
            path: the path, with its query.
            headers: beside those of every request, in whose place those of the same name are.
            json: the body, to be written.
            content: the body, as it is; its type is for the fields to say.

        Raises:
            httpx.RemoteProtocolError: the application ended without a response.
        """
        fields = list(_fields(headers))
        call = _Call(content or b"")
        if json is not None:
            call.body = self._encoded(path, json)
            fields.append((b"content-type", b"application/json"))
        given = {name for name, _ in fields}
        fields = [*(each for each in _fields(self.headers) if each[0] not in given), *fields]
        error: BaseException | None = None
        try:
            scope = _scope(method, path, fields, call.body) | self._connection
            await self.app(scope, call.receive, call.send)
        except asyncio.CancelledError as raised:
            if _is_cancelled():
                raise
            error = raised  # of something else, for which the application has waited
        except Exception as raised:  # noqa: BLE001 - a server too lives on when a request fails
            error = raised
        if call.status is None:
            raise httpx.RemoteProtocolError("the application ended without a response") from error
        named: dict[str, str] = {}
        for field, shown in call.headers:
            name, value = field.decode("latin-1"), shown.decode("latin-1")
            named[name] = f"{named[name]}, {value}" if name in named else value
        return HttpAnswer(call.status, named, bytes(call.content))

    def _encoded(self, path: str, json: Mapping[str, Any]) -> bytes:
        """The body, every other one to a path with spaces: the same request need not be the same bytes."""
        encoded = msgspec.json.encode(json)
        if path in self._spaced:
            self._spaced.remove(path)
            return msgspec.json.format(encoded, indent=1)
        self._spaced.add(path)
        return encoded


def _is_cancelled() -> bool:
    """Whether it is the running task that somebody cancels."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Call:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = bytearray()

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            self.content += message.get("body", b"")


def _fields(
    headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]],
) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(headers, Mapping):
        headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    yield from ((name.lower(), value) for name, value in headers)


def _scope(method: str, path: str, raw: list[tuple[bytes, bytes]], body: bytes) -> dict[str, Any]:
    path, _, query = path.partition("?")
    if not any(name == b"host" for name, _ in raw):
        raw = [(b"host", b"payments"), *raw]
    if body:
        raw = [*raw, (b"content-length", str(len(body)).encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),  # as servers have it
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": raw,
        "client": ("127.0.0.1", 0),
        "server": ("payments", 80),
    }
