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
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from payments_core.entrypoints.http import limits, parsing, problems, protocol, sources, targets
from payments_core.entrypoints.http.heads import Heads
from payments_core.entrypoints.http.protocol import BoundedProtocol
from payments_core.entrypoints.metrics import Metrics
from payments_verify.surface import Server, Witness, samples
from payments_verify.surface.exchange import Answer, Ended
from payments_verify.surface.wire import broken_on_the_wire, exchanges
from payments_verify.surface.written import PAYMENT, UNKNOWN
from payments_verify.systems import application, memory_store
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.logs import nothing_logged
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

    with nothing_logged():
        return asyncio.run(run())


def test_the_service_as_it_is() -> None:
    assert told() is None


def never_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    expecting(monkeypatch, lambda _: False)


def expecting(monkeypatch: pytest.MonkeyPatch, waits: Callable[[RequestResponseCycle], bool]) -> None:
    """Let requests wait for 100 Continue, or not, as this says."""
    begin = BoundedProtocol._start_asgi_task  # noqa: SLF001 - the base class's

    def changed(self: BoundedProtocol, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.waiting_for_100_continue = waits(cycle)
        begin(self, cycle, app)

    monkeypatch.setattr(BoundedProtocol, "_start_asgi_task", changed)


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


def answers_errors_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "_close_after_whole_requests", lambda _: False)


def patched(monkeypatch: pytest.MonkeyPatch, name: str, before: Callable[[BoundedProtocol], object]) -> None:
    """Do something before a method of the protocol does its part."""
    method = getattr(BoundedProtocol, name)

    def more(self: BoundedProtocol, *args: Any) -> Any:
        before(self)
        return method(self, *args)

    monkeypatch.setattr(BoundedProtocol, name, more)


def goes_on_in_the_old_version(monkeypatch: pytest.MonkeyPatch) -> None:
    expecting(
        monkeypatch,
        lambda cycle: cycle.waiting_for_100_continue or is_old(cycle.scope),
    )


def is_old(scope: Any) -> bool:
    return scope["http_version"] == "1.0" and (b"expect", b"100-continue") in scope["headers"]


def with_chunks_of_old(monkeypatch: pytest.MonkeyPatch) -> None:
    def hide(self: BoundedProtocol) -> None:
        if self.parser.get_http_version() == "1.0":
            self.headers[:] = [each for each in self.headers if each[0] != b"transfer-encoding"]

    with_any_line(monkeypatch)  # some of which it does not see any more
    patched(monkeypatch, "on_headers_complete", hide)


def without_fragment(monkeypatch: pytest.MonkeyPatch) -> None:
    read = targets.read_target
    monkeypatch.setattr(protocol, "read_target", lambda target: read(target.partition(b"#")[0]))


def with_any_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.Sources, "__call__", lambda *_: None)


def with_the_fields_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "set_host", lambda *_: None)


def with_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(BoundedProtocol, "on_header")


def that_trailers_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = BoundedProtocol.on_message_complete

    def kept(self: BoundedProtocol) -> None:
        parser, self.parser = self.parser, AsIfKept(self.parser)  # type: ignore[assignment]
        complete(self)
        self.parser = parser

    monkeypatch.setattr(BoundedProtocol, "on_message_complete", kept)


class AsIfKept:
    """A parser that says that the connection is to be kept."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def __getattr__(self, name: str) -> Any:
        return (lambda: True) if name == "should_keep_alive" else getattr(self._parser, name)


def with_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = BoundedProtocol.data_received
    monkeypatch.setattr(
        BoundedProtocol,
        "data_received",
        lambda self, data: receive(self, data.replace(b"get /", b"GET /", 1)),
    )


def with_any_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heads, "begins_with", lambda *_: True)


def fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_MAX_PIPELINED", 32)


def more_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_MAX_PIPELINED", 1_000)


def twice_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, "_refuse", lambda self: setattr(self, "_in_head", True))


def kept_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_MAX_MESSAGE_BYTES", 64 * 1024)


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (never_asks, "I9, I11: a body that waits to be asked for, and is served: no whole answer"),
        (with_trailers, "I4, I11: trailers: expected 200, got 431"),
        (answers_errors_first, "I6, I11: what is no HTTP behind requests that came whole: expected 404"),
        (goes_on_in_the_old_version, "I9, I11: a body that would wait, in HTTP/1.0: expected 200, got 100"),
        (with_chunks_of_old, "I4, I11: chunks in HTTP/1.0: expected 400 malformed_http, got 200"),
        (without_fragment, "I11: a fragment in the first line: expected 400 malformed_http, got 200"),
        (
            with_any_host,
            "I9, I11: a body that waits to be asked for, and is for no host: answer 2: expected 400",
        ),
        (with_the_fields_host, "I2, I11: a whole URL with a name before its host: expected 400 invalid_host"),
        (with_spaces, "I9, I11: a body that waits to be asked for, and has spaces: no whole answer"),
        (that_trailers_do_not_end, "I9, I11: a trailer that says close: 200, and no Connection: close"),
        (with_small_letters, "I11: a method in small letters in the first line: expected 400"),
        (with_any_line, "I11: another protocol in the first line: expected 400 malformed_http, got 200"),
        (fewer_at_once, "I9, I11: as many as are taken in, in one packet: the connection ended"),
        (more_at_once, "I9, I11: more than are taken in, in one packet: "),
        (twice_answered, "I6, I11: what is no HTTP within a body that was refused: "),
        (kept_for_good, "I9, I11: the rest of a body that was refused: the connection ended"),
        (any_coding, "I4, I11: a coding that is unknown: expected 501"),
        (fewer_fields, "I9, I11: 100 fields: expected 200, got 431"),
        (longer_heads, "I9, I11: a target of "),
        (larger_bodies, "I11: a body of more, in chunks: expected 413"),
        (uncounted, "I12: "),
        (
            of_plain_json,
            "I6, I11: what is no HTTP behind an answer: answer 2: header content-type: expected 'app",
        ),
    ],
)
def test_what_is_read_otherwise_is_told(
    breaks: Callable[[pytest.MonkeyPatch], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.surface.exchange._PATIENCE_S", 1.0)
    breaks(monkeypatch)
    assert (told() or "").startswith(says)


async def no_metrics(_http: object) -> samples.Metrics:
    return ()


def test_every_exchange_is_seen_to_fail_where_all_is_taken() -> None:
    """A server that answers 202 to whatever comes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 202 \r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    async def run() -> list[str]:
        async with httpx.AsyncClient() as http, await asyncio.start_server(answer, "127.0.0.1", 0) as running:
            server = Server("127.0.0.1", running.sockets[0].getsockname()[1], "Bearer x")
            witness = Witness(http)
            found = []
            for only in list(exchanges(0)):
                monkey = pytest.MonkeyPatch()
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
    assert all(isinstance(each.steps[-1], Answer | Ended) for each in made)
    assert all(any(isinstance(step, Answer) for step in each.steps) for each in made)
    assert len({each.what for each in made}) == len(made)
