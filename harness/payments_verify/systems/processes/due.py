"""Payments that are due, put into the database by its owner, and how many expire at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import psycopg

from payments_verify.patience import ask_until

_INSERT = """
WITH made AS (
    INSERT INTO payments (payment_id, amount_cents)
    SELECT gen_random_uuid(), 500 FROM generate_series(1, %s) RETURNING payment_id, created_at),
event AS (
    INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents)
    SELECT payment_id, 1, 'created', created_at, 500 FROM made)
SELECT payment_id FROM made
"""
_AUTHORIZE = """
WITH moved AS (
    UPDATE payments SET state = 'authorized', authorized_at = created_at, capture_expires_at = created_at + %s
    WHERE payment_id = ANY (%s) RETURNING *)
INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, capture_expires_at)
SELECT payment_id, 2, 'authorized', authorized_at, capture_expires_at FROM moved
"""
HOLD = "SELECT FROM payments WHERE payment_id = ANY(%s) FOR NO KEY UPDATE"
"""Locks payments until the transaction ends."""
_EXPIRED = """
SELECT xmin::text FROM payments WHERE payment_id = ANY (%s) AND failure_reason = 'expired'
"""


def insert_due(dsn: str, count: int, window: str = "1 microsecond") -> Sequence[UUID]:
    """Authorize so many payments together, whose windows are so long; their ids."""
    with psycopg.connect(dsn) as connection:
        made = [row[0] for row in connection.execute(_INSERT, [count])]
        connection.execute(_AUTHORIZE.replace("%s", "%s::interval", 1).encode(), [window, made])
    return made


async def expired_together(dsn: str, payments: Sequence[UUID], limit_s: float) -> Sequence[int]:
    """How many expired in each transaction, the most first, once all have, or the time is over."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        async def expired() -> Counter[str]:
            return Counter(row[0] for row in connection.execute(_EXPIRED, [payments]))

        found = await ask_until(expired, lambda now: now.total() == len(payments), limit_s)
    return sorted(found.values(), reverse=True)
