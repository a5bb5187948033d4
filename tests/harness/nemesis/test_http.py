"""The client of the soak: whole responses, and an error for whatever is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
import uvloop

from payments_verify.binding.http import HttpAnswer
from payments_verify.nemesis.http import HttpPool

LIMIT_S = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: Yes\r\n\r\n{}"

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Use = Callable[[HttpPool], Awaitable[None]]


def play(handle: Handle, use: Use, limit_s: float = 5.0) -> None:
    """Let a client use a server that treats each connection so."""

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(LIMIT_S), HttpPool.of(url, "secret", limit_s) as pool:
            await use(pool)
        server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


class Server:
    """Answers every request on a connection, one after the other, and remembers them."""

    def __init__(self, *pieces: bytes, closes: bool = False) -> None:
        self.pieces = pieces
        self.closes = closes
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0] or 0)
                self.bodies.append(await reader.readexactly(length))
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


async def get(pool: HttpPool) -> HttpAnswer:
    return await pool.request("GET", "/payments", headers={}, json=None)


def test_requests_and_responses() -> None:
    server = Server(OK[:9], OK[9:30], OK[30:])

    async def use(pool: HttpPool) -> None:
        answer = await pool.request("POST", "/a/b", headers={"Idempotency-Key": "k 1"}, json={"n": 1})
        assert (answer.status_code, answer.text, answer.headers["x-seen"]) == (200, "{}", "Yes")
        await get(pool)

    play(server, use)
    head = server.heads[0].decode()
    assert head.startswith("POST /a/b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "\r\nAuthorization: Bearer secret\r\n" in head
    assert "\r\nIdempotency-Key: k 1\r\n" in head
    assert server.bodies == [b'{"n":1}', b""]
    assert server.connections == 1


def test_requests_at_a_time_have_connections_of_their_own() -> None:
    server = Server(OK)

    async def use(pool: HttpPool) -> None:
        for _ in range(2):
            await asyncio.gather(*(get(pool) for _ in range(3)))

    play(server, use)
    assert (server.connections, len(server.heads)) == (3, 6)


@pytest.mark.parametrize("answer", [OK.replace(b"X-Seen: Yes", b"Connection: close"), OK])
def test_a_connection_that_is_closed_is_not_used_again(answer: bytes) -> None:
    server = Server(answer, closes=True)

    async def use(pool: HttpPool) -> None:
        for _ in range(2):
            await get(pool)
            await asyncio.sleep(0.1)

    play(server, use)
    assert server.connections == 2


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([OK[:-1]], httpx.ReadError),
        ([], httpx.ReadError),
        ([b"SSH-2.0-hello\r\n"], httpx.RemoteProtocolError),
    ],
)
def test_what_is_no_whole_response(pieces: list[bytes], error: type[Exception]) -> None:
    async def use(pool: HttpPool) -> None:
        with pytest.raises(error):
            await get(pool)

    play(Server(*pieces, closes=True), use)


def test_nobody_listens() -> None:
    async def use(_pool: HttpPool) -> None:
        async with HttpPool.of("http://127.0.0.1:1", "secret", 5) as nowhere:
            with pytest.raises(httpx.ConnectError):
                await get(nowhere)

    play(Server(OK), use)


def test_an_answer_that_does_not_come_in_time_closes_the_connection() -> None:
    server = Server()

    async def use(pool: HttpPool) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await get(pool)
        server.pieces = (OK,)
        assert (await get(pool)).status_code == 200

    play(server, use, limit_s=0.3)
    assert server.connections == 2


def test_a_request_that_is_given_up_closes_its_connection() -> None:
    seen = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await reader.read()
        except ConnectionError:
            pass
        seen.set()
        writer.close()

    async def use(pool: HttpPool) -> None:
        request = asyncio.ensure_future(get(pool))
        await asyncio.sleep(0.1)
        assert not seen.is_set()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await seen.wait()

    play(handle, use)
