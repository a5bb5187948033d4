"""What it costs a request to be looked at: where it comes from, whose it is, and what its token is for.

`python -m tests.bench.bench_access`: µs of processor time a request, of one process, in rounds by turns.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments_core.entrypoints.http.access import is_open
from payments_core.entrypoints.http.authentication import Authenticated
from payments_core.entrypoints.http.resources import resource
from payments_core.entrypoints.http.sources import Sources, Unprotected
from payments_core.entrypoints.tokens import Tokens, TokenScope

TOKEN = "pay_" + "x" * 43
ANSWER = Response(b"{}", 201)


async def capture(_request: Request) -> Response:
    """The answer to a capture, decided elsewhere."""
    return ANSWER


async def listed(_request: Request) -> Response:
    """No other answer."""
    return ANSWER


async def receive() -> Message:
    """A body, which nobody reads."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message: Message) -> None:
    """Drop the answer."""


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that costs nothing."""


def request() -> Scope:
    """A capture as a browser sends it, with a token."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/payments/0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e/captures",
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "headers": [
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
        ],
    }


def measured() -> dict[str, ASGIApp]:
    """What is compared, by name; each with the one that it is to be compared with before it."""
    tokens = Tokens({hashlib.sha256(TOKEN.encode()).digest(): frozenset(TokenScope)})
    unprotected = Unprotected(frozenset({"payments"}), is_open)
    route = resource("/payments/{payment_id}/captures", GET=listed, POST=capture).app
    return {
        "nothing": nothing,
        "where it comes from, with tokens": Sources(nothing, None),
        "where it comes from, without tokens": Sources(nothing, unprotected),
        "whose it is": Authenticated(nothing, tokens),
        "the route, without tokens": route,
        "the route, whose it is and what for": Authenticated(route, tokens),
    }


async def seconds(app: ASGIApp, count: int) -> float:
    """Processor time of so many requests."""
    began = time.process_time()
    for _ in range(count):
        await app(request(), receive, send)
    return time.process_time() - began


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured, by turns.")] = 40,
    count: Annotated[int, typer.Option(min=1, help="Requests a round.")] = 5_000,
) -> None:
    """Print the cost of each."""
    apps = measured()
    times: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            times[name].append(asyncio.run(seconds(app, count)) / count * 1e6)
    costs = {name: median(each) for name, each in times.items()}
    table = Table("", "µs a request", "beyond the one it is compared with")
    for name, cost in costs.items():
        base = "the route, without tokens" if name.startswith("the route,") else "nothing"
        table.add_row(name, f"{cost:.2f}", f"{cost - costs[base]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
