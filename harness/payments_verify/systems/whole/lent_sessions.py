"""Under which settings the service's transactions run, as the database sees it, and what is left of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import psycopg
from psycopg.rows import scalar_row

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_verify.systems.application import witnessed

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
_AMOUNT, _WRONG, _WINDOW = {"amount_cents": 500}, {"amount_cents": 501}, {"capture_window_seconds": 60}
_REQUESTS: Sequence[tuple[str, str, Mapping[str, Any] | None]] = (
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
_PAYMENT = "/payments/ID"
_LOCKS = "POST"
"""The method of requests that lock a payment: they are transactions of more than one statement."""
_ISOLATION = "transaction_isolation"

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
        lent, left = await _asked(dsn, owner, "read committed", "transaction")
        serializable, _ = await _asked(dsn, owner, "serializable", "session")
        both, left_too = await _asked(dsn, owner, "serializable", "transaction")
    wrong = _wrong_levels(own, "read committed") or _wrong_levels(serializable, "serializable")
    if not wrong and (left or left_too):
        wrong = f"I9: a session that a pooler lends is left with {', '.join(left or left_too)}"
    return wrong or _differs(own, lent) or _differs(serializable, both)


async def _asked(
    dsn: str, owner: psycopg.Connection[Any], isolation: _Isolation, mode: _Mode
) -> tuple[list[_Seen], Sequence[str]]:
    """What each request's transactions were under, and what was left of all in the session."""
    settings = Settings(database_url=dsn, isolation=isolation, pooler_mode=mode, pool_min=1, pool_max=1)
    async with make_pool(settings) as pool:
        http = witnessed(postgres_store(pool, settings)).http
        payment = f"/payments/{uuid4()}"
        seen: list[_Seen] = []
        for method, path, body in _REQUESTS:
            headers = {"Idempotency-Key": "key"} if path.endswith("/captures") else {}
            await http.request(method, path.format(payment), headers=headers, json=body)
            seen.append(owner.execute(_SEEN).fetchall())
        async with pool.connection() as connection:
            left = await (await connection.execute(_LEFT)).fetchall()
    return seen, [each for (each,) in left]


def _wrong_levels(seen: Sequence[_Seen], level: _Isolation) -> str | None:
    """The first request that locks a payment at another level, if one does."""
    for (method, path, _), transactions in zip(_REQUESTS, seen, strict=True):
        levels = {each[_ISOLATION] for each in transactions}
        if method == _LOCKS and levels != {level}:
            found = " and ".join(sorted(levels)) or "nothing"
            return f"I10: with PAYMENTS_ISOLATION={level} {method} {path.format(_PAYMENT)} runs at {found}"
    return None


def _differs(own: Sequence[_Seen], lent: Sequence[_Seen]) -> str | None:
    """The first setting of a transaction that is another where the session is lent, if one is."""
    for (method, path, _), expected, found in zip(_REQUESTS, own, lent, strict=True):
        asked = f"I9: with PAYMENTS_POOLER_MODE=transaction {method} {path.format(_PAYMENT)}"
        if len(expected) != len(found):
            return f"{asked} asks for the time {len(found)} times, and not {len(expected)} times"
        for before, after in zip(expected, found, strict=True):
            others = sorted(name for name in before if before[name] != after.get(name))
            if others:
                name = others[0]
                return f"{asked} has {name} = {after.get(name)}, and not {before[name]}"
    return None
