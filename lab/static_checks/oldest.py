"""Whether the oldest server that the service runs on knows what it is asked for, whichever server is here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import psycopg

from lab.static_checks.findings import Findings
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool
from payments_core.infrastructure.postgres.migrate import turn

_KNOWN = frozenset(Path(__file__).with_name("settings_of_postgresql_15.txt").read_text("utf-8").split())
_VERSIONS = (150_000, 160_000)
"""Those that know fewer settings than the servers that are usual here."""
_MADE = "SELECT name FROM pg_settings WHERE source = 'session'"
_NO_SQL = re.compile(r"--.*|'[^']*'")
_NEWER = re.compile(
    r"""
    \b(?: uuidv[47] | any_value
        | json_(?:exists|query|scalar|serialize|table|value) | json_(?:array|object)(?:agg)?
        | merge_action | array_(?:reverse|sample|shuffle|sort) | random_normal | casefold | crc32c? | l?gamma
        | erfc? | to_(?:bin|oct) | date_(?:add|subtract) | pg_input_\w+ | unicode_assigned | system_user
        | maintain
    )\b
    | \brandom\s*\(\s*[^)\s] | \bIS\s+(?:NOT\s+)?JSON\b | \bMERGE\b[^;]*\bRETURNING\b
    | \bRETURNING\b[^;]*\b(?:old|new)\s*\. | \bRETURNING\s+WITH\b | \bNOT\s+ENFORCED\b
    | \bWITHOUT\s+OVERLAPS\b
    | \bVIRTUAL\b | \bAT\s+LOCAL\b | \b0[xob][0-9a-f] | \b\d+_\d | \bWITH\s+(?:INHERIT|SET)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What SQL has had since PostgreSQL 16, 17 or 18, as far as it may be of use here."""


def check_texts(texts: Mapping[str, str]) -> Findings:
    """Look for SQL that the oldest server does not understand.

    Args:
        texts: statements, or several at once, by name.
    """
    found = ((name, _NEWER.search(_NO_SQL.sub("''", text))) for name, text in texts.items())
    problems = [
        f"I9: PostgreSQL 15 does not know {each[0]!r}: {name}" for name, each in found if each is not None
    ]
    return Findings(len(texts), problems)


def check_made(dsn: str) -> Findings:
    """Open sessions of the service and of a migrator with servers that say they are older than they are.

    Args:
        dsn: a migrated database, as its owner reaches it.

    Raises:
        psycopg.Error: if the database cannot be used.
    """
    with psycopg.connect(dsn) as connection:
        version = connection.info.server_version
    asked = [each for each in _VERSIONS if each <= version]
    return Findings(2 * len(asked), [problem for each in asked for problem in _unknown_to(each, dsn)])


def _unknown_to(version: int, dsn: str) -> Iterator[str]:
    with patch.object(psycopg.ConnectionInfo, "server_version", version):
        with turn(dsn) as connection:
            migrator = {name for (name,) in connection.execute(_MADE).fetchall()}
        service = asyncio.run(_made(dsn))
    for whose, made in (("the service", service), ("migrate", migrator)):
        for name in sorted(made - _KNOWN):
            yield f"I9: {whose} sets {name} on PostgreSQL {version // 10_000}, which may not know it"


async def _made(dsn: str) -> set[str]:
    """The settings that a session of the service has made."""
    async with (
        make_pool(Settings(database_url=dsn, pool_min=1, pool_max=1)) as pool,
        pool.connection() as connection,
    ):
        return {name for (name,) in await (await connection.execute(_MADE)).fetchall()}
