"""Sessions outside the service that hold a payment's lock: what a report, a repair or a migration does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import psycopg

_LOCK = "SELECT state FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"
_VOID = (
    "UPDATE payments SET state = 'failed', failed_at = payment_clock(), failure_reason = 'voided'"
    " WHERE payment_id = %s AND state = 'authorized'"
)


class Holder(Protocol):
    """A session that takes the lock of one payment, once, and gives it back."""

    async def lock(self, payment: str) -> str:
        """Wait for the payment's lock; the state in which it is then."""

    async def void(self) -> bool:
        """Void the payment if it is authorized; whether it was. Others see it when this has committed."""

    async def commit(self) -> None:
        """Keep what was done, and give the lock back."""

    async def roll_back(self) -> None:
        """Undo what was done, and give the lock back."""


class RowHolder:
    """A session on PostgreSQL.

    Args:
        connection: in autocommit mode, used by nobody else.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self._payment = ""

    @classmethod
    @asynccontextmanager
    async def connect(cls, dsn: str) -> AsyncIterator[RowHolder]:
        """Open a connection of the holder's own."""
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        try:
            yield cls(connection)
        finally:
            await connection.close()

    async def lock(self, payment: str) -> str:
        """Begin a transaction and lock the payment's row."""
        self._payment = payment
        await self._connection.execute("BEGIN")
        row = await (await self._connection.execute(_LOCK, [payment])).fetchone()
        assert row is not None
        state: str = row[0]
        return state

    async def void(self) -> bool:
        """Update the row."""
        return (await self._connection.execute(_VOID, [self._payment])).rowcount == 1

    async def commit(self) -> None:
        """Commit the transaction."""
        await self._connection.execute("COMMIT")

    async def roll_back(self) -> None:
        """Roll the transaction back."""
        await self._connection.execute("ROLLBACK")
