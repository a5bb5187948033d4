"""An application that hangs where it should start."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pgweave.service import asgi, patience
from pgweave.service.asgi import ApplicationError, serving


def test_an_application_that_hangs_as_it_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "START_LIMIT_S", 0.3)
    monkeypatch.setattr(asgi, "_STOP_LIMIT_S", 0.1)
    is_over = threading.Event()

    async def hanging(_scope: Any, _receive: Any, _send: Any) -> None:
        while not is_over.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.01)

    async def serve() -> None:
        async with asyncio.timeout(30), serving(hanging):
            pytest.fail("it does not serve")

    try:
        with pytest.raises(ApplicationError, match=r"did not start within 0\.3 s"):
            asyncio.run(serve())
    finally:
        is_over.set()
