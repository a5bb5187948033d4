"""A request whose connection is closed as it is opened got no answer, whatever the libraries below raise."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from pgweave.service.http_client import http_client


def test_a_connection_that_is_closed_as_it_is_opened_is_a_transport_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def closed(_transport: httpx.AsyncHTTPTransport, _request: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    async def get() -> None:
        async with http_client("http://127.0.0.1:1", limit_s=1) as client:
            await client.get("/")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", closed)
    with pytest.raises(httpx.TransportError, match="closed as it was opened"):
        asyncio.run(get())
