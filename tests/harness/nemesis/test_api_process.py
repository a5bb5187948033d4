"""A process that is there and does not come to serve is ended before the next is started."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

import pytest

from payments_verify.systems import ApiProcess, api_process

SLEEPS = ("-c", "import time; time.sleep(60)")


def test_no_process_is_left_that_did_not_come_to_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []

    async def comes_to_serve(process: asyncio.subprocess.Process, *_more: Any) -> bool:
        started.append(process)
        return len(started) == 3

    monkeypatch.setattr(api_process, "comes_to_serve", comes_to_serve)

    async def run() -> list[bool]:
        with tempfile.TemporaryFile() as output:
            process = ApiProcess({}, output)
            try:
                await process.start(SLEEPS)
                return [each.returncode is None for each in started]
            finally:
                await process.end()

    assert asyncio.run(run()) == [False, False, True]
