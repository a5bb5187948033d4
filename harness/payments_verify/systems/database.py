"""A PostgreSQL of the harness's own: embedded, migrated, with a clock that can be set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from payments_core.infrastructure.embedded import temporary_postgres
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify import clock


@contextmanager
def prepared_database(bin_dir: Path | None = None) -> Iterator[str]:
    """A fresh database on a server of its own, for as long as the block runs.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.

    Yields:
        Its connection string.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with temporary_postgres(bin_dir=bin_dir) as server:
        dsn = server.create_database("verify")
        migrate(dsn)
        clock.install(dsn)
        yield dsn
