"""Whether a connection can do what a capture does."""

from psycopg import errors

from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.connection import Connection, Row
from payments_core.infrastructure.postgres.session import (
    SessionError,
    require_guards,
    require_primary,
    require_writable,
)


async def is_fit(connection: Connection, migrations: frozenset[str]) -> bool:
    """Whether the database has these migrations, and lets the session do what they allow.

    Where payments lie on other machines, their servers are asked, too: as the role that captures there.

    It waits for no lock: that a table is locked for a while is no reason to send requests elsewhere.

    Raises:
        SessionError: if the session may not write, or the schema's guards are off. The connection is closed:
            such a session stays as it is, while the next may be another.
        psycopg.OperationalError: if the database does not answer, or cannot load a function's library.
        psycopg.InternalError: if it cannot use such a library.
    """
    batch = Batch(connection)
    state = batch.add(sql.SESSION_STATE)
    rights = batch.add(sql.RIGHTS)
    batch.add(sql.READ_CLOCK)
    batch.add(sql.LOAD_GUARDS)
    citus = batch.add(sql.IS_CITUS)
    applied = batch.add(sql.APPLIED_MIGRATIONS)
    try:
        await batch.send()
    except (
        errors.UndefinedTable,
        errors.UndefinedColumn,
        errors.UndefinedFunction,
        errors.InsufficientPrivilege,
    ):
        return False  # the migrations make them, and the last of them lets the service use them
    try:
        _require_fit(state.rows())
    except SessionError:
        connection.abandon()
        raise
    if rights.rows() != [(True,)] or not migrations <= {row[0] for row in applied.rows()}:
        return False
    if citus.rows():
        await _require_workers(connection)
    return True


async def _require_workers(connection: Connection) -> None:
    batch = Batch(connection)
    refusing = batch.add(sql.REFUSING_WORKERS)
    await batch.send()
    if (row := refusing.row()) is not None:
        raise SessionError(f"the worker {row[0]} does not take the application's sessions: {row[1]}")


def _require_fit(state: list[Row]) -> None:
    [(replication_role, is_read_only, is_standby)] = state
    require_guards(replication_role)
    require_primary(is_standby)
    require_writable(is_read_only)
