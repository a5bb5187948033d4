"""The application: create, authorize, read and capture payments."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, make_url, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from lab.bench.service.alternative.models import CaptureAttempt, Payment
from lab.bench.service.alternative.problems import KINDS, ProblemError, document

engine = create_async_engine(
    make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg"),
    pool_size=10,
    max_overflow=0,
    connect_args={"server_settings": {"role": "payments_app"}},
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the connections in the end."""
    yield
    await engine.dispose()


async def open_session() -> AsyncIterator[AsyncSession]:
    """A session with one transaction for the request: committed in the end, rolled back on an error."""
    async with sessions() as session, session.begin():
        yield session


# The transaction ends before the answer is sent, which otherwise would promise what may not be stored.
Session = Annotated[AsyncSession, Depends(open_session, scope="function")]
PaymentId = Annotated[UUID, Path()]
app = FastAPI(lifespan=lifespan)


class AmountBody(BaseModel):
    """The body of a creation or a capture."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount_cents: int = Field(ge=1, le=999_999_999_999)


class WindowBody(BaseModel):
    """The body of an authorization."""

    model_config = ConfigDict(extra="forbid", strict=True)
    capture_window_seconds: int = Field(ge=1, le=31 * 86_400)


class PaymentView(BaseModel):
    """A payment, as it is answered."""

    id: UUID
    state: str
    amount_cents: int
    created_at: str
    authorized_at: str | None
    capture_expires_at: str | None
    captured_at: str | None
    captured_amount_cents: int | None
    failed_at: str | None
    failure_reason: str | None
    as_of: str


class CaptureView(BaseModel):
    """A capture that succeeded, as it is answered and stored."""

    payment_id: UUID
    outcome: str
    amount_cents: int
    captured_at: str


@app.exception_handler(ProblemError)
async def problem(_request: Request, error: ProblemError) -> Response:
    """Answer with the problem's document."""
    return Response(error.body, error.status, media_type="application/problem+json")


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> Response:
    """Say in the service's terms what the framework found wrong with a request."""
    first = error.errors()[0]
    place, kind = first["loc"][0], first["type"]
    name = "invalid_request"
    if place == "path":
        name = "invalid_payment_id"
    elif place == "header":
        name = "idempotency_key_missing" if kind == "missing" else "idempotency_key_malformed"
    elif kind == "json_invalid":
        name = "malformed_json"
    return await problem(request, ProblemError(name, first["msg"]))


@app.get("/readyz")
async def ready(session: Session) -> dict[str, str]:
    """Whether the database answers."""
    await session.execute(select(1))
    return {"status": "ready"}


@app.put("/payments/{payment_id}")
async def create(
    payment_id: PaymentId, body: AmountBody, session: Session, response: Response
) -> PaymentView:
    """Create a payment under the client's id; safe to repeat."""
    inserted = await session.execute(
        insert(Payment)
        .values(payment_id=payment_id, amount_cents=body.amount_cents)
        .on_conflict_do_nothing()
        .returning(Payment.payment_id)
    )
    is_new = inserted.first() is not None
    payment = await session.get_one(Payment, payment_id)
    if payment.amount_cents != body.amount_cents:
        raise ProblemError("payment_id_conflict")
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/payments/{payment_id}"
    return shown(payment, payment.created_at if is_new else await clock(session))


@app.get("/payments/{payment_id}")
async def read(payment_id: PaymentId, session: Session) -> PaymentView:
    """The payment as it stands."""
    payment = await session.get(Payment, payment_id)
    if payment is None:
        raise ProblemError("payment_not_found")
    return shown(payment, await clock(session))


@app.post("/payments/{payment_id}/authorize")
async def authorize(payment_id: PaymentId, body: WindowBody, session: Session) -> PaymentView:
    """Authorize a pending payment, and open its capture window."""
    payment = await locked(session, payment_id)
    now = await clock(session)
    if payment.state != "pending":
        names = {"authorized": "already_authorized", "captured": "already_captured"}
        name = names.get(payment.state, "payment_failed")
        raise ProblemError(name, f"the payment's state does not allow this: {KINDS[name].title.lower()}")
    payment.state = "authorized"
    payment.authorized_at = now
    payment.capture_expires_at = now + timedelta(seconds=body.capture_window_seconds)
    return shown(payment, now)


@app.post("/payments/{payment_id}/captures", status_code=201, response_model=CaptureView)
async def capture(
    payment_id: PaymentId,
    body: AmountBody,
    session: Session,
    idempotency_key: Annotated[str, Header(min_length=1, max_length=255, pattern="^[ -~]+$")],
) -> Response:
    """Capture a payment, at most once, or repeat the answer stored under the key."""
    payment = await locked(session, payment_id)
    known = await session.get(CaptureAttempt, (payment_id, idempotency_key))
    if known is not None:
        if known.amount_cents != body.amount_cents:
            raise ProblemError("idempotency_key_reused")
        return answered(known, {"Idempotent-Replayed": "true"})
    now = await clock(session)
    outcome = decided(payment, body.amount_cents, now)
    if outcome == "captured":
        payment.state = "captured"
        payment.captured_at = now
        payment.captured_amount_cents = body.amount_cents
        status = 201
        content = CaptureView(
            payment_id=payment_id, outcome=outcome, amount_cents=body.amount_cents, captured_at=text(now)
        ).model_dump_json()
        stored = content.encode()
    else:
        status = 422 if outcome == "amount_mismatch" else 409
        stored = document(outcome, payment_id=str(payment_id), decided_at=text(now))
    attempt = CaptureAttempt(
        payment_id=payment_id,
        idempotency_key=idempotency_key,
        amount_cents=body.amount_cents,
        outcome=outcome,
        status=status,
        body=stored,
        decided_at=now,
    )
    session.add(attempt)
    return answered(attempt)


async def locked(session: AsyncSession, payment_id: UUID) -> Payment:
    """The payment, its row locked for the rest of the transaction."""
    found = await session.scalar(
        select(Payment).where(Payment.payment_id == payment_id).with_for_update(key_share=True)
    )
    if found is None:
        raise ProblemError("payment_not_found")
    return found


async def clock(session: AsyncSession) -> datetime:
    """The database's clock; to be read after the lock was granted."""
    now: datetime = (await session.execute(select(func.payment_clock()))).scalar_one()
    return now


def decided(payment: Payment, amount_cents: int, now: datetime) -> str:
    """The outcome of a capture under a new key: the state first, then the window, then the amount."""
    if payment.state != "authorized" or payment.capture_expires_at is None:
        return {"captured": "already_captured", "failed": "payment_failed"}.get(
            payment.state, "not_authorized"
        )
    if now >= payment.capture_expires_at:
        return "capture_window_expired"
    return "captured" if amount_cents == payment.amount_cents else "amount_mismatch"


def answered(attempt: CaptureAttempt, headers: dict[str, str] | None = None) -> Response:
    """The stored answer."""
    media_type = "application/json" if attempt.status < 400 else "application/problem+json"
    return Response(attempt.body, attempt.status, headers, media_type=media_type)


def shown(payment: Payment, as_of: datetime) -> PaymentView:
    """A payment and when it was looked at."""
    return PaymentView(
        id=payment.payment_id,
        state=payment.state,
        amount_cents=payment.amount_cents,
        created_at=text(payment.created_at),
        authorized_at=optional(payment.authorized_at),
        capture_expires_at=optional(payment.capture_expires_at),
        captured_at=optional(payment.captured_at),
        captured_amount_cents=payment.captured_amount_cents,
        failed_at=optional(payment.failed_at),
        failure_reason=payment.failure_reason,
        as_of=text(as_of),
    )


def text(instant: datetime) -> str:
    """An instant as RFC 3339 text, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def optional(instant: datetime | None) -> str | None:
    """An instant that there may not be."""
    return None if instant is None else text(instant)
