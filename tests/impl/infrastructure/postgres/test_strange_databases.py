"""Databases as they are set up: the service works in them, or says at its start and in `/readyz` why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres.migrate import migrate, pending, roll_back
from payments_core.infrastructure.postgres.session import SessionError
from pgweave.embedded import EmbeddedPostgres
from tests.support.api import problem
from tests.support.guarded import guarded_over
from tests.support.postgres import Database
from tests.support.processes import run

pytestmark = pytest.mark.anyio

POOL = 2


@asynccontextmanager
async def service_on(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application over a database, in this process."""
    async with (
        make_pool(Settings(database_url=dsn, pool_min=1, pool_max=POOL, pool_timeout_s=1)) as pool,
        guarded_over(postgres_store(pool)) as service,
    ):
        yield service.http


async def capture(http: httpx.AsyncClient, key: str = "key") -> list[int]:
    """What a payment's life is answered with, with every kind of statement in it."""
    created = await http.post("/payments", json={"amount_cents": 500})
    url = created.headers.get("location", "/payments/none")
    answers = [
        created,
        await http.post(f"{url}/captures", json={"amount_cents": 500}, headers={"Idempotency-Key": "early"}),
        await http.post(f"{url}/authorize", json={"capture_window_seconds": 60}),
        *[
            await http.post(f"{url}/captures", json={"amount_cents": 500}, headers={"Idempotency-Key": key})
            for _ in range(2)
        ],
        await http.get(url),
        await http.get(f"{url}/captures"),
        await http.get("/payments"),
        await http.get("/readyz"),
    ]
    return [answer.status_code for answer in answers]


WHOLE_LIFE = [201, 409, 200, 201, 201, 200, 200, 200, 200]


def alter(database: Database, settings: str) -> None:
    """Set something for every new session in a database: ``name = value``, several after semicolons."""
    writing = "-c default_transaction_read_only=off"
    with psycopg.connect(database.dsn, autocommit=True, options=writing) as owner:
        for setting in settings.split("; "):
            owner.execute(f"ALTER DATABASE {database.name} SET {setting}".encode())


HARMLESS = [
    "search_path = app",
    "search_path = ''",
    "search_path = app, pg_catalog, public",
    'search_path = "$user"',
    "default_transaction_isolation = serializable",
    "default_transaction_isolation = 'repeatable read'; default_transaction_deferrable = on",
    "standard_conforming_strings = off; backslash_quote = off; escape_string_warning = on",
    "bytea_output = escape; extra_float_digits = -15; xmloption = document",
    "DateStyle = German; IntervalStyle = sql_standard; TimeZone = 'Asia/Kathmandu'",
    "DateStyle = 'SQL, DMY'; TimeZone = 'Etc/GMT+12'",
    "row_security = off; transform_null_equals = on; array_nulls = off; quote_all_identifiers = on",
    "lock_timeout = '50ms'; statement_timeout = '50ms'; idle_in_transaction_session_timeout = '50ms'",
    "client_min_messages = error",
    "client_encoding = latin1",
    "client_encoding = sql_ascii",
    "exit_on_error = on",
    "synchronous_commit = off; commit_delay = 10",
    "plan_cache_mode = force_custom_plan; enable_indexscan = off; enable_bitmapscan = off",
    "check_function_bodies = off; default_toast_compression = pglz",
]


@pytest.mark.parametrize("settings", HARMLESS)
async def test_a_database_with_settings(empty_database: Database, settings: str) -> None:
    with psycopg.connect(empty_database.dsn, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA app")
        owner.execute("CREATE TABLE app.payments (decoy int)")
    alter(empty_database, settings)
    migrate(empty_database.dsn)
    assert pending(empty_database.dsn) == []
    await session(Settings()).require(empty_database.dsn)
    async with service_on(empty_database.dsn) as http:
        assert await capture(http) == WHOLE_LIFE
    roll_back(empty_database.dsn)


async def test_transactions_of_a_short_time(empty_database: Database) -> None:
    with psycopg.connect(empty_database.dsn) as owner:
        if owner.info.server_version < 170_000:
            pytest.skip("before PostgreSQL 17 transactions have no limit")
    alter(empty_database, "transaction_timeout = '40ms'")
    migrate(empty_database.dsn)
    async with service_on(empty_database.dsn) as http:
        assert await capture(http) == WHOLE_LIFE


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP", "KOI8R"])
async def test_a_database_in_another_encoding(postgres_server: EmbeddedPostgres, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as owner:
        made = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        owner.execute(made.encode())
    try:
        dsn = postgres_server.dsn(name)
        applied = run(["migrate"], {"DATABASE_URL": dsn})
        assert (applied.returncode, applied.stderr) == (0, "")
        await session(Settings()).require(dsn)
        async with service_on(dsn) as http:
            assert await capture(http, key="~ key!") == WHOLE_LIFE
    finally:
        postgres_server.drop_database(name)


@pytest.mark.parametrize(
    ("setting", "chosen"),
    [
        ("client_min_messages = error", "notice"),
        ("synchronous_commit = off", "on"),
        ("synchronous_commit = remote_apply", "remote_apply"),
        ("default_transaction_isolation = serializable", "read committed"),
        ("search_path = app", "public, app"),
        ("lock_timeout = 1234", "5s"),
    ],
)
async def test_what_a_session_chooses(database: Database, setting: str, chosen: str) -> None:
    alter(database, setting)
    async with make_pool(Settings(database_url=database.dsn)) as pool, pool.connection() as connection:
        shown = await connection.execute(f"SHOW {setting.split(maxsplit=1)[0]}".encode())
        assert await shown.fetchone() == (chosen,)


@pytest.mark.parametrize(("asked", "given"), [("local", "local"), ("off", "local"), ("on", "on")])
async def test_a_connection_may_wait_for_no_standby_and_its_commits_are_durable_here(
    database: Database, asked: str, given: str
) -> None:
    dsn = psycopg.conninfo.make_conninfo(database.dsn, options=f"-c synchronous_commit={asked}")
    async with make_pool(Settings(database_url=dsn)) as pool, pool.connection() as connection:
        shown = await connection.execute(b"SHOW synchronous_commit")
        assert await shown.fetchone() == (given,)


# ---- what is refused ----------------------------------------------------------------------------

REFUSED = {
    "default_transaction_read_only = on": "RESET default_transaction_read_only",
    "session_replication_role = replica": "RESET it",
}


@pytest.mark.parametrize(("setting", "advice"), REFUSED.items())
async def test_a_database_where_payments_cannot_be_captured(
    database: Database, setting: str, advice: str
) -> None:
    alter(database, setting)
    with pytest.raises(SessionError, match=advice):
        await session(Settings()).require(database.dsn)
    refused = run(["serve", "--port", "0"], {"DATABASE_URL": database.dsn})
    assert refused.returncode == 2
    assert advice in refused.stderr
    assert "Traceback" not in refused.stderr
    async with service_on(database.dsn) as http:
        problem(await http.get("/readyz"), 503, "unavailable")
        problem(await http.post("/payments", json={"amount_cents": 500}), 503, "unavailable")


@pytest.mark.parametrize("where", ["captures", "payments"])
async def test_a_session_that_cannot_write_is_replaced_by_one_that_can(
    database: Database, where: str
) -> None:
    alter(database, "default_transaction_read_only = on")
    async with service_on(database.dsn) as http:
        url = (
            "/payments" if where == "payments" else f"/payments/{'0' * 8}-0000-4000-8000-{'0' * 12}/captures"
        )
        request = {"json": {"amount_cents": 500}, "headers": {"Idempotency-Key": "key"}}
        problem(await http.post(url, **request), 503, "unavailable")  # type: ignore[arg-type]
        alter(database, "default_transaction_read_only = off")
        for _ in range(POOL):  # what was opened before is found out
            await http.post(url, **request)  # type: ignore[arg-type]
        assert await capture(http) == WHOLE_LIFE


@pytest.mark.parametrize(
    "withdrawn",
    [
        "UPDATE (state) ON payments",
        "SELECT ON payments",
        "INSERT ON capture_attempts",
        "INSERT ON payment_events",
        "SELECT ON _yoyo_migration",
    ],
)
async def test_a_role_that_may_not_capture_is_not_ready(database: Database, withdrawn: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(f"REVOKE {withdrawn} FROM payments_app".encode())
    async with service_on(database.dsn) as http:
        problem(await http.get("/readyz"), 503, "unavailable")
        assert 503 in (answered := await capture(http))
        assert 500 not in answered


LIBRARIES = {
    "of the clock, gone": ("payment_clock", "/nowhere/clock"),
    "of the clock, broken": ("payment_clock", "/etc/passwd"),
    "of the guards' language, gone": ("plpgsql_%", "$libdir/none"),
    "of the guards' language, broken": ("plpgsql_%", "/etc/passwd"),
}


@pytest.mark.parametrize(("function", "library"), LIBRARIES.values(), ids=LIBRARIES)
async def test_a_database_that_cannot_load_a_library_is_not_ready(
    database: Database, function: str, library: str
) -> None:
    with psycopg.connect(database.dsn) as owner:
        owner.execute("SET allow_system_table_mods = on")
        owner.execute(
            "UPDATE pg_proc SET prolang = 13, probin = %s, prosrc = 'none', prosqlbody = NULL"  # in C
            " WHERE proname LIKE %s",
            [library, function],
        )
    async with service_on(database.dsn) as http:
        problem(await http.get("/readyz"), 503, "unavailable")
        assert 503 in (answered := await capture(http))
        assert 500 not in answered
