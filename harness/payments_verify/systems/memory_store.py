"""Payments kept in this process, with a lock for each: the specification's simplest honest implementation.

For tests, and to show what the database has to provide. One event loop; nothing survives the process.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from payments_core.application.dto import AttemptPage, Created, Cursor, PaymentPage, PaymentSnapshot
from payments_core.domain.capture import CaptureAttempt, CaptureOutcome
from payments_core.domain.payment import Payment, PaymentState
from payments_core.domain.values import Amount, IdempotencyKey, Instant

Clock = Callable[[], Instant]


class InMemoryPaymentStore:
    """A ``PaymentStore`` in dictionaries.

    Args:
        clock: gives the time by which payments are decided, in µs UTC.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept_payments: dict[UUID, Payment] = {}
        self.kept_attempts: dict[UUID, dict[str, CaptureAttempt]] = defaultdict(dict)
        self._locks: dict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._claims: Counter[UUID] = Counter()  # who holds or waits for each lock: one that waits comes next

    async def create(self, payment_id: UUID, amount: Amount) -> Created:
        """Store a pending payment under this id, or find the one that has it."""
        now = self._clock()
        found = self.kept_payments.get(payment_id)
        if found is not None:
            return Created(PaymentSnapshot(found, now), is_new=False)
        payment = self.kept_payments[payment_id] = Payment(payment_id, amount.cents, created_at=now)
        return Created(PaymentSnapshot(payment, now), is_new=True)

    async def get(self, payment_id: UUID) -> PaymentSnapshot | None:
        """The payment as it stands, with the time of the look."""
        found = self.kept_payments.get(payment_id)
        return None if found is None else PaymentSnapshot(found, self._clock())

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        """At most ``limit`` payments in order of creation, from after the cursor."""
        ordered = sorted(self.kept_payments.values(), key=_place)
        if after is not None:
            ordered = [p for p in ordered if _place(p) > (after.created_at, after.payment_id)]
        return PaymentPage.cut(ordered[: limit + 1], limit, self._clock())

    async def attempts(self, payment_id: UUID, after: int, limit: int) -> AttemptPage | None:
        """At most ``limit`` stored attempts in the order of their decisions, from after that place."""
        if payment_id not in self.kept_payments:
            return None
        kept = list(enumerate(self.kept_attempts[payment_id].values(), 1))
        return AttemptPage.cut(kept[after : after + limit + 1], limit)

    @asynccontextmanager
    async def lock(
        self, payment_id: UUID, key: IdempotencyKey | None = None
    ) -> AsyncIterator["_LockedPayment | None"]:
        """Wait for the payment's lock, then read it, the key's attempt, and the clock."""
        if payment_id not in self.kept_payments:
            yield None
            return
        async with self._claim(payment_id):
            kept = self.kept_attempts[payment_id]
            attempt = None if key is None else kept.get(key.text)
            refusals = sum(each.outcome is not CaptureOutcome.CAPTURED for each in kept.values())
            yield _LockedPayment(self, self.kept_payments[payment_id], attempt, refusals, self._clock())

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator["_DuePayments"]:
        """Lock at most ``limit`` payments whose window has ended, passing over those locked by others."""
        now = self._clock()
        due = [
            p
            for p in self.kept_payments.values()
            if p.state is PaymentState.AUTHORIZED
            and p.window_has_ended(now)
            and not self._claims[p.payment_id]
        ][:limit]
        async with AsyncExitStack() as locks:
            for payment in due:
                # Nobody holds it or waits for it: this does not wait, so that what was read still stands.
                await locks.enter_async_context(self._claim(payment.payment_id))
            yield _DuePayments(self, due, self._clock())

    @asynccontextmanager
    async def _claim(self, payment_id: UUID) -> AsyncIterator[None]:
        self._claims[payment_id] += 1
        try:
            async with self._locks[payment_id]:
                yield
        finally:
            self._claims[payment_id] -= 1

    def is_conflict(self, error: Exception) -> bool:  # noqa: ARG002 - the port's
        """Never: whoever comes second waits for the lock."""
        return False

    async def ready(self) -> bool:
        """Always: there is nothing to reach."""
        return True

    def put(self, payments: Sequence[Payment], attempt: CaptureAttempt | None = None) -> None:
        """Store what is given; there is no await in it, so nothing comes between."""
        for payment in payments:
            self.kept_payments[payment.payment_id] = payment
        if attempt is not None:
            self.kept_attempts[attempt.payment_id][attempt.key] = attempt


class _LockedPayment:
    def __init__(
        self,
        store: InMemoryPaymentStore,
        payment: Payment,
        attempt: CaptureAttempt | None,
        stored_refusals: int,
        now: Instant,
    ) -> None:
        self._store = store
        self.payment = payment
        self.attempt = attempt
        self.stored_refusals = stored_refusals
        self.now = now

    async def commit(self, payment: Payment | None = None, attempt: CaptureAttempt | None = None) -> None:
        self._store.put([] if payment is None else [payment], attempt)


class _DuePayments:
    def __init__(self, store: InMemoryPaymentStore, payments: Sequence[Payment], now: Instant) -> None:
        self._store = store
        self.payments = payments
        self.now = now

    async def commit(self, payments: Sequence[Payment]) -> None:
        self._store.put(payments)


def _place(payment: Payment) -> tuple[Instant, UUID]:
    return payment.created_at, payment.payment_id
