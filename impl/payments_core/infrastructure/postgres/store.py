"""The ``PaymentStore`` on PostgreSQL: two round trips for a capture, the row's lock first."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from types import TracebackType
from uuid import UUID

from psycopg import errors
from psycopg.types.numeric import Int4, Int8

from payments_core.application.dto import AttemptPage, Created, Cursor, PaymentPage, PaymentSnapshot
from payments_core.domain.capture import CaptureAttempt
from payments_core.domain.errors import PaymentError
from payments_core.domain.payment import Payment, PaymentState
from payments_core.domain.values import Amount, IdempotencyKey, Instant
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.batch import Batch, Reply
from payments_core.infrastructure.postgres.batch import execute as _execute
from payments_core.infrastructure.postgres.batch import row as _row
from payments_core.infrastructure.postgres.connection import Connection, Row
from payments_core.infrastructure.postgres.contention import Contention, PaymentHeld
from payments_core.infrastructure.postgres.pool import NO_METRICS, Pool, Waits
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_core.infrastructure.postgres.replication import Replicated
from payments_core.infrastructure.postgres.rows import (
    attempt_insert,
    attempt_of,
    instant_of,
    payment_of,
    payment_update,
    snapshot_of,
    timestamp,
)

_EVENTS_BUT_REFUSALS = {
    PaymentState.PENDING: 1,
    PaymentState.AUTHORIZED: 2,
    PaymentState.CAPTURED: 3,
    PaymentState.FAILED: 3,
}
"""How many events of a payment in this state are no refused captures: its creation, and each move since."""


class CommitFailed(RuntimeError):
    """The database did not confirm the commit: nothing was stored."""


class PostgresPaymentStore:
    """Payments in PostgreSQL.

    Args:
        pool: open connections in autocommit mode, set up by ``rows.configure``.
        readiness: asks whether the database can be used.
        contention: bounds what requests for held payments take from others.
        begin: the statement that begins a transaction.
        waits: told how long requests wait.
    """

    def __init__(
        self,
        pool: Pool,
        readiness: Readiness,
        contention: Contention,
        begin: str = sql.BEGIN,
        waits: Waits = NO_METRICS,
    ) -> None:
        self._pool = pool
        self._readiness = readiness
        self._contention = contention
        self._begin = begin
        self._waits = waits

    async def create(self, payment_id: UUID, amount: Amount) -> Created:
        """Store a pending payment under this id, or find the one that has it."""
        create = partial(self._create, payment_id, amount)
        turn = await self._contention.turn(payment_id)
        try:
            try:
                return await create()
            except PaymentHeld:
                return await self._contention.try_again(create)
        finally:
            turn.release()

    async def _create(self, payment_id: UUID, amount: Amount) -> Created:
        async with self._pool.connection() as connection:
            with self._contention.locking() as may_wait, Replicated(connection):
                first = () if may_wait else (sql.HARDLY_WAIT,)
                inserted = await _row(connection, sql.INSERT_PAYMENT, (payment_id, Int8(amount.cents)), first)
                row = inserted or await _row(connection, sql.FIND_CREATED, (payment_id,), first)
        if row is None:
            raise RuntimeError(f"payment {payment_id} conflicts with a row that cannot be read")
        return Created(snapshot_of(row), is_new=inserted is not None)

    async def get(self, payment_id: UUID) -> PaymentSnapshot | None:
        """The payment as it stands, with the database's time of the look."""
        async with self._pool.connection() as connection:
            row = await _row(connection, sql.GET_PAYMENT, (payment_id,))
        return None if row is None else snapshot_of(row)

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        """At most ``limit`` payments in order of creation, from after the cursor."""
        async with self._pool.connection() as connection:
            batch = Batch(connection)
            if after is None:
                found = batch.add(sql.FIRST_PAGE, (Int8(limit + 1),))
            else:
                seen = timestamp(after.created_at), after.payment_id
                found = batch.add(sql.NEXT_PAGE, (*seen, Int8(limit + 1)))
            clock = batch.add(sql.READ_CLOCK)
            await batch.send()
            rows, as_of = found.rows(), _instant(clock)
        return PaymentPage.cut([payment_of(row) for row in rows], limit, as_of)

    async def attempts(self, payment_id: UUID, after: int, limit: int) -> AttemptPage | None:
        """At most ``limit`` stored attempts in the order of their decisions, from after that place."""
        async with self._pool.connection() as connection:
            place = (payment_id, Int4(after), Int8(limit + 1))
            rows = (await _execute(connection, sql.LIST_ATTEMPTS, (payment_id, *place))).rows()
            if not rows and await _row(connection, sql.GET_PAYMENT, (payment_id,)) is None:
                return None
        return AttemptPage.cut([(row[-1], attempt_of(row)) for row in rows], limit)

    def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> "_Lock":
        """Wait for the payment's lock, then read it, the key's attempt, and the clock, in that order."""
        return _Lock(self._pool, self._begin, self._waits, self._contention, payment_id, key)

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator["_DuePayments"]:
        """Lock at most ``limit`` payments whose window has ended, passing over those locked by others."""
        async with self._pool.connection() as connection:
            due, passed_over = _DuePayments(connection, [], now=0), list[UUID]()
            while True:
                found = (await _execute(connection, sql.FIND_DUE, (passed_over or None, Int8(limit)))).rows()
                due = await self._lock_each(connection, found) if found else due
                if due.payments or len(found) < limit:
                    break
                await connection.rollback()  # others have all that was found: look further
                passed_over += [each for (each,) in found]
            yield due

    async def _lock_each(self, connection: Connection, found: Sequence[Row]) -> "_DuePayments":
        batch = Batch(connection)
        batch.add(self._begin)
        replies = [batch.add(sql.LOCK_DUE, payment_id) for payment_id in found]
        clock = batch.add(sql.READ_CLOCK)
        await batch.send()
        payments = [payment_of(row) for reply in replies for row in reply.rows()]
        return _DuePayments(connection, payments, _instant(clock))

    def is_conflict(self, error: Exception) -> bool:
        """Whether PostgreSQL rolled the transaction back for the sake of others: 40001 or 40P01.

        Also when COMMIT is answered so. If by 40003, or by a lost connection, it may have been carried out.
        """
        if not isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):
            return False
        self._waits.conflict()
        return True

    async def ready(self) -> bool:
        """Whether the database has every migration that this code needs, and lets payments be captured.

        Raises:
            psycopg.Error: if it does not answer, or nothing can be written there.
        """
        return await self._readiness()


class _Lock:
    """A transaction that holds a payment's lock: a generator in its place would cost a capture more."""

    __slots__ = ("_begin", "_connection", "_contention", "_key", "_payment_id", "_pool", "_turn", "_waits")

    def __init__(
        self,
        pool: Pool,
        begin: str,
        waits: Waits,
        contention: Contention,
        payment_id: UUID,
        key: IdempotencyKey | None,
    ) -> None:
        self._pool = pool
        self._begin = begin
        self._waits = waits
        self._contention = contention
        self._payment_id = payment_id
        self._key = key

    async def __aenter__(self) -> "_LockedPayment | None":
        turn = self._turn = await self._contention.turn(self._payment_id)
        try:
            try:
                return await self._enter()
            except PaymentHeld:
                return await self._contention.try_again(self._enter)
        except BaseException:
            turn.release()
            raise

    async def _enter(self) -> "_LockedPayment | None":
        connection = self._connection = await self._pool.getconn()
        payment_id, key = self._payment_id, self._key
        try:
            batch = Batch(connection)
            batch.add(self._begin)
            locked = batch.add(self._contention.locking_statement(), (payment_id,))
            known = None if key is None else batch.add(sql.FIND_ATTEMPT, (payment_id, payment_id, key.text))
            clock = batch.add(sql.READ_CLOCK)
            asked = perf_counter()
            with self._contention.locking():
                await batch.send()
            self._waits.lock_wait(perf_counter() - asked)
            payment = locked.row()
            if payment is None:
                return None
            attempt = None if known is None else known.row()
            return _LockedPayment(connection, payment_of(payment), attempt, _instant(clock))
        except BaseException:
            await self._pool.give_back(connection)
            raise

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        connection = self._connection
        try:
            if isinstance(error, PaymentError):
                # A refusal is an answer, too: it waits, like every commit, until what decided it is durable.
                with Replicated(connection):
                    await _execute(connection, sql.COMMIT)
        finally:
            try:
                await self._pool.give_back(connection)
            finally:
                self._turn.release()


class _LockedPayment:
    __slots__ = ("_connection", "_last_event", "attempt", "now", "payment")

    def __init__(self, connection: Connection, payment: Payment, found: Row | None, now: Instant) -> None:
        self._connection = connection
        self._last_event: int = (found and found[-1]) or 0
        self.payment = payment
        self.attempt = None if found is None or found[0] is None else attempt_of(found)
        self.now = now

    @property
    def stored_refusals(self) -> int:
        return self._last_event - _EVENTS_BUT_REFUSALS[self.payment.state]

    async def commit(self, payment: Payment | None = None, attempt: CaptureAttempt | None = None) -> None:
        payments = [] if payment is None else [payment]
        with Replicated(self._connection):
            await _commit(self._connection, payments, attempt, self._last_event)


class _DuePayments:
    def __init__(self, connection: Connection, payments: Sequence[Payment], now: Instant) -> None:
        self._connection = connection
        self.payments = payments
        self.now = now

    async def commit(self, payments: Sequence[Payment]) -> None:
        with Replicated(self._connection):
            await _commit(self._connection, payments)


async def _commit(
    connection: Connection,
    payments: Sequence[Payment],
    attempt: CaptureAttempt | None = None,
    last_event: int = 0,
) -> None:
    batch = Batch(connection)
    updates = [batch.add(*_update(p, attempt)) for p in payments]
    if attempt is not None:
        batch.add(sql.INSERT_ATTEMPT, attempt_insert(attempt, last_event))
    commit = batch.add(sql.COMMIT)
    await batch.send()
    if any(update.count != 1 for update in updates):
        raise RuntimeError("an update under the payment's lock did not find the payment")
    # PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and without an error.
    if commit.tag != sql.COMMIT:
        raise CommitFailed(f"the database answered {commit.tag!r} to COMMIT")


def _update(payment: Payment, attempt: CaptureAttempt | None) -> tuple[str, Row]:
    """The statement that moves a payment, with parameters: a capture's event comes with its attempt."""
    if attempt is None:
        return sql.MOVE_PAYMENT, (*payment_update(payment), payment.payment_id)
    return sql.UPDATE_PAYMENT, payment_update(payment)


def _instant(clock: Reply) -> Instant:
    return instant_of(clock.value())
