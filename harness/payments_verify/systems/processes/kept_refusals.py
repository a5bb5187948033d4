"""Payments that had refusals before the service had its bound: the owner of the database stores them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import psycopg

from payments_verify.systems.processes.asked import AMOUNT, Served, send
from payments_verify.systems.processes.due import insert_due

_FAR = 1_003
"""Refusals beyond the bound: with them, a payment has more events than the default allows."""
_ANOTHER = b'{"amount_cents": 501}'
_STORED = b'{"stored": "before"}'
_CAPTURED, _MISMATCH, _TOO_MANY, _FAILED = 201, 422, 429, 500
# The rows are whole: no trigger has to be asked of each.
_INSERT = f"""
SET LOCAL session_replication_role = replica;
WITH stored AS (
    INSERT INTO capture_attempts
        (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)
    SELECT payment_id, each::text, 501, 'amount_mismatch', {_MISMATCH}, '{_STORED.decode()}', authorized_at
    FROM payments, generate_series(1, %(count)s) AS each WHERE payment_id = %(payment)s RETURNING *)
INSERT INTO payment_events
    (payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key, answer_sha256)
SELECT payment_id, 2 + idempotency_key::int, outcome, decided_at, amount_cents, idempotency_key, sha256(body)
FROM stored
"""  # noqa: S608 - built from constants


async def wrong_bound(served: Served, dsn: str, token: str, bound: int) -> str | None:
    """What is answered to captures of payments that have one refusal less than may be, one more, or many.

    Args:
        served: a process.
        dsn: its database, whose owner is a superuser.
        token: for it.
        bound: how many refusals it may store.
    """
    for stored in (bound - 1, bound + 1, bound + _FAR):
        try:
            payment = await asyncio.to_thread(insert_refused, dsn, stored)
        except psycopg.errors.IntegrityError as error:
            return f"I9: a payment may have {stored} refusals, which cannot be stored: {error}"
        wrong = await _wrong_answer(served, f"/payments/{payment}/captures", token, bound - stored)
        if wrong is not None:
            return f"{wrong}, where PAYMENTS_MAX_STORED_REFUSALS={bound} and {stored} had been stored"
    return None


def insert_refused(dsn: str, count: int) -> UUID:
    """Authorize a payment of which so many captures were refused, by the keys 1, 2, 3 and so on; its id."""
    (payment,) = insert_due(dsn, 1, "1 day")
    with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(_INSERT.encode(), {"count": count, "payment": payment})
    return payment


async def _wrong_answer(served: Served, path: str, token: str, left: int) -> str | None:
    """The first capture that is answered otherwise than it has to be, of those before and at the bound."""
    captures = (
        ("first", _ANOTHER, _MISMATCH if left > 0 else _TOO_MANY),
        ("one more", _ANOTHER, _TOO_MANY),
        ("1", _ANOTHER, _MISMATCH),
        ("captures", AMOUNT, _CAPTURED),
        ("too late", AMOUNT, _TOO_MANY),
    )
    for key, body, wanted in captures:
        answer = await send(served, "POST", path, token, body, Idempotency_Key=key)
        status = answer.status_code
        if status != wanted or (key == "1" and answer.content != _STORED):
            broken = "I9" if status >= _FAILED else "I3" if key == "1" else "I11"
            return f"{broken}: a capture under the key {key!r}: {status} {answer.text}, not {wanted}"
    return None
