"""What this repository's service is made of: its schema, a session, its statements and its sources."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psycopg
from psycopg import sql

from lab.static_checks.check import Shipped, static_check
from lab.static_checks.costs import check_costs
from lab.static_checks.oldest import check_made
from lab.static_checks.session_levels import PAGE, check_levels
from payments_core.entrypoints import tokens
from payments_core.entrypoints.http.contract import openapi_json
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool
from payments_core.infrastructure.postgres import statements
from payments_verify.result import CheckResult, Progress, no_progress
from payments_verify.systems.database import migrated_database

_PACKAGE = Path(str(statements.__file__)).parents[2]
_DECIDING = ("domain", "application", "infrastructure/postgres")
_SESSION = """
    SELECT name, setting FROM pg_settings
    WHERE name IN ('synchronous_commit', 'statement_timeout', 'lock_timeout',
                   'idle_in_transaction_session_timeout', 'default_transaction_isolation',
                   'standard_conforming_strings')
    UNION ALL SELECT 'is_superuser', current_setting('is_superuser')
    UNION ALL SELECT 'schema', relnamespace::regnamespace::text FROM pg_class
        WHERE oid = to_regclass('payments')
"""
_OTHER_SETTINGS = {
    "search_path": "elsewhere",
    "default_transaction_isolation": "serializable",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""Settings of a database with which its other users may well live."""


@contextmanager
def shipped_parts(bin_dir: Path | None = None) -> Iterator[Shipped]:
    """What the service is made of, with a migrated database of its own, whose clock is the real one.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    texts = shipped_statements()
    with migrated_database(bin_dir) as dsn:
        yield Shipped(
            dsn=dsn,
            session=asyncio.run(_session(dsn)),
            levels=asyncio.run(check_levels(dsn, PAGE.read_text(encoding="utf-8"))),
            oldest=check_made(dsn),
            statements=texts,
            costs=lambda: check_costs(dsn, texts),
            migrations=Path(str(statements.__file__)).parent / "migrations",
            contract=openapi_json(),
            refusal=refusal,
            defaults=defaults(),
            sources=[file for layer in _DECIDING for file in sorted((_PACKAGE / layer).rglob("*.py"))],
            all_sources=sorted(_PACKAGE.rglob("*.py")),
        )


def shipped_statements() -> Mapping[str, str]:
    """What the service sends, by name."""
    return {
        name: value
        for name, value in vars(statements).items()
        if isinstance(value, str) and name.isupper() and not name.endswith("_COLUMNS")
    }


def shipped_static_check(bin_dir: Path | None = None, *, progress: Progress = no_progress) -> CheckResult:
    """Look at this repository's service, see `static_check`.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with shipped_parts(bin_dir) as shipped:
        return static_check("this repository's service", shipped, progress=progress)


def refusal(variables: Mapping[str, str]) -> str | None:
    """Why the service refuses an environment of these variables; ``None`` if it would serve."""
    others = {name for name in os.environ if name.startswith("PAYMENTS_") or name == "DATABASE_URL"}
    with patch.dict(os.environ, variables):
        for name in others - variables.keys():
            del os.environ[name]
        try:
            settings = Settings()
            tokens.load(settings.tokens, settings.tokens_file)
        except ValueError as error:
            return str(error)
    return None


def defaults() -> Mapping[str, str]:
    """The defaults of the service's settings by their variables, in the words of its page."""
    return {
        str(field.validation_alias or f"PAYMENTS_{name.upper()}"): _written(field.default)
        for name, field in Settings.model_fields.items()
    }


def _written(default: object) -> str:
    match default:
        case None:
            return "none"
        case "":
            return "empty"
        case bool():
            return "yes" if default else "no"
        case float():
            return f"{default:g}"
        case _:
            return str(default)


async def _session(dsn: str) -> dict[str, str]:
    """Settings of a session as the service opens it, on a database that has others."""
    with _other_settings(dsn):
        return await _settings_of_session(dsn)


async def _settings_of_session(dsn: str) -> dict[str, str]:
    async with make_pool(Settings(database_url=dsn, pool_min=1)) as pool, pool.connection() as connection:
        found = await connection.execute(_SESSION)
        rows = await found.fetchall()
    return dict(rows)


@contextmanager
def _other_settings(dsn: str) -> Iterator[None]:
    """Within the block the database has `_OTHER_SETTINGS`, and tables of the same names elsewhere."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(
            "CREATE SCHEMA elsewhere CREATE TABLE payments () CREATE TABLE capture_attempts ()"
        )
        connection.execute("GRANT USAGE ON SCHEMA elsewhere TO PUBLIC")
        for name, value in _OTHER_SETTINGS.items():
            change = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(change.format(database, sql.Identifier(name), sql.Literal(value)))
        try:
            yield
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))
            connection.execute("DROP SCHEMA elsewhere CASCADE")
