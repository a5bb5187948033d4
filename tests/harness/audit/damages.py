"""Ways to damage what the service left behind, each with the rule that it breaks, as statements."""

from __future__ import annotations

_CAPTURED = "payment_id = (SELECT min(payment_id::text)::uuid FROM payments WHERE state = 'captured')"
_FAILED = "payment_id = (SELECT payment_id FROM payments WHERE failure_reason = 'declined')"

DAMAGES = {
    "state set back": (
        "I2",
        f"""
        UPDATE payments SET state = 'authorized', captured_at = NULL, captured_amount_cents = NULL
        WHERE {_CAPTURED}
        """,
    ),
    "failed for another reason": ("I2", f"UPDATE payments SET failure_reason = 'voided' WHERE {_FAILED}"),
    "amount changed": (
        "I2",
        f"UPDATE payments SET amount_cents = 501, captured_amount_cents = 501 WHERE {_CAPTURED}",
    ),
    "window made longer": (
        "I2",
        f"UPDATE payments SET capture_expires_at = capture_expires_at + interval '1 us' WHERE {_CAPTURED}",
    ),
    "payment deleted": ("I2", f"DELETE FROM payments WHERE {_CAPTURED}"),
    "moved without an event": (
        "I12",
        """
        UPDATE payments SET state = 'failed', failed_at = capture_expires_at, failure_reason = 'expired'
        WHERE state = 'authorized'
        """,
    ),
    "payment without a past": (
        "I12",
        "INSERT INTO payments (payment_id, amount_cents) VALUES (gen_random_uuid(), 1)",
    ),
    "event deleted": ("I12", f"DELETE FROM payment_events WHERE {_CAPTURED} AND event_number = 4"),
    "last event deleted": ("I12", f"DELETE FROM payment_events WHERE {_FAILED} AND event_number = 4"),
    "event inserted": (
        "I3",
        f"""
        INSERT INTO payment_events
        SELECT payment_id, 7, outcome, decided_at, amount_cents, capture_expires_at, failure_reason,
               idempotency_key, answer_sha256
        FROM payment_events WHERE {_CAPTURED} AND event_number = 6
        """,
    ),
    "two captures in the events": (
        "I1",
        f"UPDATE payment_events SET outcome = 'captured' WHERE {_CAPTURED} AND event_number = 5",
    ),
    "captured after the window": (
        "I5",
        "UPDATE payment_events SET decided_at = decided_at + interval '2 hours' WHERE outcome = 'captured'",
    ),
    "expired inside the window": (
        "I5",
        "UPDATE payment_events SET decided_at = decided_at - interval '1 day' WHERE outcome = 'expired'",
    ),
    "captured another amount": (
        "I1",
        f"UPDATE payment_events SET amount_cents = 499 WHERE {_CAPTURED} AND outcome = 'captured'",
    ),
    "captured once it had failed": (
        "I2",
        f"UPDATE payment_events SET outcome = 'captured' WHERE {_FAILED} AND event_number = 4",
    ),
    "refused without a reason": (
        "I10",
        "UPDATE payment_events SET amount_cents = 500 WHERE outcome = 'amount_mismatch'",
    ),
    "decided otherwise under one key": (
        "I4",
        f"""
        INSERT INTO payment_events
        SELECT payment_id, 7, outcome, decided_at, 499, capture_expires_at, failure_reason,
               idempotency_key, answer_sha256
        FROM payment_events WHERE {_CAPTURED} AND event_number = 6
        """,
    ),
    "body changed": ("I3", f"UPDATE capture_attempts SET body = body || ' ' WHERE {_FAILED}"),
    "amount of an attempt changed": (
        "I3",
        f"UPDATE capture_attempts SET amount_cents = 498 WHERE {_FAILED}",
    ),
    "key changed": ("I3", f"UPDATE capture_attempts SET idempotency_key = 'x' WHERE {_FAILED}"),
    "attempt deleted": ("I3", f"DELETE FROM capture_attempts WHERE {_FAILED}"),
    "successful attempt deleted": (
        "I6",
        f"DELETE FROM capture_attempts WHERE {_CAPTURED} AND outcome = 'captured'",
    ),
    "key without an event": (
        "I12",
        f"""
        INSERT INTO capture_attempts
        SELECT payment_id, 'x', amount_cents, outcome, status, body, decided_at
        FROM capture_attempts WHERE {_FAILED}
        """,
    ),
}
"""The invariant and the statement; none of them breaks a constraint on one row."""
