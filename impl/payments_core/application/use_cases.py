"""The use cases. Each is one transaction at most, and holds no state."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from payments_core.application.again import again_after_conflict
from payments_core.application.dto import (
    AttemptPage,
    CaptureResult,
    Created,
    Cursor,
    PaymentPage,
    PaymentSnapshot,
)
from payments_core.application.ports import AnswerWriter, PaymentStore
from payments_core.domain.capture import CaptureAttempt, CaptureDecision, decide_capture
from payments_core.domain.errors import PaymentIdConflict, PaymentNotFound
from payments_core.domain.payment import FailureReason, Payment
from payments_core.domain.values import MAX_STORED_REFUSALS, Amount, CaptureWindow, IdempotencyKey


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """Create a payment under an id that the client may choose, so that a retry is safe."""

    store: PaymentStore

    @again_after_conflict
    async def __call__(self, payment_id: UUID, amount: Amount) -> Created:
        """Create it, or find that an earlier request did.

        Raises:
            PaymentIdConflict: if the id is taken by a payment of another amount.
        """
        created = await self.store.create(payment_id, amount)
        if created.snapshot.payment.amount_cents != amount.cents:
            raise PaymentIdConflict(f"payment {payment_id} exists with another amount")
        return created


@dataclass(frozen=True, slots=True)
class GetPayment:
    """Read payments and their capture attempts."""

    store: PaymentStore

    async def __call__(self, payment_id: UUID) -> PaymentSnapshot:
        """One payment as it stands, and when it was looked at.

        Raises:
            PaymentNotFound: if there is none.
        """
        snapshot = await self.store.get(payment_id)
        if snapshot is None:
            raise PaymentNotFound(str(payment_id))
        return snapshot

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        """At most ``limit`` payments in order of creation, from after the cursor."""
        return await self.store.page(after, limit)

    async def attempts(self, payment_id: UUID, after: int, limit: int) -> AttemptPage:
        """At most ``limit`` stored attempts of a payment in the order of their decisions, from after a place.

        Raises:
            PaymentNotFound: if there is no such payment.
        """
        page = await self.store.attempts(payment_id, after, limit)
        if page is None:
            raise PaymentNotFound(str(payment_id))
        return page


@dataclass(frozen=True, slots=True)
class AuthorizePayment:
    """Authorize a pending payment and open its capture window."""

    store: PaymentStore

    @again_after_conflict
    async def __call__(self, payment_id: UUID, window: CaptureWindow) -> PaymentSnapshot:
        """Authorize at the database's time.

        Raises:
            PaymentNotFound: if there is no such payment.
            TransitionRefused: unless it is pending.
        """
        async with self.store.lock(payment_id) as locked:
            if locked is None:
                raise PaymentNotFound(str(payment_id))
            authorized = locked.payment.authorize(window, locked.now)
            await locked.commit(payment=authorized)
            return PaymentSnapshot(authorized, locked.now)


@dataclass(frozen=True, slots=True)
class CapturePayment:
    """Capture a payment, at most once, whatever races and however often it is asked."""

    store: PaymentStore
    write_answer: AnswerWriter
    max_stored_refusals: int = MAX_STORED_REFUSALS

    @again_after_conflict
    async def __call__(self, payment_id: UUID, key: IdempotencyKey, amount: Amount) -> CaptureResult:
        """Decide the capture under the payment's lock, or repeat the answer stored under its key.

        Raises:
            PaymentNotFound: if there is no such payment; nothing is stored.
            IdempotencyKeyReused: if the key belongs to another request; nothing is changed.
            TooManyRefusals: if it would be refused, and no more refusals may be stored; nothing is.
        """
        async with self.store.lock(payment_id, key) as locked:
            if locked is None:
                raise PaymentNotFound(str(payment_id))
            if locked.attempt is not None:
                locked.attempt.require_same_request(amount)
                # There is nothing to store, but what it answers with has to be durable for it, too.
                await locked.commit()
                known = locked.attempt
                return CaptureResult(known.answer, replayed=True, outcome=known.outcome)
            left = self.max_stored_refusals - locked.stored_refusals
            decision = decide_capture(locked.payment, key, amount, locked.now, left)
            attempt = self._attempt(decision)
            moved = None if decision.payment == locked.payment else decision.payment
            await locked.commit(payment=moved, attempt=attempt)
            return CaptureResult(attempt.answer, replayed=False, outcome=attempt.outcome)

    def _attempt(self, decision: CaptureDecision) -> CaptureAttempt:
        return CaptureAttempt(
            payment_id=decision.payment.payment_id,
            key=decision.key.text,
            amount_cents=decision.amount_cents,
            outcome=decision.outcome,
            decided_at=decision.decided_at,
            answer=self.write_answer(decision),
        )


@dataclass(frozen=True, slots=True)
class FailPayment:
    """Decline or void an authorized payment."""

    store: PaymentStore

    @again_after_conflict
    async def __call__(self, payment_id: UUID, reason: FailureReason) -> PaymentSnapshot:
        """Fail it at the database's time.

        Raises:
            PaymentNotFound: if there is no such payment.
            TransitionRefused: unless it is authorized.
        """
        async with self.store.lock(payment_id) as locked:
            if locked is None:
                raise PaymentNotFound(str(payment_id))
            failed = locked.payment.fail(reason, locked.now)
            await locked.commit(payment=failed)
            return PaymentSnapshot(failed, locked.now)


@dataclass(frozen=True, slots=True)
class ExpirePayments:
    """Fail the authorized payments whose capture window has ended."""

    store: PaymentStore

    @again_after_conflict
    async def __call__(self, limit: int) -> Sequence[Payment]:
        """Expire one batch of at most ``limit``; payments locked by others are left to a later batch."""
        async with self.store.lock_due(limit) as due:
            expired = [p.expire(due.now) for p in due.payments if p.window_has_ended(due.now)]
            if expired:
                await due.commit(expired)
            return expired
