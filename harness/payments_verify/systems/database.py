"""A PostgreSQL of the harness's own: embedded, migrated, with a clock that can be set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from payments_core.infrastructure.embedded import temporary_postgres
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify import clock

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
        clock.install(dsn)
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
