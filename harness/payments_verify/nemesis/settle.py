"""Whether all is well once nobody sends anything: no lock, no transaction, no lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from operator import not_
from uuid import uuid4

import httpx

from payments_verify.binding import Http
from payments_verify.nemesis.database_faults import SESSIONS, count_of
from payments_verify.nemesis.deployment import POOL_MAX, Deployment
from payments_verify.patience import ask_until, patient
from payments_verify.surface.samples import metrics_of, value_of
from payments_verify.systems import SERVICE_LOGIN

SETTLE_LIMIT_S = 20.0
"""How long a session may take to end what nobody waits for any more: the service's own limits, and some."""

SERVE_LIMIT_S = 20.0
"""How long the service may take to serve again by itself once what was broken is repaired: a request's time,
and the 10 s for which the driver waits for a dead connection's answer to a cancellation."""

_CHEAP = {"amount_cents": 1}
_PROBE_LIMIT_S = 1.0
_BEAT_S = 0.02
_BUSY = f"SELECT count(*) {SESSIONS} AND state <> 'idle'"
_LOCKS = f"SELECT count(*) FROM pg_locks WHERE pid IN (SELECT pid {SESSIONS})"  # noqa: S608 - constants
_OPEN = f"SELECT count(*) {SESSIONS}"
_WAITING = f"SELECT count(*) {SESSIONS} AND wait_event_type = 'Lock'"


async def serve_again(pools: Sequence[Http]) -> float | None:
    """Wait until every process of the service makes a payment: the seconds, or ``None`` if one does not."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    served = await asyncio.gather(*(ask_until(partial(_serves, http), bool, SERVE_LIMIT_S) for http in pools))
    return loop.time() - began if all(served) else None


async def _serves(http: Http) -> bool:
    try:
        async with asyncio.timeout(_PROBE_LIMIT_S):
            answer = await http.request("PUT", f"/payments/{uuid4()}", headers={}, json=_CHEAP)
    except (httpx.TransportError, TimeoutError):
        return False
    return answer.status_code == 201


async def left_behind(deployment: Deployment, pools: Sequence[Http]) -> list[str]:
    """What the service has not put away although nobody waits for anything: nothing, if all is well."""
    found = [
        await _until_nothing(
            deployment, _BUSY, "sessions are in a transaction, or at work, though nobody asks"
        ),
        await _until_nothing(deployment, _LOCKS, "locks are held though nobody asks"),
        *[await _in_flight(http) for http in pools],
        await _incomplete_pool(deployment, pools),
    ]
    return [each for each in found if each is not None]


async def _until_nothing(deployment: Deployment, query: str, complaint: str) -> str | None:
    async with deployment.cluster.connect() as connection:
        left = await ask_until(partial(count_of, connection, query, SERVICE_LOGIN), not_, SETTLE_LIMIT_S)
    return f"I9: {left} {complaint}, for {SETTLE_LIMIT_S:g} s" if left else None


async def _in_flight(http: Http) -> str | None:
    async def ask() -> float | None:
        return value_of(await metrics_of(http), "http_requests_in_flight")

    def is_alone(found: float | None) -> bool:
        return found is not None and found <= 1  # the request for the metrics is one of them

    if is_alone(found := await ask_until(ask, is_alone, SETTLE_LIMIT_S)):
        return None
    shown = "no number of requests in flight" if found is None else f"{found:g} requests in flight"
    return f"I9: a process shows {shown}, though nobody asks"


async def _incomplete_pool(deployment: Deployment, pools: Sequence[Http]) -> str | None:
    """See that each process can still use every connection of its pool, by letting as many requests wait."""
    wanted = POOL_MAX * len(pools)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(deployment.cluster.connect())
        await connection.execute(b"BEGIN")
        # Of one payment, or for locks of payments, a service may have a bound on how many of them wait.
        await connection.execute(b"LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        requests = [asyncio.ensure_future(wait_in_line(http)) for http in pools for _ in range(POOL_MAX)]
        stack.push_async_callback(_finished, requests)
        stack.push_async_callback(connection.execute, b"ROLLBACK")
        most = await _most_waiting(deployment, wanted)
    return (
        None
        if most >= wanted
        else f"I9: of {wanted} connections of the pools only {most} can be used: the rest is lost"
    )


async def _most_waiting(deployment: Deployment, wanted: int) -> int:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patient(SERVE_LIMIT_S)
    most = 0
    async with deployment.cluster.connect() as connection:
        while most < wanted and loop.time() < deadline:
            most = max(most, await count_of(connection, _WAITING, SERVICE_LOGIN))
            await asyncio.sleep(_BEAT_S)
    return most


async def wait_in_line(http: Http) -> None:
    """Wait for the table, again if it is given up: the pool may still be growing."""
    while True:
        try:
            answer = await http.request("GET", f"/payments/{uuid4()}", headers={}, json=None)
        except httpx.TransportError:  # the server may end a kept connection that was idle as this begins
            await asyncio.sleep(_BEAT_S)
            continue
        if answer.status_code < 500:
            return


async def _finished(requests: Sequence[asyncio.Future[None]]) -> None:
    await asyncio.wait(requests, timeout=patient(SETTLE_LIMIT_S))
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
