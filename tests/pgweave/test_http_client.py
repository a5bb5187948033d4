"""A request whose connection is closed as it is opened got no answer, whatever the libraries below raise."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress

import httpx
import pytest

from pgweave.service.http_client import http_client


def test_a_connection_that_is_closed_as_it_is_opened_is_a_transport_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def closed(_transport: httpx.AsyncHTTPTransport, _request: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    async def get() -> None:
        async with http_client("http://127.0.0.1:1", limit_s=1) as client:
            await client.get("/")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", closed)
    with pytest.raises(httpx.TransportError, match="closed as it was opened"):
        asyncio.run(get())


def test_a_connection_that_was_idle_is_not_used_again_when_the_server_may_just_end_it() -> None:
    accepted: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with http_client(f"http://127.0.0.1:{port}", limit_s=60, connections_kept=1) as http:
            await http.get("/")
            await asyncio.sleep(3)  # a server may keep it for 5 s, and the client asks in time
            await http.get("/")
        server.close()
        await asyncio.gather(*(each for each in accepted if each is not None))

    asyncio.run(main())
    assert len(accepted) == 2


@pytest.mark.parametrize(
    ("late_s", "kept", "answered"),
    [
        (-1.0, 1, True),
        (1.0, 1, False),  # the client was not late: the server has ended it without an answer
        (-1.0, 0, False),  # nobody could take a new connection for an idle one
    ],
    ids=["late on a kept connection", "in time", "on a new connection"],
)
def test_what_was_sent_late_on_a_kept_connection_is_sent_again(
    late_s: float, kept: int, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    accepted: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        accepted.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                asked += 1
                if asked == 2:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with http_client(f"http://127.0.0.1:{port}", limit_s=60, connections_kept=kept) as http:
                await http.get("/")
                await http.get("/")
        finally:
            server.close()
            await asyncio.gather(*(each for each in accepted if each is not None))

    monkeypatch.setattr("pgweave.service.http_client._LATE_S", late_s)
    with nullcontext() if answered else pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        asyncio.run(main())
    assert asked == (3 if answered else 2)
