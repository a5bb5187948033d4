"""The tables, as SQLAlchemy's declarative mapping."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, FetchedValue, ForeignKey, LargeBinary, SmallInteger, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What all mappings have in common."""

    type_annotation_map = {datetime: DateTime(timezone=True), int: BigInteger, str: Text}  # noqa: RUF012


class Payment(Base):
    """A payment."""

    __tablename__ = "payments"

    payment_id: Mapped[UUID] = mapped_column(primary_key=True)
    amount_cents: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=FetchedValue())
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    authorized_at: Mapped[datetime | None]
    capture_expires_at: Mapped[datetime | None]
    captured_at: Mapped[datetime | None]
    captured_amount_cents: Mapped[int | None]
    failed_at: Mapped[datetime | None]
    failure_reason: Mapped[str | None]


class CaptureAttempt(Base):
    """The answer to a capture, under its key."""

    __tablename__ = "capture_attempts"

    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.payment_id"), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    amount_cents: Mapped[int]
    outcome: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    decided_at: Mapped[datetime]
