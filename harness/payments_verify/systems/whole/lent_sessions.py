"""Under which settings the service's transactions run, as the database sees it, and what is left of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import psycopg
from psycopg.rows import scalar_row

from payments_core.application.ports import PaymentStore
from payments_core.domain.values import Amount
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres.pool import Pool
from payments_verify.binding import Http
from payments_verify.patience import comes_true
from payments_verify.systems.application import witnessed
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.behind_gate import LONG_MS

_SEES = """
    CREATE TABLE seen (settings jsonb);
    CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz LANGUAGE plpgsql SECURITY DEFINER AS '
    BEGIN
        INSERT INTO public.seen
        SELECT jsonb_object_agg(name, setting) || jsonb_build_object(''role'', current_setting(''role''))
        FROM pg_settings;
        RETURN clock_timestamp();
    END'
"""
"""A clock that notes the settings of whoever asks: each transaction of the service does."""
_SEEN = "DELETE FROM seen RETURNING settings"
_LEFT = """
    SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session'
    UNION ALL SELECT 'role = ' || current_setting('role') WHERE current_setting('role') <> 'none'
    UNION ALL SELECT 'the prepared statement ' || name FROM pg_prepared_statements
    UNION ALL SELECT 'an advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'the channel ' || pg_listening_channels()
    UNION ALL SELECT 'the table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
    ORDER BY 1
"""
_OTHERS = """
    SET default_transaction_isolation = 'repeatable read';
    SET standard_conforming_strings = off;
    SET exit_on_error = on;
    SET client_min_messages = error;
    SET synchronous_commit = off;
    SET search_path = pg_catalog, public;
    SET statement_timeout = 7654321;
    SET lock_timeout = 7654321;
    SET idle_in_transaction_session_timeout = 7654321;
    SELECT set_config(name, '7654321', false) FROM pg_settings WHERE name = 'transaction_timeout';
    SET enable_seqscan = on;
    SET jit = on;
    SET role none
"""
"""What another client of a pooler may leave in a session, which the service has seen otherwise before."""
_AMOUNT, _WRONG, _WINDOW = {"amount_cents": 500}, {"amount_cents": 501}, {"capture_window_seconds": 60}
_Requests: TypeAlias = Sequence[tuple[str, str, Mapping[str, Any] | None]]
_REQUESTS: _Requests = (
    ("PUT", "{}", _AMOUNT),
    ("PUT", "{}", _AMOUNT),
    ("GET", "{}", None),
    ("GET", "/payments", None),
    ("POST", "{}/authorize", _WINDOW),
    ("POST", "{}/captures", _WRONG),
    ("POST", "{}/captures", _WRONG),
    ("POST", "{}/fail", {"reason": "voided"}),
)
"""Requests each of which asks for the time; the braces stand for the payment."""
_POOL: Mapping[str, Any] = {
    "pool_min": 1,
    "pool_max": 2,
    "lock_timeout_ms": LONG_MS,
    "statement_timeout_ms": 2 * LONG_MS,
    "transaction_timeout_ms": 3 * LONG_MS,
    "request_timeout_s": LONG_MS / 100,
}
"""One of two may wait for locks, for as long as it has to."""
_LIMIT_S = 20.0
_PAYMENT = "/payments/ID"
_CREATES = _REQUESTS[:2]
"""Asked again while as many wait for locks as may: an insertion knows no NOWAIT, and has a short timeout."""
_LOCKS = "POST"
"""The method of requests that lock a payment: they are transactions of more than one statement."""
_ISOLATION = "transaction_isolation"
_BREAKS: Mapping[str, str] = {
    **dict.fromkeys(("client_min_messages", "synchronous_commit"), "I7"),
    "search_path": "I8",
    "role": "I2",
}
"""The invariant that a setting is for; I9 for the others."""

_Seen: TypeAlias = Sequence[Mapping[str, str]]
"""The settings of each transaction, or statement, that asked for the time."""
_Isolation: TypeAlias = Literal["read committed", "serializable"]
_Mode: TypeAlias = Literal["session", "transaction"]


async def wrong_settings(dsn: str) -> str | None:
    """How transactions differ from what the service's settings say; ``None`` if they do not.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    with psycopg.connect(dsn, autocommit=True, row_factory=scalar_row) as owner:
        owner.execute(_SEES.encode())
        own, _ = await _asked(dsn, owner, "read committed", "session")
        lent, left = await _asked(dsn, owner, "read committed", "transaction", _OTHERS)
        serializable, _ = await _asked(dsn, owner, "serializable", "session")
        both, left_too = await _asked(dsn, owner, "serializable", "transaction", _OTHERS)
    wrong = _wrong_levels(own, "read committed") or _wrong_levels(serializable, "serializable")
    if not wrong and (left or left_too):
        wrong = f"I9: a session that a pooler lends is left with {', '.join(left or left_too)}"
    return wrong or _differs(own, lent) or _differs(serializable, both)


async def _asked(
    dsn: str, owner: psycopg.Connection[Any], isolation: _Isolation, mode: _Mode, others: str = ""
) -> tuple[list[_Seen], Sequence[str]]:
    """What each request's transactions were under, and what was left of all in the sessions.

    Args:
        dsn: the database.
        owner: a session outside.
        isolation: of the service.
        mode: of the pooler.
        others: what somebody else does in each session once the service has it.
    """
    settings = Settings(database_url=dsn, isolation=isolation, pooler_mode=mode, **_POOL)
    async with make_pool(settings) as pool:
        before = await _each_session(pool, others, _LEFT)
        http = witnessed(store := postgres_store(pool, settings)).http
        seen = await _seen_by(_REQUESTS, http, owner)
        async with _crowded(dsn, store, owner):
            seen += await _seen_by(_CREATES, http, owner)
        left = await _each_session(pool, _LEFT)
    return seen, sorted(left - before or before - left)


async def _each_session(pool: Pool, *statements: str) -> set[str]:
    """What the last of these statements finds in the sessions of a pool."""
    found: set[str] = set()
    async with pool.connection() as one, pool.connection() as another:
        for connection in (one, another):
            for each in filter(None, statements):
                result = await connection.execute(each.encode())
            found |= {text for (text,) in await result.fetchall()}
    return found


async def _seen_by(requests: _Requests, http: Http, owner: psycopg.Connection[Any]) -> list[_Seen]:
    """What each of the requests for a new payment was under."""
    payment = f"/payments/{uuid4()}"
    seen: list[_Seen] = []
    for method, path, body in requests:
        headers = {"Idempotency-Key": "key"} if path.endswith("/captures") else {}
        await http.request(method, path.format(payment), headers=headers, json=body)
        seen.append(owner.execute(_SEEN).fetchall())
    return seen


@asynccontextmanager
async def _crowded(dsn: str, store: PaymentStore, owner: psycopg.Connection[Any]) -> AsyncIterator[None]:
    """Within the block somebody waits for a payment that is held, and nobody else may wait."""
    await store.create(payment := uuid4(), Amount(500))

    async def wait() -> None:
        async with store.lock(payment):
            pass

    with psycopg.connect(dsn) as outside:
        asked.hold(outside, [payment])
        waits = asyncio.ensure_future(wait())
        await comes_true(lambda: asked.waiting(owner) == 1, _LIMIT_S)
        owner.execute(_SEEN)
        yield
    await waits
    owner.execute(_SEEN)


def _wrong_levels(seen: Sequence[_Seen], level: _Isolation) -> str | None:
    """The first request that locks a payment at another level, if one does."""
    for (method, path, _), transactions in zip(_REQUESTS, seen, strict=False):
        levels = {each[_ISOLATION] for each in transactions}
        asked = f"with PAYMENTS_ISOLATION={level} {method} {path.format(_PAYMENT)}"
        if method == _LOCKS and not levels:  # what is rolled back leaves nothing to be seen
            return f"I7: {asked} commits nothing: what it is answered with may be lost with the server"
        if method == _LOCKS and levels != {level}:
            return f"I10: {asked} runs at {' and '.join(sorted(levels))}"
    return None


def _differs(own: Sequence[_Seen], lent: Sequence[_Seen]) -> str | None:
    """The first setting of a transaction that is another where the session is lent, if one is."""
    for number, (expected, found) in enumerate(zip(own, lent, strict=True)):
        method, path, _ = (*_REQUESTS, *_CREATES)[number]
        told = f"with PAYMENTS_POOLER_MODE=transaction {method} {path.format(_PAYMENT)}"
        told += ", where as many wait for locks as may," if number >= len(_REQUESTS) else ""
        if len(expected) != len(found):
            return f"I9: {told} asks for the time {len(found)} times, and not {len(expected)} times"
        for before, after in zip(expected, found, strict=True):
            others = sorted(name for name in before if _begin(before[name]) != _begin(after.get(name, "")))
            if others:
                name = others[0]
                breaks = _BREAKS.get(name, "I9")
                return f"{breaks}: {told} has {name} = {after.get(name)}, and not {before[name]}"
    return None


def _begin(value: str) -> str:
    """Where a list begins: of the schemas that are looked through, the first."""
    return value.partition(",")[0]
