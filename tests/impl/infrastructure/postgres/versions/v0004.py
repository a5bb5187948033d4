"""What a version wrote with that knew the migrations up to 0004."""

PAYMENT_COLUMNS = (
    "payment_id, amount_cents, created_at, state, authorized_at, capture_expires_at,"
    " captured_at, captured_amount_cents, failed_at, failure_reason"
)
ATTEMPT_COLUMNS = "payment_id, idempotency_key, amount_cents, outcome, decided_at, status, body"

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
COMMIT = "COMMIT"

LOCK_PAYMENT = f"SELECT {PAYMENT_COLUMNS} FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"
FIND_ATTEMPT = (
    f"SELECT {ATTEMPT_COLUMNS} FROM capture_attempts WHERE payment_id = %s AND idempotency_key = %s"
)
READ_CLOCK = "SELECT payment_clock()"

_NEXT_EVENT = (
    "(SELECT coalesce(max(event_number), 0) + 1 FROM payment_events AS event"
    " WHERE event.payment_id = {}.payment_id)"
)
UPDATE_PAYMENT = """
    UPDATE payments
    SET state = %s, authorized_at = %s, capture_expires_at = %s, captured_at = %s,
        captured_amount_cents = %s, failed_at = %s, failure_reason = %s
    WHERE payment_id = %s
"""
INSERT_ATTEMPT = f"""
    WITH attempt AS (
    INSERT INTO capture_attempts ({ATTEMPT_COLUMNS})
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    RETURNING *)
    INSERT INTO payment_events
        (payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key, answer_sha256)
    SELECT payment_id, {_NEXT_EVENT.format("attempt")},
           outcome, decided_at, amount_cents, idempotency_key, sha256(body)
    FROM attempt
"""
MOVE_PAYMENT = f"""
    WITH moved AS ({UPDATE_PAYMENT}
    RETURNING *)
    INSERT INTO payment_events
        (payment_id, event_number, outcome, decided_at, capture_expires_at, failure_reason)
    SELECT payment_id, {_NEXT_EVENT.format("moved")},
           CASE WHEN failure_reason = 'expired' THEN failure_reason ELSE state END,
           coalesce(failed_at, authorized_at),
           CASE WHEN state = 'authorized' THEN capture_expires_at END, failure_reason
    FROM moved
"""

INSERT_PAYMENT = f"""
    WITH created AS (
    INSERT INTO payments (payment_id, amount_cents, created_at)
    VALUES (%s, %s, payment_clock())
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING *),
    event AS (
    INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents)
    SELECT payment_id, 1, 'created', created_at, amount_cents FROM created)
    SELECT {PAYMENT_COLUMNS}, created_at FROM created
"""
