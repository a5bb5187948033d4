"""Whatever a server sends: the client's own errors, within its time and memory, and nothing of it kept."""

from __future__ import annotations

import asyncio
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments_client import (
    AsyncPaymentsClient,
    PaymentsClient,
    PaymentsError,
    Policy,
    Refused,
    Unavailable,
    Unknown,
)
from tests.client.conftest import Blocking
from tests.support.hostile_server import SHAPES, HostileServer, answer, bombs, head

pytestmark = pytest.mark.anyio
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
PAYMENT = UUID(int=7)
DEADLINE_S = 0.4
SLACK_S = 10.0  # for a busy machine; what hangs, hangs for ever
MOST_BYTES = 24_000_000
POLICY = Policy(deadline_s=DEADLINE_S, first_wait_s=1.0)
COMMANDS: dict[str, Callable[[Any], Any]] = {
    "create": lambda client: client.create(500, PAYMENT),
    "authorize": lambda client: client.authorize(PAYMENT, 600),
    "capture": lambda client: client.capture(PAYMENT, 500, "key"),
    "fail": lambda client: client.fail(PAYMENT, "voided"),
    "read": lambda client: client.read(PAYMENT),
    "captures": lambda client: client.captures(PAYMENT),
}


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer.opened() as opened:
        yield opened


@pytest.fixture(params=["blocking", "asyncio"])
async def client(request: pytest.FixtureRequest, server: HostileServer) -> Any:
    """Each client; it gives up where it would wait."""
    server.requests.clear()
    options: dict[str, Any] = {"policy": POLICY, "draw": lambda _low, high: high}
    if request.param == "blocking":
        with PaymentsClient(server.url, "token", **options) as blocking:
            yield Blocking(blocking)
    else:
        async with AsyncPaymentsClient(server.url, "token", **options) as other:
            yield other


async def raised(client: Any, command: str) -> PaymentsError:
    """The error that a command ends with, within its time and memory."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(PaymentsError) as error:
            await COMMANDS[command](client)
        took = time.monotonic() - began
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < DEADLINE_S + SLACK_S
    assert most < MOST_BYTES
    assert type(error.value) in {Refused, Unavailable, Unknown}
    assert len(str(error.value)) < 1_000
    assert str(error.value).isprintable()
    return error.value


@pytest.mark.parametrize("name", SHAPES)
async def test_no_answer_is_taken_for_one(client: Any, server: HostileServer, name: str) -> None:
    server.shape = SHAPES[name]
    error = await raised(client, "capture")
    assert isinstance(error, Unknown)
    assert error.key == "key"
    assert isinstance(await raised(client, "captures"), Unavailable)


async def test_what_is_small_and_grows(client: Any, server: HostileServer) -> None:
    for shape in bombs().values():
        server.shape = shape
        assert isinstance(await raised(client, "capture"), Unknown)


async def test_nobody_else_gets_the_token(client: Any, server: HostileServer) -> None:
    with HostileServer.opened() as elsewhere:
        location = f"Location: {elsewhere.url}/payments"
        for status in (301, 302, 303, 307, 308):
            server.shape = partial(answer, status, b"", location, "Refresh: 0", "Set-Cookie: a=b")
            for command in COMMANDS:
                assert not isinstance(await raised(client, command), Refused)
        assert elsewhere.requests == []
    assert server.requests
    assert not any(b"cookie" in each.lower() for each in server.requests)


BODIES = {
    "nested arrays": b"[" * 60_000,
    "nested objects": b'{"a":' * 12_000,
    "nested arrays in a field that is new": b'{"new": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a number beyond any": b'{"amount_cents": ' + b"9" * 60_000 + b"}",
    "no number": b'{"amount_cents": NaN}',
    "an infinite number": b'{"amount_cents": -Infinity}',
    "half a character": b'{"title": "\\ud800"}',
    "no UTF-8": b'{"title": "\xff"}',
    "UTF-16": '{"title": ""}'.encode("utf-16"),
    "a mark before it": b"\xef\xbb\xbf{}",
    "two documents": b"{}{}",
    "an empty body": b"",
    "null": b"null",
    "a list": b"[]",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("command", COMMANDS)
async def test_no_document_is_taken_for_one(
    client: Any, server: HostileServer, command: str, body: bytes
) -> None:
    for status, content_type in (
        (200, "application/json"),
        (201, "application/json"),
        (409, "application/problem+json"),
        (422, "application/problem+json"),
        (500, "application/problem+json"),
    ):
        server.shape = partial(answer, status, body, content_type=content_type)
        error = await raised(client, command)
        assert isinstance(error, Unavailable if command in {"read", "captures"} else Unknown)


async def test_a_refusal_cannot_forge_the_log(client: Any, server: HostileServer) -> None:
    detail = "no\\r\\nERROR captured \\u001b[2J \\u2028" + "x" * 50_000
    body = f'{{"type": "/problems/already_captured", "status": 409, "detail": "{detail}"}}'.encode()
    server.shape = lambda: answer(409, body, content_type="application/problem+json")
    assert isinstance(await raised(client, "capture"), Refused)


# ---- drawn --------------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        b"HTTP/1.1 201 Created\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 409 X\r\n",
        b"HTTP/1.1 503 X\r\n",
        b"Content-Type: application/json\r\n",
        b"Content-Type: application/problem+json\r\n",
        b"Content-Length: 2\r\n",
        b"Content-Length: 70000\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Retry-After: 99999999999999999999\r\n",
        b"Idempotent-Replayed: maybe\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Set-Cookie: a=b\r\n",
        b"\r\n",
        b"2\r\n{}\r\n",
        b"0\r\n\r\n",
        b"{}",
        b"",
    ]
)
ANSWERS = st.lists(LINES | st.binary(max_size=40), max_size=12)


@pytest.mark.parametrize("flavour", ["blocking", "asyncio"])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=ANSWERS)
def test_any_bytes_end_as_an_error_of_the_clients_own(
    server: HostileServer, flavour: str, parts: list[bytes]
) -> None:
    server.shape = lambda: parts

    async def capture() -> None:
        options: dict[str, Any] = {"policy": POLICY, "draw": lambda _low, high: high}
        if flavour == "blocking":
            with PaymentsClient(server.url, **options) as payments:
                payments.capture(PAYMENT, 500, "key")
        else:
            async with AsyncPaymentsClient(server.url, **options) as others:
                await others.capture(PAYMENT, 500, "key")

    began = time.monotonic()
    with pytest.raises(PaymentsError):
        asyncio.run(capture())
    assert time.monotonic() - began < DEADLINE_S + SLACK_S


def test_a_head_is_what_it_is_taken_for(server: HostileServer) -> None:
    """The same server can be believed, so that what is refused above is refused for what it says."""
    body = (
        f'{{"payment_id": "{PAYMENT}", "outcome": "captured", "amount_cents": 500,'
        ' "captured_at": "2026-01-01T12:00:00Z", "new": 1}'
    ).encode()
    server.shape = lambda: answer(201, body, content_type='Application/JSON; Charset="UTF-8"')
    with PaymentsClient(server.url, policy=POLICY) as payments:
        assert payments.capture(PAYMENT, 500, "key").amount_cents == 500
    server.shape = lambda: [head(102), *answer(201, body, "Content-Encoding: identity", "Set-Cookie: a=b")]
    with PaymentsClient(server.url, policy=POLICY) as payments:
        assert payments.capture(PAYMENT, 500, "key").key == "key"
