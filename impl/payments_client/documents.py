"""What the service answers, as this client reads it.

These are types of the client's own, and a test holds them to the contract. Fields that are new to them are
passed over, so that a service may grow. What contradicts itself is not believed.
"""

import json
from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import msgspec

Document = TypeVar("Document", bound=msgspec.Struct)
Cents = Annotated[int, msgspec.Meta(ge=1, le=999_999_999_999)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,255}\Z")]

STATUS_OF_OUTCOME = {
    "captured": 201,
    "not_authorized": 409,
    "already_captured": 409,
    "payment_failed": 409,
    "capture_window_expired": 409,
    "amount_mismatch": 422,
}
"""The outcomes that are stored under a key, and how each is answered."""


class UnbelievableError(Exception):
    """The answer is none to what was asked."""


def expect(name: str, answered: object, expected: object) -> None:
    """Hold what was answered against what it has to be.

    Raises:
        UnbelievableError: it is something else.
    """
    if answered != expected:
        raise UnbelievableError(f"{name} is {answered}, not {expected}")


def read(body: bytes, kind: type[Document]) -> Document:
    """Read a document.

    Raises:
        UnbelievableError: it is none, or contradicts itself.
    """
    try:
        document = msgspec.json.decode(body, type=kind)
        json.loads(body.decode(), object_pairs_hook=_members)  # msgspec takes the last of two members
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnbelievableError(f"it is no {kind.__name__}: {error}") from error
    return document


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _hold(*rules: bool) -> None:
    if not all(rules):
        raise ValueError("its fields contradict each other")


def _is_utc(*instants: datetime | None) -> bool:
    return all(each is None or each.utcoffset() == timedelta() for each in instants)


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it stood at ``as_of``, by the database's clock. What its state does not have is ``None``.

    Amounts are in cents; instants are UTC, exact to the µs.
    """

    id: UUID
    state: Literal["pending", "authorized", "captured", "failed"]
    amount_cents: Cents
    created_at: Instant
    authorized_at: Instant | None
    capture_expires_at: Instant | None
    captured_at: Instant | None
    captured_amount_cents: Cents | None
    failed_at: Instant | None
    failure_reason: Literal["declined", "voided", "expired"] | None
    as_of: Instant

    def __post_init__(self) -> None:
        """Hold the fields against each other, as the specification has them.

        Raises:
            ValueError: they contradict each other.
        """
        authorized, captured = self.authorized_at, self.captured_at
        expires, failed = self.capture_expires_at, self.failed_at
        _hold(
            _is_utc(self.created_at, authorized, expires, captured, failed, self.as_of),
            (authorized is None) == (expires is None) == (self.state == "pending"),
            (captured is None) == (self.captured_amount_cents is None) == (self.state != "captured"),
            (failed is None) == (self.failure_reason is None) == (self.state != "failed"),
        )
        _hold(
            authorized is None or expires is None or authorized < expires,
            captured is None or expires is None or captured < expires,
            self.captured_amount_cents in {None, self.amount_cents},
        )


class CaptureDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a capture that succeeded, as it is sent."""

    payment_id: UUID
    outcome: Literal["captured"]
    amount_cents: Cents
    captured_at: Instant

    def __post_init__(self) -> None:
        """Hold the instant to be UTC."""
        _hold(_is_utc(self.captured_at))


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

    idempotency_key: Key
    amount_cents: Cents
    outcome: Literal[
        "captured",
        "not_authorized",
        "already_captured",
        "payment_failed",
        "capture_window_expired",
        "amount_mismatch",
    ]
    status: int
    decided_at: Instant

    def __post_init__(self) -> None:
        """Hold the status against the outcome.

        Raises:
            ValueError: they contradict each other.
        """
        _hold(_is_utc(self.decided_at), self.status == STATUS_OF_OUTCOME[self.outcome])


class CaptureAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """Stored attempts of a payment, a page of them, as it is sent."""

    captures: tuple[CaptureAttempt, ...]
    next: str | None

    def __post_init__(self) -> None:
        """Hold the attempts against each other: a key has one, and one captured at most.

        Raises:
            ValueError: they contradict each other.
        """
        _hold(
            len({each.idempotency_key for each in self.captures}) == len(self.captures),
            sum(each.outcome == "captured" for each in self.captures) <= 1,
        )


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong (RFC 9457).

    Attributes:
        type: the kind of problem; what to decide by. ``about:blank`` if the answer named none, as those of
            proxies do.
        title: the kind in words.
        status: the HTTP status.
        detail: what was wrong this time, for people.
        payment_id: the payment; with a decided capture alone.
        decided_at: when a capture was refused, by the database's clock; with a decided capture alone.
    """

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    payment_id: UUID | None = None
    decided_at: Instant | None = None

    @property
    def name(self) -> str:
        """The last part of the type: ``already_captured``."""
        return self.type.rpartition("/")[2]
