"""Hosts that a process is asked for: a database that is late for a moment is no answer to a host."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import httpx
import pytest

from payments_verify.systems.processes import asked
from payments_verify.systems.processes.asked import wrong_hosts


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ([503, 404], None),
        ([400], "I9: Host 'localhost' at here: 400 , not 404"),
        ([503], "I9: Host 'localhost' at here: 503 , not 404"),
    ],
)
def test_unavailable_is_asked_again(
    statuses: list[int], told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "LIMIT_S", 0.05)

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(statuses.pop(0) if len(statuses) > 1 else statuses[0])

    async def main() -> str | None:
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(answer), base_url="http://localhost"
        ) as http:
            return await wrong_hosts(Mock(http=http, host="here"), {"localhost": 404})

    assert asyncio.run(main()) == told
