"""Apply the schema's migrations: the plain SQL files in `migrations`, by yoyo-migrations.

Each migration and the record of it are one transaction, so a killed migrator leaves nothing half done.
Migrators that run together take turns by an advisory lock, which PostgreSQL frees when its holder dies.
"""

from __future__ import annotations

import getpass
import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import Migration, MigrationList, default_migration_table

from payments_core.infrastructure.postgres.options import named
from payments_core.infrastructure.postgres.session import (
    needs,
    parameters,
    require_own_sessions,
    set_all,
)

MOVABLE = "movable"
"""The comment on ``payment_clock()`` where that clock can be moved, as in a demonstration."""

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x7061796D656E7473  # "payments" in ASCII: any constant that nobody else uses
_LOCK_LIMIT_MS = 60_000
_CLOCK = (
    "SELECT clock, obj_description(clock, 'pg_proc') FROM to_regprocedure('public.payment_clock()') AS clock"
)
# Which end a session that takes long, each with the version of PostgreSQL that first knows it.
_ENDLESS = {
    "statement_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "idle_session_timeout": 140_000,
    "transaction_timeout": 170_000,
}


class MigrationError(RuntimeError):
    """The schema cannot be migrated, or is not what it has to be; the message says why and what to do."""


def migrate(dsn: str) -> list[str]:
    """Apply what is missing, in order, and return the ids of the migrations applied.

    Args:
        dsn: Connection string (URL or key=value) of a role that may create tables and roles.

    Raises:
        MigrationError: Another migrator held the lock for a minute, or there are no migrations.
        psycopg.Error: The connection or a migration failed; migrations before it stay applied.
    """
    with turn(dsn), _Backend.open(dsn) as backend:
        # Whoever left a row in yoyo's own lock table is dead: a live one would hold the advisory lock.
        backend.break_lock()
        missing = backend.to_apply(_known())
        backend.apply_migrations(missing)
        return [migration.id for migration in missing]


def known() -> list[str]:
    """The ids of the migrations that this version ships, in order.

    Raises:
        MigrationError: There are none.
    """
    return [migration.id for migration in _known()]


def pending(dsn: str, role: str = "") -> list[str]:
    """The ids of the migrations that are not yet applied, in order. Writes nothing; reads one table.

    Args:
        dsn: Connection string of the service.
        role: What it works as; empty to stay who connects.

    Raises:
        MigrationError: There are no migrations.
        psycopg.Error: The connection failed.
    """
    with _service_session(dsn, role) as connection:
        table = connection.execute("SELECT to_regclass(%s)", [default_migration_table]).fetchone()
        if table is None or table[0] is None:
            return [migration.id for migration in _known()]
        rows = connection.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    applied = {row[0] for row in rows}
    return [migration.id for migration in _known() if migration.id not in applied]


def has_movable_clock(dsn: str, role: str = "") -> bool:
    """Whether the clock of a migrated database is marked as `MOVABLE`: it then decides nothing that matters.

    Args:
        dsn: Connection string of the service.
        role: What it works as; empty to stay who connects.

    Raises:
        MigrationError: The clock is not where the migrations put it, so that nobody knows.
        psycopg.Error: The connection failed.
    """
    with _service_session(dsn, role) as connection:
        row = connection.execute(_CLOCK).fetchone()
    if row is None or row[0] is None:
        raise MigrationError(
            "the database has no function public.payment_clock(), as migrated ones have: restore it"
        )
    is_movable: bool = row[1] == MOVABLE
    return is_movable


def roll_back(dsn: str) -> list[str]:
    """Undo every applied migration, newest first, **with all data**, and return their ids.

    Raises:
        MigrationError: Another migrator held the lock for a minute, or there are no migrations.
        psycopg.Error: The connection or a migration failed.
    """
    with turn(dsn), _Backend.open(dsn) as backend:
        backend.break_lock()
        applied = backend.to_rollback(_known())
        backend.rollback_migrations(applied)
        return [migration.id for migration in applied]


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc] # yoyo has no types
    """yoyo's backend, except that a migration and its record commit together."""

    @classmethod
    def open(cls, dsn: str) -> _Backend:
        given = {name: str(value) for name, value in conninfo_to_dict(dsn, **parameters(dsn)).items()}
        database = given.pop("dbname", None)
        uri = DatabaseURI("postgresql+psycopg", None, None, None, None, database, given)
        backend = cls(uri, default_migration_table)
        backend.init_database()
        return backend

    def init_connection(self, connection: psycopg.Connection) -> None:
        _prepare(connection)

    def get_log_data(self, migration: Migration | None = None, operation: str = "apply") -> dict[str, object]:
        """What the log says of a migration; of the host, what it calls itself: a resolver may be slow."""
        now: object = self.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()[0]
        return {
            "id": str(uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": _user(),
            "hostname": socket.gethostname(),
            "created_at_utc": now,
            "operation": operation,
        }

    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:
        self.ensure_internal_schema_updated()
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            self.log_migration(migration, "apply")
            if mark:
                self.mark_one(migration, log=False)

    def rollback_one(self, migration: Migration, force: bool = False) -> None:
        self.ensure_internal_schema_updated()
        with self.transaction():
            migration.process_steps(self, "rollback", force=force)
            self.log_migration(migration, "rollback")
            self.unmark_one(migration, log=False)


def _known() -> MigrationList:
    # yoyo takes the folder for a pattern, and finds nothing in one that is not there.
    found = yoyo.read_migrations(glob.escape(str(MIGRATIONS)))
    if not found:
        raise MigrationError(f"there are no migrations in {MIGRATIONS}: install payments-core again")
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user may be a number alone
        return str(os.getuid())


@contextmanager
def _service_session(dsn: str, role: str) -> Iterator[psycopg.Connection]:
    """A transaction that finds what the service finds, as the role that the service works as.

    A login that may not take that on stays who it is: what it lacks is then said of what it wants to read.
    """
    with psycopg.connect(dsn, **parameters(dsn)) as connection:
        options = connection.info.get_parameters().get("options", "")
        connection.execute(set_all(needs(connection.info.server_version, options), is_local=True).encode())
        if role and "role" not in named(options):
            refused = psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue
            with suppress(*refused), connection.transaction():
                connection.execute(set_all({"role": f"'{role}'"}, is_local=True).encode())
        yield connection


def _prepare(connection: psycopg.Connection) -> None:
    """Set the session up as the schema needs it, without time limits: a migration may be long."""
    version, options = connection.info.server_version, connection.info.get_parameters().get("options", "")
    limits = {name: "'0'" for name, since in _ENDLESS.items() if version >= since}
    connection.execute(
        set_all({**needs(version, options), **limits, "lock_timeout": f"'{_LOCK_LIMIT_MS}'"}).encode()
    )


@contextmanager
def turn(dsn: str) -> Iterator[psycopg.Connection]:
    """Hold the advisory lock of migrators, on a connection of its own, which keeps its session.

    Raises:
        MigrationError: Another migrator held the lock for a minute.
        psycopg.Error: The connection failed.
    """
    require_own_sessions(dsn, "to migrate")
    with psycopg.connect(dsn, autocommit=True, **parameters(dsn)) as connection:
        _prepare(connection)
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        except psycopg.errors.LockNotAvailable:
            raise MigrationError(
                f"another process has been migrating this database for {_LOCK_LIMIT_MS // 1000} s; "
                "wait for it, or end its session (see pg_locks where locktype = 'advisory')"
            ) from None
        yield connection
