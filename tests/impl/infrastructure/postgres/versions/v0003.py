"""What a version wrote with that knew the migrations up to 0003."""

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

UPDATE_PAYMENT = """
    UPDATE payments
    SET state = %s, authorized_at = %s, capture_expires_at = %s, captured_at = %s,
        captured_amount_cents = %s, failed_at = %s, failure_reason = %s
    WHERE payment_id = %s
"""
INSERT_ATTEMPT = f"""
    INSERT INTO capture_attempts ({ATTEMPT_COLUMNS})
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

INSERT_PAYMENT = f"""
    INSERT INTO payments (payment_id, amount_cents, created_at)
    VALUES (%s, %s, payment_clock())
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING {PAYMENT_COLUMNS}, created_at
"""
