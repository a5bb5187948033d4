"""A PostgreSQL of the harness's own: embedded, migrated, with a clock that can be set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.payments.service.under_test import ServiceUnderTest
from pgweave import clock
from pgweave.embedded import temporary_postgres

CLOCK_FUNCTION = "payment_clock"
"""The service's own clock, in the schema."""

_NAME = "verify"


@contextmanager
def prepared_database(
    bin_dir: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A fresh database on a server of its own, for as long as the block runs.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        settings: more settings of the server.

    Yields:
        Its connection string.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with migrated_database(bin_dir, settings) as dsn:
        clock.install(dsn, CLOCK_FUNCTION)
        yield dsn


@contextmanager
def migrated_database(
    bin_dir: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The same, with the clock that the migrations give it."""
    with temporary_postgres(bin_dir=bin_dir, settings=settings) as server:
        server.create_database(_NAME)
        dsn = server.dsn(_NAME, unix_socket=True)
        migrate(dsn)
        yield dsn


@asynccontextmanager
async def on_new_database(
    dsn: str,
    open_on: Callable[[str], AbstractAsyncContextManager[ServiceUnderTest]],
    audit: Callable[[str], str | None] | None = None,
) -> AsyncIterator[ServiceUnderTest]:
    """A system on a database that nobody has used, prepared beside another and dropped at the end.

    Args:
        dsn: the other, of a server of the harness's own.
        open_on: opens the system on a database.
        audit: what is wrong with what a database holds, if anything is.
    """
    with new_database(dsn) as new:
        async with open_on(new) as system:
            yield replace(system, is_new=True, audit=None if audit is None else partial(audit, new))


@contextmanager
def new_database(dsn: str) -> Iterator[str]:
    """A database that nobody has used, prepared beside another; yields its connection string.

    Args:
        dsn: the other, of a server of the harness's own.
    """
    with unmigrated_database(dsn) as new:
        migrate(new)
        clock.install(new, CLOCK_FUNCTION)
        yield new


@contextmanager
def unmigrated_database(dsn: str) -> Iterator[str]:
    """A database without a schema, made beside another and dropped at the end; yields its connection string.

    Args:
        dsn: the other, of a server of the harness's own.
    """
    name = f"{_NAME}_{uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def password_of(dsn: str) -> str:
    """The password in a connection string; one that nobody has, if there is none."""
    return str(conninfo_to_dict(dsn).get("password") or uuid4().hex)
