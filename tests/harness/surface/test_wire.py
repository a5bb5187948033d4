"""Requests as bytes are tried on a process, and each sees a server that frames them otherwise."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.types import ASGIApp, Message

from payments_core.entrypoints.http import limits, parsing, problems
from payments_core.entrypoints.http.protocol import BoundedProtocol
from payments_core.entrypoints.metrics import Metrics
from payments_verify.surface import Server, Witness, samples
from payments_verify.surface.exchange import Answer
from payments_verify.surface.wire import broken_on_the_wire, exchanges
from payments_verify.surface.written import PAYMENT, UNKNOWN
from payments_verify.systems import application, memory_store
from payments_verify.systems.asgi import ApplicationClient
from tests.support.protocol import served

_AMOUNT = {"amount_cents": 500}


async def begun(app: ASGIApp, state: dict[str, Any]) -> None:
    """Let an application begin as with a process, and leave in its state what it does; and end again."""
    messages = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> Message:
        return {"type": next(messages)}

    async def send(_message: Message) -> None: ...

    await app({"type": "lifespan", "state": state}, receive, send)


def told() -> str | None:
    async def run() -> str | None:
        store = memory_store.InMemoryPaymentStore(lambda: 0)
        witness = application.witnessed(store)
        carrier = witness.http
        assert isinstance(carrier, ApplicationClient)
        ids = {PAYMENT: str(uuid4()), UNKNOWN: str(uuid4())}
        await witness.request("PUT", f"/payments/{ids[PAYMENT]}", headers={}, json=_AMOUNT)
        async with served(carrier.app) as running:
            await begun(carrier.app, running.server.lifespan.state)
            server = Server("127.0.0.1", running.port, carrier.headers["Authorization"])
            return await broken_on_the_wire(witness, server, ids)

    return asyncio.run(run())


def test_the_service_as_it_is() -> None:
    assert told() is None


def never_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = BoundedProtocol.on_headers_complete

    def without(self: BoundedProtocol) -> None:
        self.expect_100_continue = False
        complete(self)
        self.cycle.waiting_for_100_continue = False

    monkeypatch.setattr("payments_verify.surface.exchange._PATIENCE_S", 0.5)
    monkeypatch.setattr(BoundedProtocol, "on_headers_complete", without)


def with_trailers(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = BoundedProtocol.on_headers_complete

    def with_what_follows(self: BoundedProtocol) -> None:
        complete(self)
        fields = self.scope["headers"]
        assert isinstance(fields, list)
        self.headers = fields

    monkeypatch.setattr(BoundedProtocol, "on_headers_complete", with_what_follows)


def any_coding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_is_coded", lambda _: False)


def fewer_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FIELDS", 99)


def longer_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_HEAD_BYTES", 16 * 1024 + 1)


def larger_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "BODY_LIMIT", 2**20)


def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metrics, "rejected", lambda *_: None)


def of_plain_json(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = problems.on_the_wire(problems.MALFORMED_HTTP, "no")
    plain = answer.replace(b"application/problem+json", b"application/json")
    monkeypatch.setattr("payments_core.entrypoints.http.protocol._NO_HTTP", plain)


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (never_asks, "I9: a body that waits to be asked for: no whole answer"),
        (with_trailers, "I4, I11: a key behind the body: expected 400"),
        (any_coding, "I4, I11: a coding that is unknown: expected 501"),
        (fewer_fields, "I9, I11: 100 fields: expected 200, got 431"),
        (longer_heads, "I9, I11: a target of "),
        (larger_bodies, "I11: a body of more, in chunks: expected 413"),
        (uncounted, "I12: 4 requests were refused as malformed_http, and 0 are counted"),
        (of_plain_json, "I4, I11: two lengths: header content-type: expected 'application/problem+json'"),
    ],
)
def test_what_is_read_otherwise_is_told(
    breaks: Callable[[pytest.MonkeyPatch], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    assert (told() or "").startswith(says)


async def no_metrics(_http: object) -> samples.Metrics:
    return ()


def test_every_exchange_is_seen_to_fail_where_all_is_taken() -> None:
    """A server that answers 202 to whatever ends a head."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 \r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    async def run() -> list[str]:
        async with httpx.AsyncClient() as http, await asyncio.start_server(answer, "127.0.0.1", 0) as running:
            server = Server("127.0.0.1", running.sockets[0].getsockname()[1], "Bearer x")
            witness = Witness(http)
            found = []
            for number in range(len(list(exchanges(0)))):
                monkey = pytest.MonkeyPatch()
                only = list(exchanges(0))[number]
                monkey.setattr("payments_verify.surface.wire.exchanges", lambda _, only=only: [only])
                monkey.setattr("payments_verify.surface.wire.metrics_of", no_metrics)
                found.append(await broken_on_the_wire(witness, server, {PAYMENT: "a", UNKNOWN: "b"}) or "")
                monkey.undo()
            return found

    told_of = asyncio.run(run())
    assert len(told_of) > 20
    assert all(re.fullmatch(r"I\d+.*: expected \d+.*, got 202 ", each) for each in told_of), told_of


def test_each_exchange_waits_for_an_answer() -> None:
    made = list(exchanges(0))
    assert all(isinstance(each.steps[-1], Answer) for each in made)
    assert len({each.what for each in made}) == len(made)
