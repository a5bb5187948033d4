"""What goes in and out of the use cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from payments_core.domain.capture import Answer, CaptureAttempt, CaptureOutcome
from payments_core.domain.payment import Payment
from payments_core.domain.values import Instant


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """A payment and when it was looked at.

    Attributes:
        payment: the payment.
        as_of: the database's clock at the look, in µs UTC.
    """

    payment: Payment
    as_of: Instant


@dataclass(frozen=True, slots=True)
class Created:
    """The result of a creation: the payment with its id, and whether this request made it."""

    snapshot: PaymentSnapshot
    is_new: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list of payments: the last one already seen."""

    created_at: Instant
    payment_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """A stretch of the list of payments.

    Attributes:
        payments: in order of creation.
        as_of: the database's clock at the look, in µs UTC.
        next: where the next page begins; ``None`` at the end.
    """

    payments: tuple[Payment, ...]
    as_of: Instant
    next: Cursor | None

    @classmethod
    def cut(cls, found: Sequence[Payment], limit: int, as_of: Instant) -> "PaymentPage":
        """A page of ``limit`` payments from a search for one more than that."""
        shown = tuple(found[:limit])
        more = len(found) > limit
        return cls(shown, as_of, Cursor(shown[-1].created_at, shown[-1].payment_id) if more else None)


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """A stretch of the list of a payment's capture attempts.

    Attributes:
        attempts: in the order of their decisions.
        next: where the next page begins; ``None`` at the end.
    """

    attempts: tuple[CaptureAttempt, ...]
    next: int | None

    @classmethod
    def cut(cls, found: Sequence[tuple[int, CaptureAttempt]], limit: int) -> "AttemptPage":
        """A page of ``limit`` attempts from a search for one more than that, each with its place."""
        shown = found[:limit]
        return cls(tuple(attempt for _, attempt in shown), shown[-1][0] if len(found) > limit else None)


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """The answer to a capture.

    Attributes:
        answer: status and body, as stored.
        replayed: whether an earlier request under the same key had been answered so.
        outcome: what was decided, then or now.
    """

    answer: Answer
    replayed: bool
    outcome: CaptureOutcome
