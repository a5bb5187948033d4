"""Whether a connection can do what a capture does."""

from uuid import UUID

from psycopg import errors

from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.session import require_guards

_NO_PAYMENT = UUID(int=0)
_NO_UPDATE = ("captured", None, None, None, None, None, None, _NO_PAYMENT)


async def is_fit(connection: Connection, migrations: frozenset[str]) -> bool:
    """Whether the database has these migrations, and lets the session do what they allow; one round trip.

    Locks and updates as a capture does, but no payment: that has to be possible, and takes no lock.

    Raises:
        psycopg.errors.ReadOnlySqlTransaction: if the session may not write.
        SessionError: if the schema's guards are off.
        psycopg.OperationalError: if the database does not answer.
    """
    batch = Batch(connection)
    state = batch.add(sql.SESSION_STATE)
    batch.add(sql.LOCK_PAYMENT, (_NO_PAYMENT,))
    batch.add(sql.UPDATE_PAYMENT, _NO_UPDATE)
    batch.add(sql.READ_CLOCK)
    applied = batch.add(sql.APPLIED_MIGRATIONS)
    try:
        await batch.send()
    except (errors.UndefinedTable, errors.UndefinedFunction, errors.InsufficientPrivilege):
        return False  # the migrations make them, and the last of them lets the service use them
    row = state.row()
    assert row is not None
    require_guards(row[0])
    return migrations <= {row[0] for row in applied.rows()}
