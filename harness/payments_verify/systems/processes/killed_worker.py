"""One of several workers stands still, and is killed, with a request under way: what the others say of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import time
from typing import Any

import msgspec

from payments_verify.binding import Response
from payments_verify.binding.values import read_rfc3339
from payments_verify.patience import comes_true
from payments_verify.surface import LoneProcess
from payments_verify.surface.liveness import authorized, stays_due
from payments_verify.surface.samples import Metrics, metrics_of, metrics_until, value_of
from payments_verify.systems.processes.proc import has_connection, is_stopped, workers
from pgweave.clock import DatabaseClock

LIMIT_S = 30.0
_BEAT_S = 0.02
_CLOSE = (("Connection", b"close"),)
_JSON = (("Content-Type", b"application/json"), *_CLOSE)
_KEY = "killed"
_CAPTURED = 201
IN_FLIGHT, _LAST_SWEEP, _EXPIRED = "http_requests_in_flight", "last_sweep_timestamp_seconds", "expired_total"
_TWO = 2
"""Requests in flight: the capture that waits, and that for the metrics."""


@dataclass(frozen=True)
class Apart:
    """Carries each request on a connection of its own: it comes to a worker that takes connections.

    Attributes:
        process: the server process.
    """

    process: LoneProcess

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Response:
        """Send a request."""
        fields = tuple((name, value.encode()) for name, value in headers.items())
        if json is None:
            return await self.process.witness.write(method, path, (*fields, *_CLOSE))
        return await self.process.witness.write(method, path, (*fields, *_JSON), msgspec.json.encode(json))


async def wrong_of_the_killed(process: LoneProcess, dsn: str, payment: str) -> str | None:
    """Stop a worker, and kill it; what is wrong with the others then, if anything is.

    Args:
        process: the server process; its workers sweep.
        dsn: its database.
        payment: an authorized payment of 500 cents.
    """
    http = Apart(process)
    async with _held_capture(process, payment) as port:
        before, began = workers(process.pid), time()
        victim = next((each for each in before if has_connection(each, port)), None)
        if victim is None:
            return "I9: a capture waits for a lock, and no worker has its connection"
        told = await metrics_until(http, lambda now: value_of(now, IN_FLIGHT) == _TWO, LIMIT_S)
        if (wrong := wrong_in_flight(told)) is not None:
            return wrong
        os.kill(victim, signal.SIGSTOP)
        wrong = await _unlike_one_that_stands_still(http, dsn, victim)
        with suppress(ProcessLookupError):  # it may have been taken for dead before
            os.kill(victim, signal.SIGKILL)
        if wrong is None and not await comes_true(
            lambda: len(workers(process.pid) - {victim}) == len(before), LIMIT_S
        ):
            wrong = f"I9: a worker was killed, and no other has come within {LIMIT_S:g} s"
        wrong = wrong or await _remembered(http, began)
    if wrong is not None:
        return wrong
    again = await http.request(
        "POST",
        f"/payments/{payment}/captures",
        headers={"Idempotency-Key": _KEY},
        json={"amount_cents": 500},
    )
    if again.status_code == _CAPTURED:
        return None
    return f"I9, I10: a capture whose worker was killed is sent again, and answered {again.text}"


@asynccontextmanager
async def _held_capture(process: LoneProcess, payment: str) -> AsyncIterator[int]:
    """A capture that waits for its payment's lock; yields the port from which it was sent."""
    body = b'{"amount_cents": 500}'
    server = process.server
    head = (
        f"POST /payments/{payment}/captures HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
        f"Idempotency-Key: {_KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with process.hold(payment):
        _, writer = await asyncio.open_connection(server.host, server.port)
        try:
            writer.write(head.encode() + body)
            while not await process.waits():  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(_BEAT_S)
            yield writer.get_extra_info("sockname")[1]
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _unlike_one_that_stands_still(http: Apart, dsn: str, victim: int) -> str | None:
    """Whether the others hide that a worker stands still, with a request under way and its sweep long ago."""
    since = time()
    swept = value_of(await metrics_of(http), _EXPIRED) or 0
    made = await authorized(http)
    async with DatabaseClock.connect(dsn) as clock:
        await clock.set(read_rfc3339(made["capture_expires_at"]))
    if (wrong := await stays_due(http, [made["id"]], LIMIT_S)) is not None:
        return f"{wrong}, while one of the workers stands still"

    def is_told(now: Metrics) -> bool:
        return value_of(now, _EXPIRED) == swept + 1 and value_of(now, IN_FLIGHT) == _TWO

    metrics = await metrics_until(http, lambda now: is_told(now) or not is_stopped(victim), LIMIT_S)
    if not is_stopped(victim):
        return None  # it was taken for dead: the machine was slow
    counted = (value_of(metrics, _EXPIRED) or 0) - swept
    if counted != 1:
        return f"I12: a payment expired while one of the workers stood still, and {counted:g} are counted"
    if (value_of(metrics, _LAST_SWEEP) or 0) > since:
        return "I9, I12: a worker stands still, and the last sweep is told of one that does not"
    return wrong_in_flight(metrics)


def wrong_in_flight(metrics: Metrics) -> str | None:
    """How many requests are told to be in flight, if it is not the two that are."""
    told = value_of(metrics, IN_FLIGHT) or 0
    return (
        None if told == _TWO else f"I12: {_TWO} requests are in flight, of two workers, and {told:g} are told"
    )


async def _remembered(http: Apart, since: float) -> str | None:
    """Whether a worker that was killed is in the metrics for good."""

    def is_forgotten(now: Metrics) -> bool:
        swept = value_of(now, _LAST_SWEEP) or 0
        return value_of(now, IN_FLIGHT) == 1 and swept > since

    metrics = await metrics_until(http, is_forgotten, LIMIT_S)
    if is_forgotten(metrics):
        return None
    in_flight = value_of(metrics, IN_FLIGHT) or 0
    swept = (value_of(metrics, _LAST_SWEEP) or 0) - since
    return (
        f"I12: a worker was killed, and for {LIMIT_S:g} s after that {in_flight:g} requests are in flight, "
        f"where 1 was sent, and the last sweep was {swept:g} s after it stood still"
    )
