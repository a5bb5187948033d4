"""The HTTP application in this process, spoken to without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from starlette.types import ASGIApp, Message

from payments_core.entrypoints.http.app import create_app
from tests.support.stores import Kit

_LIFESPAN_LIMIT_S = 60

Headers = Mapping[str, str] | list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Api:
    """The service over a store, and the requests that most tests make."""

    http: httpx.AsyncClient
    kit: Kit

    async def created(self, cents: int = 500) -> str:
        """The path of a new payment."""
        path = f"/payments/{uuid4()}"
        answer = await self.http.put(path, json={"amount_cents": cents})
        assert answer.status_code == 201
        return path

    async def authorized(self, seconds: int = 3600) -> str:
        """The path of an authorized payment of 500 cents."""
        path = await self.created()
        answer = await self.http.post(f"{path}/authorize", json={"capture_window_seconds": seconds})
        assert answer.status_code == 200
        return path

    async def capture(self, path: str, key: str = "key", cents: int = 500) -> httpx.Response:
        """Ask to capture a payment."""
        headers = {"Idempotency-Key": key}
        return await self.http.post(f"{path}/captures", json={"amount_cents": cents}, headers=headers)

    async def fail(self, path: str, reason: str = "voided") -> httpx.Response:
        """Ask to fail a payment."""
        return await self.http.post(f"{path}/fail", json={"reason": reason})


@asynccontextmanager
async def api_over(kit: Kit) -> AsyncIterator[Api]:
    """The application over a store."""
    transport = httpx.ASGITransport(create_app(kit.store), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as http:
        yield Api(http, kit)


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """Within the block the application has started up, as behind a server."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    answered: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def enter(phase: str) -> None:
        await asked.put({"type": f"lifespan.{phase}"})
        answer = await asyncio.wait_for(answered.get(), _LIFESPAN_LIMIT_S)
        assert answer["type"] == f"lifespan.{phase}.complete", answer

    async def run() -> None:
        await app(scope, asked.get, answered.put)

    task = asyncio.create_task(run())
    await enter("startup")
    try:
        yield
    finally:
        await enter("shutdown")
        await task


def problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """Check that an answer is this problem, in the shape of RFC 9457, and return its document."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    document: dict[str, Any] = json.loads(answer.content)
    assert {"type", "title", "status", "detail"} <= set(document)
    assert (document["type"], document["status"]) == (f"/problems/{name}", status)
    assert document["title"]
    assert document["detail"]
    return document
