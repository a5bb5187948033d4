"""Databases for runs: each with the shipped schema and as many authorized payments as the run needs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
import psycopg

from payments_core.infrastructure.postgres.migrate import migrate
from pgweave.embedded import EmbeddedPostgres

AMOUNT_CENTS = 1000
_TEMPLATE = "migrated"
SPREAD, FIRST_ID, IDS = 61_803_397, 10_000_000, 90_000_000

# Beside a payment's number stands its id: the same as in payments.lua. They are scattered, as random ids
# are, so that the index is not written at its end only.
_ID = f"rpad(({FIRST_ID} + n * {SPREAD} %% {IDS})::text, 32, '0')::uuid"
AUTHORIZED_AT = "2026-01-01 00:00:00+00"
EXPIRES_AT = "2126-01-01 00:00:00+00"
_INSERT = f"""
    INSERT INTO payments (payment_id, amount_cents, state, created_at, authorized_at, capture_expires_at)
    SELECT {_ID}, {AMOUNT_CENTS}, 'authorized', '{AUTHORIZED_AT}', '{AUTHORIZED_AT}', '{EXPIRES_AT}'
    FROM generate_series(%s::bigint, %s::bigint) AS n
"""
_INSERT_EVENTS = f"""
    INSERT INTO payment_events
        (payment_id, event_number, outcome, decided_at, amount_cents, capture_expires_at)
    SELECT {_ID}, number, outcome, '{AUTHORIZED_AT}', amount_cents, expires_at
    FROM generate_series(%s::bigint, %s::bigint) AS n,
         (VALUES (1, 'created', {AMOUNT_CENTS}, NULL), (2, 'authorized', NULL, '{EXPIRES_AT}'::timestamptz))
             AS event (number, outcome, amount_cents, expires_at)
"""
_numbers = count(1)


class Hot(msgspec.Struct, frozen=True):
    """Updates of payments, and those of them that touched no index (HOT)."""

    updates: int
    hot: int

    @property
    def share(self) -> float:
        """The part that was HOT, 0 to 1."""
        return self.hot / self.updates


class Database:
    """One database, for one run.

    Attributes:
        dsn: its connection URL, of the superuser, by the Unix socket.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def add_authorized(self, first: int, payments: int) -> None:
        """Store payments by number, authorized, and let the server write them to disk.

        They are born authorized, which a trigger refuses to everybody else: a run is about what comes then.
        """
        with psycopg.connect(self.dsn) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(_INSERT, (first, first + payments - 1))
            connection.execute(_INSERT_EVENTS, (first, first + payments - 1))
        self.settle()

    def settle(self) -> None:
        """Let nothing of what was done before be done during the run."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE) payments, capture_attempts, payment_events")
        self.write_out()

    def write_out(self) -> None:
        """Have the server write to disk what it has not yet written."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def captured(self) -> int:
        """How many payments have been captured."""
        return self._count("SELECT count(*) FROM payments WHERE state = 'captured'")

    def attempts(self) -> int:
        """How many capture attempts are stored."""
        return self._count("SELECT count(*) FROM capture_attempts")

    def hot(self) -> Hot:
        """The updates since the database was made, as counted by the sessions that have ended."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'payments'"
            ).fetchone()
        assert row is not None, "the schema has this table"
        return Hot(row[0], row[1])

    def _count(self, query: str) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None, "a count has a row"
        number: int = row[0]
        return number


@contextmanager
def durable_server() -> Iterator[EmbeddedPostgres]:
    """A server as it is shipped, in a new folder: a commit is on disk before it is answered.

    Raises:
        EmbeddedPostgresError: it cannot start.
    """
    folder = Path(tempfile.mkdtemp(prefix="payments-bench-pg-"))
    try:
        with EmbeddedPostgres(folder) as server:
            migrate(server.create_database(_TEMPLATE))
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: EmbeddedPostgres, payments: int) -> Iterator[Database]:
    """A database with this many authorized payments, numbered from 0; dropped after the block."""
    with _copied(server, _TEMPLATE) as made:
        made.add_authorized(0, payments)
        yield made


@contextmanager
def template(server: EmbeddedPostgres, payments: int) -> Iterator[str]:
    """The name of a database for `copy`, with this many authorized payments; dropped after the block."""
    name = f"authorized_{payments}"
    try:
        Database(server.create_database(name, template=_TEMPLATE)).add_authorized(0, payments)
        yield name
    finally:
        server.drop_database(name)


@contextmanager
def copy(server: EmbeddedPostgres, name: str) -> Iterator[Database]:
    """A copy of a database, which takes less time than to store its payments; dropped after the block."""
    with _copied(server, name) as made:
        made.write_out()
        yield made


@contextmanager
def _copied(server: EmbeddedPostgres, of: str) -> Iterator[Database]:
    name = f"bench_{next(_numbers)}"
    server.create_database(name, template=of)
    try:
        yield Database(server.dsn(name, unix_socket=True))
    finally:
        server.drop_database(name)
