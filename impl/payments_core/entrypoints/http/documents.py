"""The documents that the service answers with, as types: ``views`` fills them in, the contract shows them."""

from typing import Annotated, Literal

import msgspec

from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.payment import FailureReason, PaymentState
from payments_core.domain.values import MAX_AMOUNT_CENTS, MAX_KEY_LENGTH, MIN_AMOUNT_CENTS

PAYMENT_ID = "0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e"
"""The payment of the examples."""

PaymentId = Annotated[
    str, msgspec.Meta(extra_json_schema={"format": "uuid"}, description="A UUID.", examples=[PAYMENT_ID])
]
Timestamp = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$",
        extra_json_schema={"format": "date-time"},
        description="An instant of the database's clock: RFC 3339, UTC, six digits of a second.",
        examples=["2026-01-01T12:00:00.000001Z"],
    ),
]
Cents = Annotated[
    int,
    msgspec.Meta(
        ge=MIN_AMOUNT_CENTS, le=MAX_AMOUNT_CENTS, description="An amount in cents.", examples=[1000]
    ),
]
AnyKey = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_LENGTH, examples=["order-17-capture"])]
Status = Annotated[int, msgspec.Meta(ge=100, le=599, description="An HTTP status.", examples=[409])]


class ListedPayment(msgspec.Struct, frozen=True):
    """A payment. A field that its state does not have is null."""

    id: PaymentId
    state: PaymentState
    amount_cents: Cents
    created_at: Timestamp
    authorized_at: Timestamp | None
    capture_expires_at: Timestamp | None
    captured_at: Timestamp | None
    captured_amount_cents: Cents | None
    failed_at: Timestamp | None
    failure_reason: FailureReason | None


class Payment(ListedPayment, frozen=True):
    """A payment as it stood at `as_of`, by the database's clock. What its state does not have is null."""

    as_of: Timestamp


NextPage = Annotated[
    str | None, msgspec.Meta(description="The value of `after` for the next page; null at the end.")
]


class PaymentPage(msgspec.Struct, frozen=True):
    """Payments in order of creation, as they stood at `as_of`."""

    payments: list[ListedPayment]
    as_of: Timestamp
    next: NextPage


class Capture(msgspec.Struct, frozen=True):
    """A capture that succeeded: the answer that is stored under its key and given to every retry."""

    payment_id: PaymentId
    outcome: Literal["captured"]
    amount_cents: Cents
    captured_at: Timestamp


class CaptureAttempt(msgspec.Struct, frozen=True):
    """A decided capture request, as it is stored under its key."""

    idempotency_key: AnyKey
    amount_cents: Cents
    outcome: CaptureOutcome
    status: Status
    decided_at: Timestamp


class CaptureAttempts(msgspec.Struct, frozen=True):
    """Stored capture attempts of a payment, in the order of their decisions."""

    captures: list[CaptureAttempt]
    next: NextPage


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457). Decide by `type`; `detail` is for people."""

    type: Annotated[
        str,
        msgspec.Meta(
            extra_json_schema={"format": "uri-reference"},
            description="The kind of problem: a stable reference, which leads to its description.",
        ),
    ]
    title: Annotated[str, msgspec.Meta(description="The same for every occurrence.")]
    status: Status
    detail: Annotated[str, msgspec.Meta(description="What was wrong this time, and what to do.")]
    payment_id: Annotated[
        PaymentId | msgspec.UnsetType, msgspec.Meta(description="With a decided capture alone.")
    ] = msgspec.UNSET
    decided_at: Annotated[
        Timestamp | msgspec.UnsetType, msgspec.Meta(description="With a decided capture alone.")
    ] = msgspec.UNSET


class ProblemDescription(msgspec.Struct, frozen=True):
    """A kind of problem: when it is answered, and what a client does about it."""

    type: str
    title: str
    status: Status
    when: str
    remedy: str


class Alive(msgspec.Struct, frozen=True):
    """The process lives."""

    status: Literal["alive"] = "alive"


class Ready(msgspec.Struct, frozen=True):
    """The database can be used."""

    status: Literal["ready"] = "ready"
