"""Rows of the schema, right and wrong, and statements that write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

Row = dict[str, Any]

AUTHORIZED = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXPIRES = AUTHORIZED + timedelta(minutes=10)
INSIDE = AUTHORIZED + timedelta(minutes=5)
MICROSECOND = timedelta(microseconds=1)

WINDOW: Row = {"authorized_at": AUTHORIZED, "capture_expires_at": EXPIRES}
NOTHING: Row = {
    "authorized_at": None,
    "capture_expires_at": None,
    "captured_at": None,
    "captured_amount_cents": None,
    "failed_at": None,
    "failure_reason": None,
}
SHAPES: dict[str, Row] = {
    "pending": NOTHING,
    "authorized": NOTHING | WINDOW,
    "captured": NOTHING | WINDOW | {"captured_at": INSIDE, "captured_amount_cents": 500},
    "failed": NOTHING | WINDOW | {"failed_at": INSIDE, "failure_reason": "declined"},
}
CAPTURE: Row = {"state": "captured", "captured_at": INSIDE, "captured_amount_cents": 500}
LEGAL = {("pending", "authorized"), ("authorized", "captured"), ("authorized", "failed")}
STATUS = {
    "captured": 201,
    "not_authorized": 409,
    "already_captured": 409,
    "payment_failed": 409,
    "capture_window_expired": 409,
    "amount_mismatch": 422,
}

EVENTS: dict[str, Row] = {
    "created": {"amount_cents": 500},
    "authorized": {"capture_expires_at": EXPIRES},
    "failed": {"failure_reason": "voided"},
    "expired": {"failure_reason": "expired"},
    **{
        outcome: {"amount_cents": 500, "idempotency_key": "key", "answer_sha256": bytes(32)}
        for outcome in STATUS
    },
}


def payment(shape: str = "pending", **changes: object) -> Row:
    """A row of payments of 500 cents in the shape of a state, with changes."""
    row: Row = {"payment_id": uuid4(), "amount_cents": 500, "state": shape}
    return row | SHAPES[shape] | changes


def attempt(payment_id: UUID, outcome: str = "captured", **changes: object) -> Row:
    """A row of capture_attempts for 500 cents, with changes."""
    row: Row = {
        "payment_id": payment_id,
        "idempotency_key": "key",
        "amount_cents": 500,
        "outcome": outcome,
        "status": STATUS.get(outcome, 409),
        "body": b"{}",
        "decided_at": INSIDE,
    }
    return row | changes


def event(outcome: str = "created", **changes: object) -> Row:
    """A row of payment_events, the first of its payment if that is its creation, with changes."""
    row: Row = {
        "payment_id": uuid4(),
        "event_number": 1 if outcome == "created" else 2,
        "outcome": outcome,
        "decided_at": AUTHORIZED,
    }
    return row | EVENTS.get(outcome, EVENTS["captured"]) | changes


def insert(connection: psycopg.Connection, table: str, row: Row) -> None:
    """Insert one row."""
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Placeholder, row)),
        ),
        row,
    )


def update(connection: psycopg.Connection, payment_id: UUID, changes: Row) -> None:
    """Update one payment."""
    pairs = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in changes
    )
    connection.execute(
        sql.SQL("UPDATE payments SET {} WHERE payment_id = {}").format(pairs, sql.Placeholder("wanted")),
        changes | {"wanted": payment_id},
    )


def violated(error: pytest.ExceptionInfo[psycopg.Error]) -> str | None:
    """The name of the constraint or trigger that an error names."""
    return error.value.diag.constraint_name


def in_one_transaction(connection: psycopg.Connection, *steps: Callable[[], None]) -> None:
    """Take the steps and commit."""
    with connection.transaction():
        for step in steps:
            step()


def state_of(connection: psycopg.Connection, payment_id: UUID) -> str | None:
    """The state of a payment, or None if there is none."""
    row = connection.execute("SELECT state FROM payments WHERE payment_id = %s", [payment_id]).fetchone()
    return row[0] if row else None
