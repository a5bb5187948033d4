"""A server before the service that loses, cuts, delays and replaces answers as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.support.loopback import DIRECT

_LIMIT_S = 30.0
_TRICKLE_S = 0.05
OVERLOADED = b'{"type": "/problems/overloaded", "title": "Too many", "status": 503, "detail": "later"}'


class Behaviour(Enum):
    """What becomes of one request."""

    PASS = auto()
    CUT_BEFORE = auto()
    """The connection is closed; the service never hears of the request."""
    CUT_AFTER = auto()
    """The service carries it out; the connection is closed before the answer."""
    HALF = auto()
    """The answer ends in the middle of its body."""
    STALL = auto()
    """The service carries it out; nothing comes, and the connection stays open."""
    TRICKLE = auto()
    """The answer's body comes so slowly that it is never whole."""
    OVERLOADED = auto()
    """503, and come again in 1 s; the service never hears of it."""
    BAD_GATEWAY = auto()
    """The service carries it out; the answer is a proxy's 502."""
    GATEWAY_TIMEOUT = auto()
    """The service carries it out; the answer is a proxy's 504."""
    GARBAGE = auto()
    """The service carries it out; the answer is a success that is not the service's."""
    FORBIDDEN = auto()
    """A proxy's 403; the service never hears of it."""


@dataclass
class Front:
    """A server before the service; behaves as its plan says, request by request, and then well.

    Attributes:
        url: where it is.
        plan: what becomes of the next requests.
        requests: the idempotency key of each request that came, as it was sent.
    """

    url: str
    plan: list[Behaviour] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)

    @classmethod
    @contextmanager
    def before(cls, service: str) -> Iterator[Front]:
        """Before the service at this URL."""
        with httpx.Client(base_url=service, timeout=_LIMIT_S, **DIRECT) as http:
            server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
            front = cls(f"http://127.0.0.1:{server.server_port}")
            server.front, server.http, server.ended = front, http, threading.Event()  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield front
            finally:
                server.ended.set()  # type: ignore[attr-defined]
                server.shutdown()
                server.server_close()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        front: Front = self.server.front  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        behaviour = front.plan.pop(0) if front.plan else Behaviour.PASS
        front.requests.append(self.headers.get("idempotency-key"))
        self.close_connection = True
        with suppress(OSError):  # the client has gone
            self._behave(behaviour, body)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the base class's

    def _behave(self, behaviour: Behaviour, body: bytes) -> None:
        if behaviour is Behaviour.OVERLOADED:
            self._answer(503, OVERLOADED, {"Retry-After": "1", "Content-Type": "application/problem+json"})
        elif behaviour is Behaviour.FORBIDDEN:
            self._answer(403, b"<html>no</html>", {})
        elif behaviour is not Behaviour.CUT_BEFORE:
            self._answer_instead(behaviour, self._forward(body))

    def _answer_instead(self, behaviour: Behaviour, answer: httpx.Response) -> None:
        match behaviour:
            case Behaviour.PASS:
                self._answer(answer.status_code, answer.content, dict(answer.headers))
            case Behaviour.HALF:
                cut = len(answer.content) // 2
                self._answer(answer.status_code, answer.content, dict(answer.headers), cut)
            case Behaviour.STALL:
                self._wait_for_the_client()
            case Behaviour.TRICKLE:
                self._trickle(answer)
            case Behaviour.BAD_GATEWAY:
                self._answer(502, b"<html>bad gateway</html>", {})
            case Behaviour.GATEWAY_TIMEOUT:
                self._answer(504, b"", {})
            case Behaviour.GARBAGE:
                self._answer(answer.status_code, b"<html>welcome</html>", {})

    def _forward(self, body: bytes) -> httpx.Response:
        http: httpx.Client = self.server.http  # type: ignore[attr-defined]
        kept = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
        return http.request(self.command, self.path, content=body, headers=kept)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[:cut])

    def _trickle(self, answer: httpx.Response) -> None:
        self._answer(answer.status_code, b" " * 1_000, {}, 0)
        while not self.server.ended.wait(_TRICKLE_S):  # type: ignore[attr-defined]
            self.wfile.write(b" ")
            self.wfile.flush()

    def _wait_for_the_client(self) -> None:
        self.connection.settimeout(_LIMIT_S)
        with suppress(socket.timeout):
            self.connection.recv(1)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""
