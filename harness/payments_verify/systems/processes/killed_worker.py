"""One of several workers stands still, and all are killed with requests under way: what the others say of it.

The database is away as others come for them.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from time import time
from typing import Any

import httpx
import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_verify.binding import Response
from payments_verify.binding.values import read_rfc3339
from payments_verify.patience import comes_true, patient
from payments_verify.surface import LoneProcess
from payments_verify.surface.liveness import authorized, stays_due
from payments_verify.surface.readiness import ready_all_the_same
from payments_verify.surface.samples import (
    Metrics,
    is_counted,
    metrics_of,
    metrics_until,
    value_of,
    wrong_counts,
)
from payments_verify.systems.processes.proc import has_connection, is_stopped, workers
from pgweave.clock import DatabaseClock

LIMIT_S = 30.0
_BEAT_S, _TRIES = 0.02, 5
_CLOSE = (("Connection", b"close"),)
_JSON = (("Content-Type", b"application/json"), *_CLOSE)
_KEY = "killed"
_CAPTURED, _UNAVAILABLE = 201, 503
IN_FLIGHT, _LAST_SWEEP, _EXPIRED = "http_requests_in_flight", "last_sweep_timestamp_seconds", "expired_total"
_DECIDED = ("captures_total", "capture_replays_total", _EXPIRED)
_SINCE = {"captures_total captured": 1, "capture_replays_total captured": 1, _EXPIRED: 1}
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = %s AND application_name = 'payments-core'
"""
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
    """Stop a worker, and kill them all while the database is away; what is wrong with the others then.

    Args:
        process: the server process; its workers sweep.
        dsn: its database; its owner is a superuser.
        payment: an authorized payment of 500 cents.
    """
    http = Apart(process)
    async with _held_capture(process, payment) as port:
        known = workers(process.pid)
        victim = next((each for each in known if has_connection(each, port)), None)
        if victim is None:
            return "I9: a capture waits for a lock, and no worker has its connection"
        told = await metrics_until(http, lambda now: value_of(now, IN_FLIGHT) == _TWO, LIMIT_S)
        if (wrong := wrong_in_flight(told)) is not None:
            return wrong
        await _stop(http, victim)
        if (wrong := await _unlike_one_that_stands_still(http, dsn, victim)) is not None:
            return wrong
        before = await metrics_of(http)
        with _away(dsn):
            for each in workers(process.pid):
                os.kill(each, signal.SIGKILL)
            wrong = await _wrong_without_database(process, payment, known)
    since = time()
    wrong = wrong or await _remembered(http, since)
    return wrong or await _wrong_of_successors(http, dsn, payment, before)


async def _stop(http: Apart, victim: int) -> None:
    """Stop a worker once it has counted what it answered: that may be a few ms late."""
    for _ in range(_TRIES):
        os.kill(victim, signal.SIGSTOP)
        if value_of(await metrics_of(http), IN_FLIGHT) == _TWO:
            return
        os.kill(victim, signal.SIGCONT)
        await asyncio.sleep(_BEAT_S)
    os.kill(victim, signal.SIGSTOP)


@contextmanager
def _away(dsn: str) -> Iterator[None]:
    """Within the block the database takes no connections, and the service's have ended."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:

        def allow(*, connections: bool) -> None:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {connections}".encode())

        allow(connections=False)
        try:
            connection.execute(_END_SESSIONS, [name])
            yield
        finally:
            allow(connections=True)


async def _wrong_without_database(process: LoneProcess, payment: str, known: Collection[int]) -> str | None:
    """Whether workers that begin while the database is away do not say so at once."""
    if not await comes_true(lambda: len(workers(process.pid).difference(known)) == len(known), LIMIT_S):
        return f"I9: {len(known)} workers were killed, and as many others have not come within {LIMIT_S:g} s"
    http, told = Apart(process), f"the database takes no connections as {len(known)} workers begin"
    try:
        async with asyncio.timeout(patient(LIMIT_S)):
            if (wrong := await ready_all_the_same(http, told)) is not None:
                return wrong
            status = (await _capture(http, payment)).status_code
    except (TimeoutError, httpx.TransportError):
        return f"I9: {told}, and a request has no answer for {LIMIT_S:g} s"
    return None if status == _UNAVAILABLE else f"I9: {told}, and a capture is answered {status}"


async def _capture(http: Apart, payment: str) -> Response:
    path, key = f"/payments/{payment}/captures", {"Idempotency-Key": _KEY}
    return await http.request("POST", path, headers=key, json={"amount_cents": 500})


async def _wrong_of_successors(http: Apart, dsn: str, payment: str, before: Metrics) -> str | None:
    """Whether those that came for the killed do not serve, sweep, and count on from what was counted."""
    for _ in range(_TWO):  # decided, and repeated
        if (answer := await _capture(http, payment)).status_code != _CAPTURED:
            return f"I9, I10: a capture whose worker was killed is sent again, and answered {answer.text}"
    if (wrong := await _does_not_expire(http, dsn)) is not None:
        return f"{wrong}, after all workers were killed"
    now = await metrics_until(http, lambda now: wrong_since(before, now) is None, LIMIT_S)
    wrong = wrong_since(before, now)
    return f"I12: all workers were killed, and others count on otherwise: {wrong}" if wrong else None


def wrong_since(before: Metrics, now: Metrics) -> str | None:
    """What metrics do not go on from what they were before one capture, its repetition, and one expiry."""
    wrong = wrong_counts(_decided(before), _decided(now), _SINCE)
    was, is_ = (
        {(name, tuple(labels.items())): value for name, labels, value in each} for each in (before, now)
    )
    fallen = [each for each in was if is_counted(each[0]) and is_.get(each, 0) < was[each]]
    other = {each for each in was.keys() ^ is_.keys() if not is_counted(each[0])}
    told = [*[f"{each} has fallen" for each in fallen], *[f"{each} has come or gone" for each in other]]
    return wrong or "; ".join(map(str, told)) or None


def _decided(metrics: Metrics) -> Metrics:
    return [each for each in metrics if each.name in _DECIDED]


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
    if (wrong := await _does_not_expire(http, dsn)) is not None:
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


async def _does_not_expire(http: Apart, dsn: str) -> str | None:
    """Whether a payment that is due does not expire by itself."""
    made = await authorized(http)
    async with DatabaseClock.connect(dsn) as clock:
        await clock.set(read_rfc3339(made["capture_expires_at"]))
    return await stays_due(http, [made["id"]], LIMIT_S)


def wrong_in_flight(metrics: Metrics) -> str | None:
    """How many requests are told to be in flight, if it is not the two that are."""
    told = value_of(metrics, IN_FLIGHT) or 0
    return (
        None if told == _TWO else f"I12: {_TWO} requests are in flight, of two workers, and {told:g} are told"
    )


async def _remembered(http: Apart, since: float) -> str | None:
    """Whether workers that were killed are in the metrics for good, or others do not sweep."""

    def is_forgotten(now: Metrics) -> bool:
        swept = value_of(now, _LAST_SWEEP) or 0
        return value_of(now, IN_FLIGHT) == 1 and swept > since

    metrics = await metrics_until(http, is_forgotten, LIMIT_S)
    if is_forgotten(metrics):
        return None
    in_flight = value_of(metrics, IN_FLIGHT) or 0
    swept = since - (value_of(metrics, _LAST_SWEEP) or 0)
    return (
        f"I9, I12: all workers were killed, and for {LIMIT_S:g} s after the database was back {in_flight:g} "
        f"requests are in flight, where 1 was sent, and the last sweep was {swept:g} s before it was"
    )
