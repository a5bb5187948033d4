"""A store whose calls are steps: before each the scheduler chooses who goes on.

The footprints are those that the calls' statements have on PostgreSQL, where they are told from the SQL. They
say what a store may do in a call, not what a correct one does: one that reads before it waits for the lock,
or writes without it, is told apart as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from payments_core.application.dto import AttemptPage, Created, Cursor, PaymentPage, PaymentSnapshot
from payments_core.application.ports import DuePayments, LockedPayment, PaymentStore
from payments_core.domain.capture import CaptureAttempt
from payments_core.domain.errors import TransitionRefused
from payments_core.domain.payment import FailureReason, Payment
from payments_core.domain.values import Amount, IdempotencyKey, Instant
from payments_verify.payments.races.actors import CLOCK
from pgweave.interleavings.footprint import Access, Footprint, Lock, Mode, Rows
from pgweave.scheduler.process import current_process

READ_CLOCK = Access(Mode.READ, CLOCK)
_EVERY_PAYMENT = Rows("payments")


class ScheduledStore:
    """A ``PaymentStore`` each of whose calls waits for its turn, if a process of a run makes it.

    Entering a lock is a step, as is each commit within it, and leaving it.

    Args:
        store: the store that is called.
    """

    def __init__(self, store: PaymentStore) -> None:
        self._store = store

    async def create(self, payment_id: UUID, amount: Amount) -> Created:
        """Store a pending payment under this id, or find the one that has it."""
        await take_turn("create payment", READ_CLOCK, *_written(_payment(payment_id)))
        return await self._store.create(payment_id, amount)

    async def get(self, payment_id: UUID) -> PaymentSnapshot | None:
        """The payment as it stands, with the time of the look."""
        await take_turn("read payment", _read(_payment(payment_id)), READ_CLOCK)
        return await self._store.get(payment_id)

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        """At most ``limit`` payments in order of creation, from after the cursor."""
        await take_turn("read page", _read(_EVERY_PAYMENT), READ_CLOCK)
        return await self._store.page(after, limit)

    async def attempts(self, payment_id: UUID, after: int, limit: int) -> AttemptPage | None:
        """At most ``limit`` stored attempts in the order of their decisions, from after that place."""
        of_payment = Rows("capture_attempts", {"payment_id": payment_id})
        await take_turn("read attempts", _read(_payment(payment_id)), _read(of_payment))
        return await self._store.attempts(payment_id, after, limit)

    @asynccontextmanager
    async def lock(
        self, payment_id: UUID, key: IdempotencyKey | None = None
    ) -> AsyncIterator[LockedPayment | None]:
        """Wait for the payment's lock, then read it, the key's attempt, and the clock."""
        rows = _payment(payment_id)
        known = [] if key is None else [_read(_attempt(payment_id, key.text))]
        label = "lock payment" if key is None else f"lock payment, find key {key.text}"
        await take_turn(label, _locked(rows), *known, READ_CLOCK)
        async with self._store.lock(payment_id, key) as locked:
            try:
                yield None if locked is None else _LockedPayment(locked, payment_id)
            finally:
                await take_turn("unlock payment", _released(rows))

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator[DuePayments]:
        """Lock at most ``limit`` payments whose window has ended, passing over those locked by others."""
        await take_turn("lock due payments", READ_CLOCK, _locked(_EVERY_PAYMENT))
        async with self._store.lock_due(limit) as due:
            try:
                yield _DuePayments(due)
            finally:
                await take_turn("unlock due payments", _released(_EVERY_PAYMENT))

    def is_conflict(self, error: Exception) -> bool:
        """As the store says."""
        return self._store.is_conflict(error)

    async def ready(self) -> bool:
        """Whether the store can serve; no step, for it touches no payment."""
        return await self._store.ready()


class _LockedPayment:
    def __init__(self, locked: LockedPayment, payment_id: UUID) -> None:
        self._locked = locked
        self._payment_id = payment_id

    @property
    def payment(self) -> Payment:
        return self._locked.payment

    @property
    def attempt(self) -> CaptureAttempt | None:
        return self._locked.attempt

    @property
    def stored_refusals(self) -> int:
        return self._locked.stored_refusals

    @property
    def now(self) -> Instant:
        return self._locked.now

    async def commit(self, payment: Payment | None = None, attempt: CaptureAttempt | None = None) -> None:
        words: list[str] = []
        accesses: list[Access] = []
        if payment is not None:
            words.append(f"payment {payment.state}")
            accesses += _written(_payment(self._payment_id))
        if attempt is not None:
            words.append(f"attempt {attempt.key} {attempt.outcome}")
            accesses += _written(_attempt(self._payment_id, attempt.key))
        await take_turn(f"commit {', '.join(words) or 'nothing'}", *accesses)
        await self._locked.commit(payment, attempt)


class _DuePayments:
    def __init__(self, due: DuePayments) -> None:
        self._due = due

    @property
    def payments(self) -> Sequence[Payment]:
        return self._due.payments

    @property
    def now(self) -> Instant:
        return self._due.now

    async def commit(self, payments: Sequence[Payment]) -> None:
        accesses = [access for payment in payments for access in _written(_payment(payment.payment_id))]
        moved = ", ".join(f"payment {payment.state}" for payment in payments)
        await take_turn(f"commit {moved}", *accesses)
        await self._due.commit(payments)


class StoreHolder:
    """A session outside the service that holds a payment's lock: it uses the port as the service does.

    What it writes is held back until it commits, as in a database.

    Args:
        store: the store.
    """

    def __init__(self, store: PaymentStore) -> None:
        self._store = store
        self._left = AsyncExitStack()
        self._locked: LockedPayment | None = None
        self._voided: Payment | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, store: PaymentStore) -> AsyncIterator[StoreHolder]:
        """A holder that gives back at the end what it still holds."""
        holder = cls(store)
        async with holder._left:
            yield holder

    async def lock(self, payment: str) -> str:
        """Wait for the payment's lock; the state in which it is then."""
        self._locked = await self._left.enter_async_context(self._store.lock(UUID(payment)))
        return self._held.payment.state

    async def void(self) -> bool:
        """Void the payment when it commits, if it is authorized; whether it is."""
        try:
            self._voided = self._held.payment.fail(FailureReason.VOIDED, self._held.now)
        except TransitionRefused:
            return False
        return True

    async def commit(self) -> None:
        """Store what was done, and give the lock back."""
        await self._held.commit(self._voided)
        await self._left.aclose()

    async def roll_back(self) -> None:
        """Give the lock back, with nothing done."""
        await self._left.aclose()

    @property
    def _held(self) -> LockedPayment:
        if self._locked is None:
            raise RuntimeError("no payment is locked, or there is none of the id")
        return self._locked


async def take_turn(label: str, *accesses: Access) -> None:
    """Wait until the scheduler lets this process take its next step, which touches this."""
    process = current_process.get()
    if process is not None:
        await process.point(label, Footprint.of(*accesses))


def _payment(payment_id: UUID) -> Rows:
    return Rows("payments", {"payment_id": payment_id})


def _attempt(payment_id: UUID, key: str) -> Rows:
    return Rows("capture_attempts", {"payment_id": payment_id, "idempotency_key": key})


def _read(rows: Rows) -> Access:
    return Access(Mode.READ, rows)


def _locked(rows: Rows) -> Access:
    return Access(Mode.LOCK, rows, Lock.NO_KEY_UPDATE)


def _released(rows: Rows) -> Access:
    return Access(Mode.RELEASE, rows, Lock.NO_KEY_UPDATE)


def _written(rows: Rows) -> tuple[Access, Access]:
    """A write that is visible at once; of two, which is the later makes a difference, so each locks."""
    return Access(Mode.LOCK, rows, Lock.UPDATE), Access(Mode.PUBLISH, rows)
