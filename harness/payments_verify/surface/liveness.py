"""Whether what has to happen by itself does: due payments expire, and nothing has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any
from uuid import uuid4

from payments_verify.binding import Http
from payments_verify.binding.values import read_rfc3339
from payments_verify.patience import patient
from payments_verify.surface.answers import members_of
from payments_verify.surface.readiness import LIMIT_S, awaited
from payments_verify.surface.samples import after_a_sweep, last_sweep, metrics_of, stopped_tasks, value_of

Hold = Callable[[str], AbstractAsyncContextManager[None]]
"""Holds a payment's lock from outside the service for as long as the block runs."""

_BEAT_S = 0.02
_BEYOND = 3_600_000_000
"""How far the clock is moved beyond all windows, in µs."""
_HELD = 3
"""Payments that are held while another expires: more than the service under stress locks at a time."""


async def not_expired(
    http: Http, set_clock: Callable[[int], Awaitable[object]], hold: Hold, within_s: float
) -> str | None:
    """Make payments that are due, and see them expire by themselves: one while others hold those before it.

    Args:
        http: a process of the service; whichever may expire them.
        set_clock: sets the database's clock, in µs.
        hold: holds a payment.
        within_s: how long that may take, in seconds.
    """
    made = [await authorized(http) for _ in range(_HELD + 1)]
    *held, free = (each["id"] for each in made)
    async with AsyncExitStack() as stack:
        for payment in held:
            await stack.enter_async_context(hold(payment))
        await set_clock(max(read_rfc3339(each["capture_expires_at"]) for each in made))
        wrong = await stays_due(http, [free], within_s)
    if wrong is not None:
        return f"{wrong}, while others hold {_HELD} that are due, too"
    return await stays_due(http, held, within_s)


async def authorized(http: Http) -> dict[str, Any]:
    """A new payment whose window is 1 s long, as the answer shows it."""
    path = f"/payments/{uuid4()}"
    await http.request("PUT", path, headers={}, json={"amount_cents": 7})
    body = {"capture_window_seconds": 1}
    answer = await http.request("POST", f"{path}/authorize", headers={}, json=body)
    return members_of(f"POST {path}/authorize", answer, "id", "capture_expires_at")


async def stays_due(http: Http, payments: Sequence[str], within_s: float) -> str | None:
    """The first of the payments that has not expired by itself within so many seconds, if one has not."""
    deadline = asyncio.get_running_loop().time() + patient(within_s)
    for payment in payments:
        while await state_of(http, payment) == "authorized":
            if asyncio.get_running_loop().time() > deadline:
                return f"I9: payment {payment} is due, and has not expired by itself for {within_s:g} s"
            await asyncio.sleep(_BEAT_S)
    return None


async def state_of(http: Http, payment: str) -> str:
    """The state of a payment."""
    answer = await http.request("GET", f"/payments/{payment}", headers={}, json=None)
    return str(members_of(f"GET /payments/{payment}", answer, "state")["state"])


async def miscounted(
    processes: Sequence[Http], set_clock: Callable[[int], Awaitable[object]], within_s: float
) -> str | None:
    """Whether one payment that expires by itself is counted once by the process that expired it.

    Whatever others have authorized has expired before.
    """
    await set_clock(read_rfc3339((await authorized(processes[0]))["capture_expires_at"]) + _BEYOND)
    for _ in range(2):  # one sweep may have begun before
        before = await _expired(processes, within_s)
    made = await authorized(processes[0])
    await set_clock(read_rfc3339(made["capture_expires_at"]))
    wrong = await stays_due(processes[0], [made["id"]], within_s)
    counted = await _expired(processes, within_s) - before
    return wrong or (
        None if counted == 1 else f"I12: 1 payment has expired by itself, and {counted} are counted"
    )


async def _expired(processes: Sequence[Http], within_s: float) -> int:
    """How many have been counted, once those who sweep have come to their next end: then all are."""
    total = 0.0
    for http in processes:
        metrics = await metrics_of(http)
        if last_sweep(metrics) is not None:
            metrics = await after_a_sweep(http, metrics, within_s)
        total += value_of(metrics, "expired_total") or 0
    return int(total)


async def stopped(http: Http) -> str | None:
    """What a process says has stopped beside its requests, if it does."""
    if names := stopped_tasks(await metrics_of(http)):
        return f"I9: a process says that something has stopped: {', '.join(names)}"
    ready = await awaited(http, 200, LIMIT_S)  # a busy database may be silent for a while
    return None if ready.status_code == 200 else f"I9: a process is not ready: {ready.text}"
