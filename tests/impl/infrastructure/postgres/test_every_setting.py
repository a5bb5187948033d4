"""Whatever is set for a database: captures are decided by the rules, or the client is told to come again."""

from __future__ import annotations

import asyncio

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.impl.infrastructure.postgres.test_strange_databases import service_on
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

SETTABLE = """
    SELECT name, vartype, min_val, max_val, enumvals, boot_val FROM pg_settings
    WHERE context IN ('user', 'superuser') AND name NOT LIKE ALL (%s) ORDER BY name
"""
UNTRIED = ["debug\\_%", "trace\\_%", "log\\_%", "%preload_libraries", "session_authorization", "role"]
"""What only writes to the server's log, or is the login's own."""
TOLD_TO_COME_AGAIN = {"default_transaction_read_only", "session_replication_role", "dynamic_library_path"}
"""With these no payment can be captured, and nothing else stops it."""


def odd_values(vartype: str, least: str, most: str, values: list[str] | None, default: str) -> list[str]:
    """Values of a setting that hardly anybody means; not all of them may be legal."""
    if vartype == "string":
        return ["nowhere"]
    if vartype == "bool":
        values = ["on", "off"]
    return [each for each in values or (least, most) if each != default][-2:]


async def race(http: httpx.AsyncClient, clients: int = 10) -> list[httpx.Response]:
    """What captures of one payment, under keys of their own, are answered with; or what came before them."""
    created = await http.post("/payments", json={"amount_cents": 500})
    if created.status_code != 201:
        return [created]
    url = created.headers["location"]
    authorized = await http.post(f"{url}/authorize", json={"capture_window_seconds": 600})
    if authorized.status_code != 200:
        return [authorized]
    captures = (
        http.post(f"{url}/captures", json={"amount_cents": 500}, headers={"Idempotency-Key": str(each)})
        for each in range(clients)
    )
    return await asyncio.gather(*captures)


async def test_captures_are_decided_once_or_told_to_come_again(database: Database) -> None:
    stopped_by, strange = set(), {}
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        settings = owner.execute(SETTABLE, (UNTRIED,)).fetchall()
        tried = [(name, value) for name, *kind in settings for value in odd_values(*kind)]
        for name, value in tried:
            if not is_set(owner, database.name, name, value):
                continue
            async with service_on(database.dsn) as http:
                answers = await race(http)
            statuses = sorted(each.status_code for each in answers)
            if set(statuses) == {503}:
                stopped_by.add(name)
            elif statuses.count(201) != 1 or not set(statuses) <= {201, 409, 503}:
                strange[f"{name} = {value}"] = statuses
    assert strange == {}
    assert stopped_by <= TOLD_TO_COME_AGAIN
    assert len(tried) > 100


def is_set(owner: psycopg.Connection, database: str, name: str, value: str) -> bool:
    """Set this alone for a database, if it is legal there; whether it is."""
    of = sql.Identifier(database)
    owner.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(of))
    try:
        owner.execute(sql.SQL("ALTER DATABASE {} SET {} = {}").format(of, sql.Identifier(name), value))
    except psycopg.Error:
        return False
    return True
