"""What this repository's service is made of: its schema, a session, its statements and its sources."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.static_checks.check import Shipped, static_check
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
                   'idle_in_transaction_session_timeout')
    UNION ALL SELECT 'is_superuser', current_setting('is_superuser')
"""


@contextmanager
def shipped_parts(bin_dir: Path | None = None) -> Iterator[Shipped]:
    """What the service is made of, with a migrated database of its own, whose clock is the real one.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with migrated_database(bin_dir) as dsn:
        yield Shipped(
            dsn=dsn,
            session=asyncio.run(_session(dsn)),
            statements={
                name: value
                for name, value in vars(statements).items()
                if isinstance(value, str) and name.isupper() and not name.endswith("_COLUMNS")
            },
            migrations=Path(str(statements.__file__)).parent / "migrations",
            sources=[file for layer in _DECIDING for file in sorted((_PACKAGE / layer).rglob("*.py"))],
        )


def shipped_static_check(bin_dir: Path | None = None, *, progress: Progress = no_progress) -> CheckResult:
    """Look at this repository's service, see `static_check`.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with shipped_parts(bin_dir) as shipped:
        return static_check("this repository's service", shipped, progress=progress)


async def _session(dsn: str) -> dict[str, str]:
    """Settings of a session as the service opens it."""
    async with make_pool(Settings(database_url=dsn, pool_min=1)) as pool, pool.connection() as connection:
        found = await connection.execute(_SESSION)
        rows = await found.fetchall()
    return dict(rows)
