"""The end of a process: what came whole is answered, and nobody who is slow keeps it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.types import Receive, Scope, Send

from payments_core.entrypoints.http import protocol
from tests.support.protocol import Served, served

pytestmark = pytest.mark.anyio

HOST = b"Host: localhost\r\n"
GET = b"GET /here HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /here HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n"
LARGE = 8 * 1024 * 1024


class App:
    """Answers when it may.

    Attributes:
        begun: set once a request is worked on.
        may_answer: what it waits for.
        size: of an answer.
    """

    def __init__(self, size: int = 4) -> None:
        self.begun, self.may_answer = asyncio.Event(), asyncio.Event()
        self.size = size

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.begun.set()
        await self.may_answer.wait()
        fields = [(b"content-length", b"%d" % self.size)]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"!" * self.size})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(protocol, "_ENDING_LIMIT_S", 0.2)
    caplog.set_level(logging.INFO, "uvicorn.error")


async def ended(running: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Let it end; nobody has to be cut off by the server's own limit."""
    await running.server.shutdown([])
    assert not running.server.server_state.connections
    assert "graceful shutdown exceeded" not in caplog.text


SLOW = {
    "a head": (POST[:30], 408),
    "a body": (POST + b"ab", 408),
    "a body that is asked for": (POST.replace(HOST, HOST + b"Expect: 100-continue\r\n"), 408),
    "chunks": (POST.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"1\r\nx\r\n", 408),
}


@pytest.mark.parametrize(("sent", "status"), SLOW.values(), ids=SLOW)
async def test_what_does_not_come_is_not_waited_for(
    sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(App()) as running, running.client() as client:
        await client.send(sent)
        await asyncio.sleep(0.1)
        await ended(running, caplog)
        answers = (await client.rest()).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        assert answers.startswith(b"HTTP/1.1 %d " % status)
        assert answers.count(b"HTTP/1.1 ") == 1


async def test_what_comes_in_time_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(protocol, "_ENDING_LIMIT_S", 20.0)
    app = App()
    app.may_answer.set()
    async with served(app) as running, running.client() as client:
        await client.send(POST + b"ab")
        await asyncio.sleep(0.1)
        ending = asyncio.create_task(ended(running, caplog))
        await asyncio.sleep(0.1)
        await client.send(b"cd")
        assert (await client.rest()).endswith(b"!!!!")
        await ending


@pytest.mark.parametrize("rest", [b"", GET[:10], POST + b"ab", GET + POST + b"ab"])
async def test_what_came_whole_is_answered_and_what_follows_it_is_not_waited_for(
    rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    async with served(app) as running, running.client() as client:
        await client.send(GET + rest)
        await app.begun.wait()
        ending = asyncio.create_task(ended(running, caplog))
        await asyncio.sleep(0.5)
        assert not ending.done()
        app.may_answer.set()
        answers = await client.rest()
        assert answers.count(b"HTTP/1.1 200 ") == 1 + rest.startswith(GET)
        assert answers.endswith(b"!!!!")
        await ending


async def test_what_came_with_a_request_that_has_been_answered_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    app.may_answer.set()
    async with served(app) as running, running.client() as client:
        await client.send(GET * 3 + POST + b"ab")
        for _ in range(3):
            await client.until(b"!!!!")
        await ended(running, caplog)


@pytest.mark.parametrize("requests", [1, 5])
async def test_an_answer_that_nobody_reads_is_not_waited_for(
    requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(LARGE)
    app.may_answer.set()
    async with served(app) as running, running.client() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET * requests)
        await app.begun.wait()
        await asyncio.sleep(0.1)
        await ended(running, caplog)


async def test_an_answer_that_is_read_is_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(protocol, "_ENDING_LIMIT_S", 20.0)
    app = App(LARGE)
    async with served(app) as running, running.client() as client:
        await client.send(GET)
        await app.begun.wait()
        ending = asyncio.create_task(ended(running, caplog))
        await asyncio.sleep(0.1)
        app.may_answer.set()
        assert (await client.rest()).count(b"!") == LARGE
        await ending
