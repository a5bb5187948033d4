"""What a process tells those who watch it, whatever becomes of them: lines of requests, and spans."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import time

import httpx

from payments_verify.patience import ask_until, comes_true, patient
from payments_verify.surface.lines import QUIET, is_within, lines_of_requests
from payments_verify.surface.unlogged import Asked, Secrets, requests
from payments_verify.surface.written import BODY_LIMIT, JSON, Fields
from payments_verify.systems.processes.asked import AMOUNT, LIMIT_S, WINDOW, Served, is_available

ELSEWHERE: Mapping[str, str] = {"TZ": "XYZ-5:45"}
"""The variables of a process whose local time is not UTC."""
_TRACE, _CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_TRACED: Fields = (("traceparent", f"00-{_TRACE}-{_CALLER}-01".encode()),)
_WAITS = ("wait for a connection", "lock the payment")
_ANSWER_S = 10.0
_SPANS = 1 + len(_WAITS)


@dataclass
class Collector:
    """Takes spans (OTLP over HTTP), and answers once it may.

    Attributes:
        url: where it is.
        may_answer: whether it does.
        spans: what was sent to it.
    """

    url: str = ""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    spans: list[bytes] = field(default_factory=list)

    @property
    def variables(self) -> Mapping[str, str]:
        """The settings of who sends spans here, soon, and waits long for an answer."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3600",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        with suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            self.spans.append(gzip.decompress(body) if b"content-encoding: gzip" in head else body)
            await self.may_answer.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """A collector, until the block ends."""
    made = Collector()
    async with await asyncio.start_server(made.take, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            made.may_answer.set()


@dataclass(frozen=True)
class Traced:
    """Requests with secrets in them, of a process that sends spans.

    Attributes:
        served: the process; it asks for no tokens.
        collector: where the spans go.
        secrets: what is in the requests.
    """

    served: Served
    collector: Collector
    secrets: Secrets = field(default_factory=Secrets)

    async def wrong_while_silent(self) -> str | None:
        """Which request is not answered while the collector answers nobody, if one is not."""
        try:
            await self._send(Asked("GET", "/healthz"))
            if not await comes_true(lambda: bool(self.collector.spans), LIMIT_S):
                return "I9: PAYMENTS_TRACING=yes, and no span was sent"
            for each in requests(self.secrets):
                if len(each.body or b"") < BODY_LIMIT:
                    await self._send(each)
        except httpx.TransportError as error:
            return f"I9: the collector of spans is silent, and so is the service: {type(error).__name__}"
        return None

    async def wrong_spans(self) -> str | None:
        """What the spans of a capture of the caller's trace lack, or show of secrets. It ends the process."""
        self.collector.may_answer.set()
        payment = f"/payments/{self.secrets.payment}"
        keyed = (*JSON, *_TRACED, ("Idempotency-Key", f"{self.secrets.key} traced".encode()))
        answer = httpx.Response(200)
        for asked in (
            Asked("POST", f"{payment}/authorize", JSON, WINDOW),
            Asked("POST", f"{payment}/captures", keyed, AMOUNT),
        ):
            answer = await ask_until(partial(self._send, asked), is_available, LIMIT_S)
        self.served.process.terminate()
        await self.served.process.ended()
        told = b"".join(self.collector.spans)
        parts = ("/payments/{payment_id}/captures", *_WAITS, answer.headers["x-request-id"])
        missing = [each for each in parts if each.encode() not in told]
        if told.count(bytes.fromhex(_TRACE)) < _SPANS or bytes.fromhex(_CALLER) not in told:
            missing.append("the caller's trace, of a request and its waits")
        if missing:
            return f"I12: the spans of a capture lack {', '.join(missing)}"
        return self.secrets.found_in(re.sub(r"[^ -~]+", " ", told.decode("latin-1")))

    async def _send(self, asked: Asked) -> httpx.Response:
        fields = [(name.encode(), value) for name, value in asked.fields]
        return await self.served.http.request(
            asked.method, asked.path, headers=fields, content=asked.body, timeout=patient(_ANSWER_S)
        )


def wrong_lines(served: Served, level: str) -> str | None:
    """Which answer of a process that has ended has no line, or one for nothing, or of another time.

    Args:
        served: the process.
        level: ``debug`` or ``info``.
    """
    lines = {line["request_id"]: line for line in lines_of_requests(served.process.errors.read_text())}
    for path, request_id in served.answered:
        line = lines.get(request_id)
        if (line is None) != (level == "info" and path in QUIET):
            return f"I12: PAYMENTS_LOG_LEVEL={level}, and of a request of {path} is logged {line}"
        if line is not None and not is_within(line, served.began, time()):
            return f"I12: where the local time is not UTC is logged {line}"
    return None
