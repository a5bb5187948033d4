"""Sessions outside the service that hold a payment's lock: what a report, a repair or a migration does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from pgweave.service.command import CommandError

_LOCK = "SELECT state FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"
_VOID = (
    "UPDATE payments SET state = 'failed', failed_at = statement_timestamp(), failure_reason = 'voided'"
    " WHERE payment_id = %s AND state = 'authorized'"
)


class RowHolder(Protocol):
    """A session that takes the lock of one payment, once, and gives it back."""

    async def lock(self, payment: str) -> str:
        """Wait for the payment's lock; the state in which it is then."""

    async def void(self) -> bool:
        """Void the payment if it is authorized; whether it was. Others see it when this has committed."""

    async def commit(self) -> None:
        """Keep what was done, and give the lock back."""

    async def roll_back(self) -> None:
        """Undo what was done, and give the lock back."""


@dataclass(frozen=True)
class RowStatements:
    """How a payment's row is held in a schema; ``%s`` is the payment's id.

    Attributes:
        lock: locks the row, and has the payment's state as its first column.
        void: voids the payment if it is authorized; ``None`` where that is not known.
        states: the model's names of the states, by the schema's.
        id_of: the schema's id of a payment.
    """

    lock: str = _LOCK
    void: str | None = _VOID
    states: Mapping[str, str] = field(default_factory=dict)
    id_of: Callable[[str], str] = str


class SqlRowHolder:
    """A session on PostgreSQL.

    Args:
        connection: in autocommit mode, used by nobody else.
        statements: of the schema.
    """

    def __init__(self, connection: psycopg.AsyncConnection, statements: RowStatements | None = None) -> None:
        self._connection = connection
        self._statements = statements or RowStatements()
        self._payment = ""

    @classmethod
    @asynccontextmanager
    async def connect(cls, dsn: str, statements: RowStatements | None = None) -> AsyncIterator[SqlRowHolder]:
        """Open a connection of the holder's own."""
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        try:
            yield cls(connection, statements)
        finally:
            await connection.close()

    async def lock(self, payment: str) -> str:
        """Begin a transaction and lock the payment's row.

        Raises:
            CommandError: the statement is none that can be run, or gives no row.
        """
        self._payment = self._statements.id_of(payment)
        await self._connection.execute("BEGIN")
        with _told_of("lock.hold"):
            locking = await self._connection.execute(self._statements.lock.encode(), [self._payment])
            row = await locking.fetchone()
        if row is None:
            raise CommandError(
                f"lock.hold gives no row of payment {self._payment}: it has to lock the payment's row, and to"
                " give its state first"
            )
        state = str(row[0])
        return self._statements.states.get(state, state)

    async def void(self) -> bool:
        """Update the row."""
        assert self._statements.void is not None
        with _told_of("lock.void"):
            voiding = await self._connection.execute(self._statements.void.encode(), [self._payment])
        return voiding.rowcount == 1

    async def commit(self) -> None:
        """Commit the transaction."""
        await self._connection.execute("COMMIT")

    async def roll_back(self) -> None:
        """Roll the transaction back."""
        await self._connection.execute("ROLLBACK")


@contextmanager
def _told_of(key: str) -> Iterator[None]:
    """Say which key of a binding has the statement that cannot be run."""
    try:
        yield
    except psycopg.ProgrammingError as error:
        raise CommandError(f"{key} cannot be run: {error}") from error
