"""The ``PaymentStore`` on PostgreSQL: two round trips for a capture, the row's lock first."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Protocol
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor, ProgrammingError, errors
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg_pool import AsyncConnectionPool

from payments_core.application.dto import Created, Cursor, PaymentPage, PaymentSnapshot
from payments_core.domain.capture import CaptureAttempt
from payments_core.domain.payment import Payment
from payments_core.domain.values import Amount, IdempotencyKey, Instant
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.round_trips import to_its_end
from payments_core.infrastructure.postgres.rows import (
    Row,
    attempt_insert,
    attempt_of,
    payment_of,
    payment_update,
    timestamp,
)

Connection = AsyncConnection[Row]
Pool = AsyncConnectionPool[Connection]
Rows = AsyncCursor[Row]


class Waits(Protocol):
    """Told how long requests wait, in seconds, and of conflicts; for metrics."""

    def pool_wait(self, seconds: float) -> None:
        """For a connection, got or not."""

    def lock_wait(self, seconds: float) -> None:
        """For the round trip that locks a payment."""

    def conflict(self) -> None:
        """A transaction was taken back because of others."""


class _Untold:
    def pool_wait(self, seconds: float) -> None: ...

    def lock_wait(self, seconds: float) -> None: ...

    def conflict(self) -> None: ...


UNTOLD: Waits = _Untold()
"""For who wants no metrics."""


class ObservedPool(AsyncConnectionPool[Connection]):
    """A pool that tells how long requests wait for its connections."""

    waits: Waits = UNTOLD

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - the pool's
        """A connection, at most ``timeout`` seconds later."""
        asked = perf_counter()
        try:
            return await super().getconn(timeout)
        finally:
            self.waits.pool_wait(perf_counter() - asked)


class CommitFailed(RuntimeError):
    """The database did not confirm the commit: nothing was stored."""


async def reset(connection: Connection) -> None:
    """What the pool does with a connection that it takes back: make sure that it can be used again.

    A request that was cancelled may leave it in pipeline mode, where the next statement would seem to
    succeed, yet wait for a sync that never comes, and not be committed.

    Because it has this to do, the pool takes connections back in tasks of its own. In the task of a request
    it would lose the connection for good if that request were cancelled in this very moment.

    Raises:
        psycopg.ProgrammingError: if it is in pipeline mode; the pool then closes it.
    """
    if connection.info.pipeline_status is not PipelineStatus.OFF:
        raise ProgrammingError("the connection was given back in pipeline mode")


class PostgresPaymentStore:
    """Payments in PostgreSQL.

    Args:
        pool: open connections in autocommit mode, set up by ``rows.configure`` and given back by ``reset``.
        migrations: ids of the migrations that this code needs.
        begin: the statement that begins a transaction.
        waits: told how long requests wait.
    """

    def __init__(
        self, pool: Pool, migrations: frozenset[str], begin: str = sql.BEGIN, waits: Waits = UNTOLD
    ) -> None:
        self._pool = pool
        self._migrations = migrations
        self._begin = begin
        self._waits = waits

    async def create(self, payment_id: UUID, amount: Amount) -> Created:
        """Store a pending payment under this id, or find the one that has it."""
        async with self._pool.connection() as connection:
            inserted = await _row(connection, sql.INSERT_PAYMENT, (payment_id, amount.cents))
            row = inserted or await _row(connection, sql.GET_PAYMENT, (payment_id,))
        if row is None:
            raise RuntimeError(f"payment {payment_id} conflicts with a row that cannot be read")
        return Created(_snapshot(row), is_new=inserted is not None)

    async def get(self, payment_id: UUID) -> PaymentSnapshot | None:
        """The payment as it stands, with the database's time of the look."""
        async with self._pool.connection() as connection:
            row = await _row(connection, sql.GET_PAYMENT, (payment_id,))
        return None if row is None else _snapshot(row)

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        """At most ``limit`` payments in order of creation, from after the cursor."""
        async with self._pool.connection() as connection:
            rows, as_of = await to_its_end(connection, _page(connection, after, limit))
        return PaymentPage.cut([payment_of(row) for row in rows], limit, as_of)

    async def attempts(self, payment_id: UUID) -> Sequence[CaptureAttempt] | None:
        """Every stored attempt, by decision time and key."""
        async with self._pool.connection() as connection:
            rows = await _rows(connection, sql.LIST_ATTEMPTS, (payment_id,))
        if not rows:
            return None
        return [attempt_of(row) for row in rows if row[1] is not None]

    @asynccontextmanager
    async def lock(
        self, payment_id: UUID, key: IdempotencyKey | None = None
    ) -> AsyncIterator["_LockedPayment | None"]:
        """Wait for the payment's lock, then read it, the key's attempt, and the clock, in that order."""
        async with self._pool.connection() as connection, _rolled_back(connection):
            asked = perf_counter()
            locked, known, clock = await to_its_end(connection, self._lock(connection, payment_id, key))
            self._waits.lock_wait(perf_counter() - asked)
            payment = await locked.fetchone()
            if payment is None:
                yield None
                return
            attempt = None if known is None else await known.fetchone()
            yield _LockedPayment(
                connection,
                payment_of(payment),
                None if attempt is None else attempt_of(attempt),
                await _instant(clock),
            )

    async def _lock(
        self, connection: Connection, payment_id: UUID, key: IdempotencyKey | None
    ) -> tuple[Rows, Rows | None, Rows]:
        async with connection.pipeline():
            await _execute(connection, self._begin)
            locked = await _execute(connection, sql.LOCK_PAYMENT, (payment_id,))
            known = None
            if key is not None:
                known = await _execute(connection, sql.FIND_ATTEMPT, (payment_id, key.text))
            clock = await _execute(connection, sql.READ_CLOCK)
        return locked, known, clock

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator["_DuePayments"]:
        """Lock at most ``limit`` payments whose window has ended, passing over those locked by others."""
        async with self._pool.connection() as connection, _rolled_back(connection):
            due, clock = await to_its_end(connection, self._lock_due(connection, limit))
            payments = [payment_of(row) for row in await due.fetchall()]
            yield _DuePayments(connection, payments, await _instant(clock))

    async def _lock_due(self, connection: Connection, limit: int) -> tuple[Rows, Rows]:
        async with connection.pipeline():
            await _execute(connection, self._begin)
            due = await _execute(connection, sql.LOCK_DUE, (limit,))
            clock = await _execute(connection, sql.READ_CLOCK)
        return due, clock

    def is_conflict(self, error: Exception) -> bool:
        """Whether PostgreSQL rolled the transaction back for the sake of others: 40001 or 40P01.

        Also when it says so to a COMMIT. A COMMIT that is answered with 40003, or by the loss of the
        connection, may have been carried out, and is none.
        """
        if not isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):
            return False
        self._waits.conflict()
        return True

    async def ready(self) -> bool:
        """Whether the database has every migration that this code needs.

        Raises:
            psycopg.OperationalError: if it does not answer.
        """
        try:
            async with self._pool.connection(timeout=2) as connection:
                rows = await _rows(connection, sql.APPLIED_MIGRATIONS)
        except (errors.UndefinedTable, errors.InsufficientPrivilege):
            return False  # the migrations make the table, and the last of them lets the service read it
        return self._migrations <= {row[0] for row in rows}


class _LockedPayment:
    def __init__(
        self, connection: Connection, payment: Payment, attempt: CaptureAttempt | None, now: Instant
    ) -> None:
        self._connection = connection
        self.payment = payment
        self.attempt = attempt
        self.now = now

    async def commit(self, payment: Payment | None = None, attempt: CaptureAttempt | None = None) -> None:
        await to_its_end(
            self._connection, _commit(self._connection, [] if payment is None else [payment], attempt)
        )


class _DuePayments:
    def __init__(self, connection: Connection, payments: Sequence[Payment], now: Instant) -> None:
        self._connection = connection
        self.payments = payments
        self.now = now

    async def commit(self, payments: Sequence[Payment]) -> None:
        await to_its_end(self._connection, _commit(self._connection, payments, None))


async def _commit(
    connection: Connection, payments: Sequence[Payment], attempt: CaptureAttempt | None
) -> None:
    async with connection.pipeline():
        updates = [await _execute(connection, sql.UPDATE_PAYMENT, payment_update(p)) for p in payments]
        if attempt is not None:
            await _execute(connection, sql.INSERT_ATTEMPT, attempt_insert(attempt))
        commit = await _execute(connection, sql.COMMIT)
    if any(update.rowcount != 1 for update in updates):
        raise RuntimeError("an update under the payment's lock did not find the payment")
    # PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and without an error.
    if commit.statusmessage != sql.COMMIT:
        raise CommitFailed(f"the database answered {commit.statusmessage!r} to COMMIT")


@asynccontextmanager
async def _rolled_back(connection: Connection) -> AsyncIterator[None]:
    """Roll back what the block leaves uncommitted, so that only an explicit commit stores anything.

    After an error or a cancellation, the pool's block around this one does so.
    """
    yield
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        await to_its_end(connection, connection.execute(sql.ROLLBACK))


async def _execute(connection: Connection, query: str, parameters: Row = ()) -> AsyncCursor[Row]:
    cursor = connection.cursor(binary=True)
    return await cursor.execute(query.encode(), parameters)


async def _page(connection: Connection, after: Cursor | None, limit: int) -> tuple[list[Row], Instant]:
    async with connection.pipeline():
        if after is None:
            found = await _execute(connection, sql.FIRST_PAGE, (limit + 1,))
        else:
            place = (timestamp(after.created_at), after.payment_id, limit + 1)
            found = await _execute(connection, sql.NEXT_PAGE, place)
        clock = await _execute(connection, sql.READ_CLOCK)
        return await found.fetchall(), await _instant(clock)


async def _rows(connection: Connection, query: str, parameters: Row = ()) -> list[Row]:
    cursor = await to_its_end(connection, _execute(connection, query, parameters))
    return await cursor.fetchall()


async def _row(connection: Connection, query: str, parameters: Row) -> Row | None:
    cursor = await to_its_end(connection, _execute(connection, query, parameters))
    return await cursor.fetchone()


async def _instant(cursor: AsyncCursor[Row]) -> Instant:
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the database's clock gave no answer")
    instant: Instant = row[0]
    return instant


def _snapshot(row: Row) -> PaymentSnapshot:
    return PaymentSnapshot(payment_of(row), as_of=row[-1])
