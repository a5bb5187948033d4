"""Pieces around the application: what a request goes through once its head has been read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import copy
from functools import partial
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.bench.doors.pair import Piece, Work
from payments_core.entrypoints.http.access import is_open
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.authentication import Authenticated
from payments_core.entrypoints.http.guards import Guard, Guarded
from payments_core.entrypoints.http.limits import Admission, HeadLimits
from payments_core.entrypoints.http.resources import resource
from payments_core.entrypoints.http.sources import Sources, Unprotected
from payments_core.entrypoints.tokens import Tokens, TokenScope
from payments_core.infrastructure.postgres.contention import Contention
from payments_verify.systems.memory_store import InMemoryPaymentStore

TOKEN = "pay_" + "x" * 43
PATH = "/payments/0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e/captures"
FIELDS = [
    (b"host", b"127.0.0.1:8000"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"authorization", b"Bearer " + TOKEN.encode()),
    (b"origin", b"http://127.0.0.1:8000"),
    (b"sec-fetch-site", b"same-origin"),
    (b"content-type", b"application/json"),
    (b"idempotency-key", b"order-17-capture"),
    (b"content-length", b"21"),
]
"""Of a capture as a browser sends it, with a token."""
ANSWER = Response(b"{}", 201)


def pieces() -> Iterator[Piece]:
    """Each of them, by itself."""
    tokens = Tokens({hashlib.sha256(TOKEN.encode()).digest(): frozenset(TokenScope)})
    unprotected = Unprotected(frozenset({"payments"}), is_open)
    route = resource("/payments/{payment_id}/captures", GET=_listed, POST=_captured).app
    folder = "entrypoints/http"
    bare = _asked(_nothing)
    unguarded = _asked(Guarded(_nothing, []))

    def around(name: str, where: str, app: ASGIApp, without: Work = bare) -> Piece:
        return Piece(name, f"{folder}/{where}", "request", _asked(app), without)

    def guarded(name: str, where: str, guard: Guard) -> Piece:
        return around(name, where, Guarded(_nothing, [guard]), unguarded)

    yield around("a place, if there is one", "limits.py", Admission(_nothing, 256, is_open, _unheard))
    yield around("the middleware of the guards", "guards.py", Guarded(_nothing, []))
    yield guarded("size and coding of the head", "limits.py", HeadLimits(_unheard))
    yield guarded("Host, with tokens", "sources.py", Sources(None))
    yield guarded("peer, Host and Origin, without tokens", "sources.py", Sources(unprotected))
    yield guarded("the token", "authentication.py", Authenticated(tokens))
    yield around(
        "the scope that the route needs",
        "resources.py",
        Guarded(route, [Authenticated(tokens)]),
        _asked(Guarded(_unscoped(route), [Authenticated(tokens)])),
    )
    alive = "/healthz", "GET"
    app = create_app(InMemoryPaymentStore(lambda: 0))
    decoded: ASGIApp = partial(Starlette.__call__, app)
    yield Piece(
        "the path as it was sent", f"{folder}/app.py", "request", _asked(app, *alive), _asked(decoded, *alive)
    )
    yield Piece("turns of a payment", "postgres/contention.py", "request", _turns, _no_turns)


def _asked(app: ASGIApp, path: str = PATH, method: str = "POST") -> Work:
    async def work(count: int) -> None:
        for _ in range(count):
            await app(_request(path, method), _receive, _send)

    return work


def _unscoped(route: ASGIApp) -> ASGIApp:
    """The same resource, which needs no scope."""
    found = copy(route)
    found.needed = {}  # type: ignore[attr-defined]
    return found


async def _turns(count: int) -> None:
    contention = Contention(5, 128, 5.0)
    payment_id = UUID(int=1)
    for _ in range(count):
        turn = await contention.turn(payment_id)
        contention.locking_statement()
        with contention.locking():
            pass
        turn.release()


async def _no_turns(count: int) -> None:
    for _ in range(count):
        pass


def _request(path: str = PATH, method: str = "POST") -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "headers": FIELDS,
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    """Drop the answer."""


def _unheard(_reason: str) -> None:
    """Count nothing."""


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that costs nothing."""


async def _captured(_request: Request) -> Response:
    return ANSWER


async def _listed(_request: Request) -> Response:
    return ANSWER
