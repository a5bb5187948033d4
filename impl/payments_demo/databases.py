"""The databases that ``payments-core serve`` starts where ``DATABASE_URL`` is not set: entry points of it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from payments_core.entrypoints.own_database import OwnDatabase, OwnDatabaseError
from payments_core.infrastructure.postgres.migrate import migrate
from payments_demo import clock
from pgweave.embedded import EmbeddedPostgres, EmbeddedPostgresError, temporary_postgres
from pgweave.embedded.binaries import find_binaries

BIN_DIR_VARIABLE = "PAYMENTS_POSTGRES_BIN"
"""The environment variable that names the folder of the PostgreSQL programs to run."""


@contextmanager
def kept(folder: Path) -> Iterator[OwnDatabase]:
    """A database whose data is kept in a folder for the next start; served with the page.

    Raises:
        OwnDatabaseError: it cannot be started; the message says why and what to do.
    """
    with _reported(), EmbeddedPostgres(folder, bin_dir=_bin_dir()) as server:
        told = [f"applied {each}" for each in migrate(server.dsn())]
        told.append(f"embedded PostgreSQL {server.version}, data in {server.folder}, kept for the next start")
        yield _own_database(server, told, "payments_demo.app:with_page")


@contextmanager
def demonstration(_folder: Path) -> Iterator[OwnDatabase]:
    """A database that is thrown away, with a clock that can be moved; served with the page and that clock.

    Raises:
        OwnDatabaseError: it cannot be started; the message says why and what to do.
    """
    with _reported(), temporary_postgres(bin_dir=_bin_dir()) as server:
        migrate(server.dsn())
        clock.install(server.dsn())
        told = f"demonstration: embedded PostgreSQL {server.version}, removed at the end: {server.folder}"
        yield _own_database(server, [told], "payments_demo.app:with_page_and_clock")


def _own_database(server: EmbeddedPostgres, told: list[str], factory: str) -> OwnDatabase:
    psql = shutil.which("psql") or str(find_binaries(_bin_dir()) / "psql")
    return OwnDatabase(server.dsn(), server.password_file, psql, told, factory)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except EmbeddedPostgresError as error:
        named = f"{BIN_DIR_VARIABLE}={_bin_dir()}: " if _bin_dir() else ""
        raise OwnDatabaseError(f"{named}{error}") from error


def _bin_dir() -> Path | None:
    named = os.environ.get(BIN_DIR_VARIABLE)
    return Path(named) if named else None
