"""Many payments with their attempts and events, as the service would have left them, made by the database."""

from __future__ import annotations

import psycopg

EVERY = 10
"""Of so many payments one stays pending, one authorized, one is voided, one expires; the rest is captured."""

_AT = "timestamptz '2026-01-01 00:00:00+00' + n * interval '20 milliseconds'"
_WINDOW = "interval '10 minutes'"
_KIND = (
    f"CASE n %% {EVERY} WHEN 0 THEN 'pending' WHEN 1 THEN 'authorized' WHEN 2 THEN 'voided'"
    " WHEN 3 THEN 'expired' ELSE 'captured' END"
)
_MADE = f"""
    CREATE TEMPORARY TABLE made AS
    SELECT n, gen_random_uuid() AS payment_id, {_KIND} AS kind, 100 + n %% 100000 AS cents,
           {_AT} AS created_at, {_AT} + interval '1 second' AS authorized_at,
           {_AT} + {_WINDOW} AS expires_at, {_AT} + {_WINDOW} + interval '1 second' AS swept_at,
           {_AT} + interval '3 seconds' AS decided_at
    FROM generate_series(1, %s) AS n
"""
_PAYMENTS = """
    INSERT INTO payments
        (payment_id, amount_cents, state, created_at, authorized_at, capture_expires_at,
         captured_at, captured_amount_cents, failed_at, failure_reason)
    SELECT payment_id, cents, CASE WHEN kind IN ('voided', 'expired') THEN 'failed' ELSE kind END,
           created_at, CASE WHEN kind <> 'pending' THEN authorized_at END,
           CASE WHEN kind <> 'pending' THEN expires_at END,
           CASE WHEN kind = 'captured' THEN decided_at END, CASE WHEN kind = 'captured' THEN cents END,
           CASE kind WHEN 'voided' THEN decided_at WHEN 'expired' THEN swept_at END,
           CASE WHEN kind IN ('voided', 'expired') THEN kind END
    FROM made ORDER BY n
"""
# Every captured payment has its capture, and one in three a second one that came too late. Who asks for
# another amount, or at the window's end, is refused.
_ATTEMPTS = """
    CREATE TEMPORARY TABLE tried AS
    SELECT n, payment_id, 'order-' || n AS key, cents, 'captured' AS outcome, 201 AS status, decided_at
    FROM made WHERE kind = 'captured'
    UNION ALL
    SELECT n, payment_id, 'again-' || n, cents, 'already_captured', 409, decided_at + interval '1 second'
    FROM made WHERE kind = 'captured' AND n % 3 = 0
    UNION ALL
    SELECT n, payment_id, 'less-' || n, cents - 1, 'amount_mismatch', 422, decided_at
    FROM made WHERE kind = 'authorized'
    UNION ALL
    SELECT n, payment_id, 'late-' || n, cents, 'capture_window_expired', 409, expires_at
    FROM made WHERE kind = 'expired';
    ALTER TABLE tried ADD COLUMN body bytea;
    UPDATE tried SET body = convert_to(
        '{"payment_id":"' || payment_id::text || '","outcome":"' || outcome || '","amount_cents":'
        || cents::text || '}' || repeat(' ', 80), 'UTF8');
    INSERT INTO capture_attempts
        (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)
    SELECT payment_id, key, cents, outcome, status, body, decided_at FROM tried ORDER BY n, decided_at
"""
_EVENTS = """
    INSERT INTO payment_events
        (payment_id, event_number, outcome, decided_at, amount_cents, capture_expires_at,
         failure_reason, idempotency_key, answer_sha256)
    SELECT payment_id, row_number() OVER (PARTITION BY payment_id ORDER BY place), outcome, decided_at,
           cents, expires_at, reason, key, digest
    FROM (
        SELECT n, payment_id, 1 AS place, 'created' AS outcome, created_at AS decided_at, cents,
               NULL::timestamptz AS expires_at, NULL AS reason, NULL AS key, NULL::bytea AS digest
        FROM made
        UNION ALL
        SELECT n, payment_id, 2, 'authorized', authorized_at, NULL, expires_at, NULL, NULL, NULL
        FROM made WHERE kind <> 'pending'
        UNION ALL
        SELECT n, payment_id, CASE outcome WHEN 'already_captured' THEN 4 ELSE 3 END, outcome, decided_at,
               cents, NULL, NULL, key, sha256(body)
        FROM tried
        UNION ALL
        SELECT n, payment_id, 5, CASE kind WHEN 'voided' THEN 'failed' ELSE kind END,
               CASE kind WHEN 'voided' THEN decided_at ELSE swept_at END, NULL, NULL, kind, NULL, NULL
        FROM made WHERE kind IN ('voided', 'expired')
    ) AS decision ORDER BY n, place
"""


def seed(dsn: str, payments: int) -> None:
    """Store payments with random ids, in the order of their creation.

    Args:
        dsn: the connection string of a superuser, who may write past the triggers.
        payments: how many.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '256MB'")
        connection.execute("SET work_mem = '128MB'")
        connection.execute(_MADE.encode(), [payments])
        for statements in (_PAYMENTS, _ATTEMPTS, _EVENTS):
            connection.execute(statements.encode())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) payments, capture_attempts, payment_events")
        connection.execute("CHECKPOINT")
