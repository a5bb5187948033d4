"""Attacks by one payment: it is locked and wanted by many, or refused again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

import httpx
import psycopg

from lab.bench.attacks.attack import Target, Told
from lab.bench.service.database import AMOUNT_CENTS

_MANY = 60_000
_BOUND = 1_000
_CLIENT_LIMIT_S = 15.0
_PAUSE_S = 0.01


def locked(target: Target, told: Told) -> None:
    """A session of the database holds one payment, and 200 clients capture it."""
    asyncio.run(_locked(target, told))


def refused(target: Target, told: Told) -> None:
    """A payment has as many stored refusals as it may; ten clients go on to be refused, and list them."""
    _fill(target, _BOUND)
    asyncio.run(_repeated(target, told, [_refuse] * 8 + [_list] * 2))


def listed(target: Target, told: Told) -> None:
    """A payment has 60,000 refusals from before there was a bound; four clients list them."""
    _fill(target, _MANY)
    asyncio.run(_repeated(target, told, [_list] * 4))


Act = Callable[[httpx.AsyncClient, str, int], Awaitable[object]]


async def _locked(target: Target, told: Told) -> None:
    async with await psycopg.AsyncConnection.connect(target.dsn) as holder:
        await holder.execute("SELECT FROM payments WHERE payment_id = %s FOR NO KEY UPDATE", [target.payment])
        await _repeated(target, told, [_capture] * 200)


async def _repeated(target: Target, told: Told, acts: Sequence[Act]) -> None:
    """Let as many clients as there are acts do theirs again and again, until it is over."""
    keys = count()

    async def client(http: httpx.AsyncClient, act: Act) -> None:
        while not told.over.is_set():
            with suppress(httpx.TransportError):
                await act(http, target.payment, next(keys))
            await asyncio.sleep(_PAUSE_S)

    async with _http(target) as http, asyncio.TaskGroup() as clients:
        running = [clients.create_task(client(http, act)) for act in acts]
        await asyncio.sleep(1)
        told.is_under_way()
        await asyncio.to_thread(told.over.wait)
        for each in running:
            each.cancel()


@asynccontextmanager
async def _http(target: Target) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{target.port}",
        headers={"Authorization": f"Bearer {target.token}"},
        timeout=_CLIENT_LIMIT_S,
        limits=httpx.Limits(max_connections=None),
        trust_env=False,
    ) as http:
        yield http


async def _capture(http: httpx.AsyncClient, payment: str, key: int, amount: int = AMOUNT_CENTS) -> None:
    await http.post(
        f"/payments/{payment}/captures",
        json={"amount_cents": amount},
        headers={"Idempotency-Key": f"attack {key}"},
    )


async def _refuse(http: httpx.AsyncClient, payment: str, key: int) -> None:
    await _capture(http, payment, key, AMOUNT_CENTS + 1)


async def _list(http: httpx.AsyncClient, payment: str, _key: int) -> None:
    await http.get(f"/payments/{payment}/captures")


def _fill(target: Target, refusals: int) -> None:
    """Store refusals of the payment, as its captures would have been."""
    with psycopg.connect(target.dsn) as owner:
        owner.execute(
            "INSERT INTO capture_attempts SELECT %s, 'old ' || n, %s, 'amount_mismatch', 422, '{}', now()"
            " FROM generate_series(1, %s) AS n",
            [target.payment, AMOUNT_CENTS + 1, refusals],
        )
        owner.execute(
            "INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents,"
            " idempotency_key, answer_sha256)"
            " SELECT %s, n + 2, 'amount_mismatch', now(), %s, 'old ' || n, sha256('{}')"
            " FROM generate_series(1, %s) AS n",
            [target.payment, AMOUNT_CENTS + 1, refusals],
        )
    with psycopg.connect(target.dsn, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE) capture_attempts, payment_events")
