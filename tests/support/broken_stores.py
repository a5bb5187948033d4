"""In-memory stores that lock, read or write in a wrong order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from payments_core.domain.capture import CaptureAttempt
from payments_core.domain.payment import Payment, PaymentState
from payments_core.domain.values import IdempotencyKey, Instant
from payments_verify.systems.memory_store import InMemoryPaymentStore


@dataclass
class Locked:
    """What a broken store yields: whatever it has read, whenever it has read it."""

    store: InMemoryPaymentStore
    payment: Payment
    attempt: CaptureAttempt | None
    now: Instant
    stored_refusals: int = 0

    async def commit(self, payment: Payment | None = None, attempt: CaptureAttempt | None = None) -> None:
        self.store.put([] if payment is None else [payment], attempt)


@dataclass
class Due:
    store: InMemoryPaymentStore
    payments: Sequence[Payment]
    now: Instant

    async def commit(self, payments: Sequence[Payment]) -> None:
        self.store.put(payments)


class BrokenStore(InMemoryPaymentStore):
    """A store whose reads and locks can be put in another order."""

    def read(self, payment_id: UUID, key: IdempotencyKey | None) -> Locked:
        return Locked(self, self.kept_payments[payment_id], self.find(payment_id, key), self._clock())

    def find(self, payment_id: UUID, key: IdempotencyKey | None) -> CaptureAttempt | None:
        return None if key is None else self.kept_attempts[payment_id].get(key.text)


class NoLock(BrokenStore):
    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        yield self.read(payment_id, key)


class LockReleasedBeforeCommit(BrokenStore):
    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        async with self._claim(payment_id):
            locked = self.read(payment_id, key)
        yield locked


class KeyBeforeLock(BrokenStore):
    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        attempt = self.find(payment_id, key)
        async with self._claim(payment_id):
            yield Locked(self, self.kept_payments[payment_id], attempt, self._clock())


class PaymentBeforeLock(BrokenStore):
    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        payment = self.kept_payments[payment_id]
        async with self._claim(payment_id):
            yield Locked(self, payment, self.find(payment_id, key), self._clock())


class ClockBeforeLock(BrokenStore):
    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        now = self._clock()
        async with self._claim(payment_id):
            yield Locked(self, self.kept_payments[payment_id], self.find(payment_id, key), now)


class _InMilliseconds(int):
    def __ge__(self, other: int) -> bool:
        return self // 1_000 >= other // 1_000


class ComparesMilliseconds(BrokenStore):
    @asynccontextmanager
    async def lock(self, payment_id: UUID, key: IdempotencyKey | None = None) -> AsyncIterator[Any]:
        async with self._claim(payment_id):
            payment, now = self.kept_payments[payment_id], _InMilliseconds(self._clock())
            yield Locked(self, payment, self.find(payment_id, key), now)


class SweepWithoutLocks(BrokenStore):
    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator[Any]:
        now = self._clock()
        due = [
            payment
            for payment in self.kept_payments.values()
            if payment.state is PaymentState.AUTHORIZED and payment.window_has_ended(now)
        ]
        yield Due(self, due[:limit], now)
