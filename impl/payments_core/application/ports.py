"""What the use cases need from outside, as protocols; infrastructure implements them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from payments_core.application.dto import AttemptPage, Created, Cursor, PaymentPage, PaymentSnapshot
from payments_core.domain.capture import Answer, CaptureAttempt, CaptureDecision
from payments_core.domain.payment import Payment
from payments_core.domain.values import Amount, IdempotencyKey, Instant


class LockedPayment(Protocol):
    """A payment inside a transaction that holds its lock, so that nobody else can move it."""

    @property
    def payment(self) -> Payment:
        """The payment, read under the lock."""

    @property
    def attempt(self) -> CaptureAttempt | None:
        """The attempt stored under the key of the lock, read after the lock was granted."""

    @property
    def stored_refusals(self) -> int:
        """How many refused captures are stored, read after the lock was granted; for one with a key."""

    @property
    def now(self) -> Instant:
        """The database's clock, read after the lock was granted (I5)."""

    async def commit(self, payment: Payment | None = None, attempt: CaptureAttempt | None = None) -> None:
        """Store what is given, together or not at all, and make it durable before returning (I6, I7)."""


class DuePayments(Protocol):
    """Authorized payments whose window had ended when they were looked up, each locked."""

    @property
    def payments(self) -> Sequence[Payment]:
        """The payments, read under their locks."""

    @property
    def now(self) -> Instant:
        """The database's clock, read after the locks were granted; 0 where nothing was found."""

    async def commit(self, payments: Sequence[Payment]) -> None:
        """Store the given payments, together or not at all, durably."""


class PaymentStore(Protocol):
    """Where payments and capture attempts are kept."""

    async def create(self, payment_id: UUID, amount: Amount) -> Created:
        """Store a pending payment under this id, or find the one that has it."""

    async def get(self, payment_id: UUID) -> PaymentSnapshot | None:
        """The payment as it stands, with the database's time of the look; ``None`` if there is none."""

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        """At most ``limit`` payments in order of creation, from after the cursor."""

    async def attempts(self, payment_id: UUID, after: int, limit: int) -> AttemptPage | None:
        """At most ``limit`` stored attempts in the order of their decisions, from after that place.

        What is added comes at the end, so that pages that are read one after the other are the list as it was
        at the last. The first page is after 0; ``None`` if there is no such payment.
        """

    def lock(
        self, payment_id: UUID, key: IdempotencyKey | None = None
    ) -> AbstractAsyncContextManager[LockedPayment | None]:
        """Wait for the payment's lock, then read it, the key's attempt, and the clock, in that order.

        Leaving without a commit changes nothing. Yields ``None`` if there is no such payment.
        """

    def lock_due(self, limit: int) -> AbstractAsyncContextManager[DuePayments]:
        """Lock at most ``limit`` payments whose window has ended, passing over those locked by others."""

    def is_conflict(self, error: Exception) -> bool:
        """Whether, with this error, the store took a transaction back because of others beside it.

        It has then certainly stored nothing, and may be run again from its first read.
        """

    async def ready(self) -> bool:
        """Whether the store can serve, its schema being the one this code needs; raises if unreachable."""


class AnswerWriter(Protocol):
    """Puts a capture's decision into words: the bytes that are stored and given to every retry (I3)."""

    def __call__(self, decision: CaptureDecision) -> Answer:
        """The answer to this decision."""
