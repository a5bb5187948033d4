"""What the service answers, as this client reads it.

These are types of the client's own, and a test holds them to the contract. Fields that are new to them are
passed over, so that a service may grow.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it stood at ``as_of``, by the database's clock. What its state does not have is ``None``.

    Amounts are in cents; instants are UTC, exact to the µs.
    """

    id: UUID
    state: Literal["pending", "authorized", "captured", "failed"]
    amount_cents: int
    created_at: datetime
    authorized_at: datetime | None
    capture_expires_at: datetime | None
    captured_at: datetime | None
    captured_amount_cents: int | None
    failed_at: datetime | None
    failure_reason: Literal["declined", "voided", "expired"] | None
    as_of: datetime


class CaptureDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a capture that succeeded, as it is sent."""

    payment_id: UUID
    outcome: Literal["captured"]
    amount_cents: int
    captured_at: datetime


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """A capture that succeeded.

    Attributes:
        payment_id: the payment.
        amount_cents: what was taken, in cents.
        captured_at: when it was decided, by the database's clock.
        key: the idempotency key of this capture.
        replayed: whether the service had answered this key before: the answer was lost, or asked for again.
    """

    payment_id: UUID
    amount_cents: int
    captured_at: datetime
    key: str
    replayed: bool


class CaptureAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A decided capture, as it is stored under its key."""

    idempotency_key: str
    amount_cents: int
    outcome: str
    status: int
    decided_at: datetime


class CaptureAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """Every stored attempt of a payment, as it is sent."""

    captures: tuple[CaptureAttempt, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong (RFC 9457).

    Attributes:
        type: the kind of problem; what to decide by. ``about:blank`` if the answer named none, as those of
            proxies do.
        title: the kind in words.
        status: the HTTP status.
        detail: what was wrong this time, for people.
        decided_at: when a capture was refused, by the database's clock; with a decided capture alone.
    """

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    decided_at: datetime | None = None

    @property
    def name(self) -> str:
        """The last part of the type: ``already_captured``."""
        return self.type.rpartition("/")[2]
