"""What is served begins with a line of HTTP/1.0 or HTTP/1.1, whatever the parser takes for one."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from payments_core.entrypoints.http.observed import REJECTED
from payments_verify.patience import comes_true
from tests.support.protocol import LIMIT_S, served

pytestmark = pytest.mark.anyio

HOST = b"Host: localhost\r\n"
GET = b"GET /here HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was asked for, and the length of its body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    told = f"<{scope['method']} {scope['path']} {scope['http_version']} {len(body)}>".encode()
    fields = [(b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": told})


NO_HTTP = [
    b"GET /x RTSP/1.0",
    b"GET /x RTSP/1.1",
    b"POST /x RTSP/1.0",
    b"OPTIONS * RTSP/1.0",
    b"DESCRIBE /x RTSP/1.0",
    b"SOURCE /x ICE/1.0",
    b"SOURCE /x ICE/1.1",
    b"GET /x ICE/1.0",
    b"GET /x rtsp/1.0",
    b"GET /x http/1.1",
    b"GET /x HTTPS/1.1",
    b"GET /x SIP/2.0",
    b"GET /x HTTP/1.2",
    b"GET /x HTTP/0.9",
    b"GET /x HTTP/2.0",
    b"GET /x HTTP/2",
    b"PRI * HTTP/2.0",
    b"GET /x HTTP/1.01",
    b"GET /x HTTP/01.1",
    b"GET /x HTTP/1,1",
    b"GET /x HTTP/1.1 ",
    b"GET /x HTTP/1.1 HTTP/1.1",
    b"GET /x",
    b"GET  /x HTTP/1.1",
    b"GET /x  HTTP/1.1",
    b"GET\t/x HTTP/1.1",
    b"GET /x\tHTTP/1.1",
    b" GET /x HTTP/1.1",
    b"get /x HTTP/1.1",
    b"HTTP/1.1 200 OK",
]


BODY = b"x\r\n\r\nGET /x HTTP/1.0\r\n" + HOST
POST = b"POST /here HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
BEFORE = {"alone": b"", "after another": GET, "after a body that ends in a line": POST}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("cut", [0, 5])
async def test_any_other_line_is_refused(before: bytes, cut: int) -> None:
    async with served(echo) as running:
        for line in NO_HTTP:
            sent = before + line + b"\r\n" + HOST + b"\r\n"
            at = len(before) + len(line) - cut
            async with running.client() as client:
                await client.send(*(sent[:at], sent[at:]) if cut else (sent,))
                answers = await client.rest()
            assert b" /x " not in answers, line
            if before:  # the answer that is due comes first, and may be the last
                _, _, answers = answers.partition(b">")
            if answers or not before:
                assert answers.startswith(b"HTTP/1.1 400 "), line
                assert answers.count(b"/problems/malformed_http") == 1, line


async def test_it_is_counted_once_whatever_follows_it() -> None:
    rejected: list[str] = []
    goes_on = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        async def received() -> Message:
            message = await receive()
            await goes_on.wait()
            return message

        await echo(scope, received, send)

    async with served(waits) as running:
        running.server.lifespan.state[REJECTED] = rejected.append
        async with running.client() as client:
            await client.send(GET + b"NO HTTP\r\n\r\n", b"and", b"more")
            assert await comes_true(lambda: bool(rejected), LIMIT_S)
            await client.send(b"and", b"still", b"more")
            await asyncio.sleep(0.01)
            goes_on.set()
            await client.until(b"<GET /here 1.1 0>")
    assert rejected == ["malformed_http"]


SERVED = {
    "a field that ends like a line": (
        GET.replace(HOST, HOST + b"User-Agent: tv RTSP/1.0\r\n"),
        b"GET /here 1.1 0",
    ),
    "a field without a value": (GET.replace(HOST, b"A:\r\nB: \r\n" + HOST + b"C:\r\n"), b"GET /here 1.1 0"),
    "empty lines before": (b"\r\n\r\n" + GET, b"GET /here 1.1 0"),
    "an older version": (GET.replace(b"1.1", b"1.0"), b"GET /here 1.0 0"),
    "a body like a head": (
        b"POST /here HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 24\r\n\r\n"
        + b"GET /x RTSP/1.0\r\n\r\n\r\n\r\n\r",
        b"POST /here 1.1 24",
    ),
    "chunks like heads": (
        b"POST /here HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"4\r\n\r\n\r\n\r\n13\r\nGET /x RTSP/1.0\r\n\r\n\r\n0\r\nX: GET /x RTSP/1.0\r\n\r\n",
        b"POST /here 1.1 23",
    ),
    "an offer of another protocol": (
        b"POST /here HTTP/1.1\r\n"
        + HOST
        + b"Connection: upgrade\r\nUpgrade: RTSP/1.0\r\nContent-Length: 4\r\n"
        b"\r\n\r\n\r\n",
        b"POST /here 1.1 4",
    ),
}


@pytest.mark.parametrize("is_cut", [False, True])
async def test_what_only_looks_like_it_is_served(*, is_cut: bool) -> None:
    async with served(echo) as running:
        for name, (sent, told) in SERVED.items():
            parts = [sent[at : at + 1] for at in range(len(sent))] if is_cut else [sent]
            async with running.client() as client:
                await client.send(*parts)
                assert (await client.until(b">")).endswith(b"<%b>" % told), name
                if b" 1.0 " in told:
                    continue
                await client.send(LAST)
                assert (await client.rest()).endswith(b"<GET /last 1.1 0>"), name
