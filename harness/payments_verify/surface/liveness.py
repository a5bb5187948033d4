"""Whether what has to happen by itself does: due payments expire, and nothing has stopped."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

import msgspec

from payments_verify.binding import Http
from payments_verify.binding.values import read_rfc3339

_BEAT_S = 0.02
_STOPPED = re.compile(r'^payments_background_task_running\{task="(\w+)"\} 0\.0$', re.MULTILINE)


async def not_expired(
    http: Http, set_clock: Callable[[int], Awaitable[object]], within_s: float
) -> str | None:
    """Make a payment that is due, and see it expire by itself.

    Args:
        http: a process of the service; whichever may expire it.
        set_clock: sets the database's clock, in µs.
        within_s: how long that may take, in seconds.
    """
    path = f"/payments/{uuid4()}"

    async def send(method: str, end: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        answer = await http.request(method, path + end, headers={}, json=body)
        document: dict[str, Any] = msgspec.json.decode(answer.content)
        return document

    await send("PUT", "", {"amount_cents": 7})
    made = await send("POST", "/authorize", {"capture_window_seconds": 1})
    await set_clock(read_rfc3339(made["capture_expires_at"]))
    deadline = asyncio.get_running_loop().time() + within_s
    while (seen := await send("GET", "", None))["state"] == "authorized":
        if asyncio.get_running_loop().time() > deadline:
            return f"I9: payment {seen['id']} is due, and has not expired by itself for {within_s:g} s"
        await asyncio.sleep(_BEAT_S)
    return None


async def stopped(http: Http) -> str | None:
    """What a process says has stopped beside its requests, if it does."""
    metrics = (await http.request("GET", "/metrics", headers={}, json=None)).text
    ready = await http.request("GET", "/readyz", headers={}, json=None)
    if names := _STOPPED.findall(metrics):
        return f"I9: a process says that something has stopped: {', '.join(names)}"
    return None if ready.status_code == 200 else f"I9: a process is not ready: {ready.text}"
