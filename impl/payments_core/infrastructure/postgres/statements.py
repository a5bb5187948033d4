"""Every statement of the service, and the shapes of their rows."""

PAYMENT_COLUMNS = (
    "payment_id, amount_cents, created_at, state, authorized_at, capture_expires_at,"
    " captured_at, captured_amount_cents, failed_at, failure_reason"
)
ATTEMPT_COLUMNS = "payment_id, idempotency_key, amount_cents, outcome, decided_at, status, body"

# READ COMMITTED is what the locking order needs: each statement sees what committed before it began. At
# SERIALIZABLE a statement sees what committed before the transaction's first; where that matters, the
# database refuses with 40001, and the transaction is run again.
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
BEGIN_SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

# The order of these three is the protocol. Each is a statement of its own, because a statement that waits
# for a lock goes on with the snapshot, and often the clock, from before the wait.
LOCK_PAYMENT = f"SELECT {PAYMENT_COLUMNS} FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"
LOCK_FREE_PAYMENT = f"{LOCK_PAYMENT} NOWAIT"
# With the number of the payment's last event: whoever has the lock knows the next one.
FIND_ATTEMPT = """
    SELECT attempt.payment_id, attempt.idempotency_key, attempt.amount_cents, attempt.outcome,
           attempt.decided_at, attempt.status, attempt.body, last_event.number
    FROM (SELECT max(event_number) AS number FROM payment_events WHERE payment_id = %s) AS last_event
    LEFT JOIN capture_attempts AS attempt
      ON attempt.payment_id = %s AND attempt.idempotency_key = %s
"""
READ_CLOCK = "SELECT payment_clock()"

# A decision and its event are one statement. Its number is read after the payment's lock was granted; what is
# numbered without the lock, the primary key refuses. All that a statement needs of its payment it has as a
# parameter, so that a sharded database sends it to one shard.
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
    SELECT payment_id, %s, outcome, decided_at, amount_cents, idempotency_key, sha256(body)
    FROM attempt
"""
MOVE_PAYMENT = f"""
    WITH moved AS ({UPDATE_PAYMENT}
    RETURNING *)
    INSERT INTO payment_events
        (payment_id, event_number, outcome, decided_at, capture_expires_at, failure_reason)
    SELECT payment_id,
           (SELECT coalesce(max(event_number), 0) + 1 FROM payment_events WHERE payment_id = %s),
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
GET_PAYMENT = f"SELECT {PAYMENT_COLUMNS}, payment_clock() FROM payments WHERE payment_id = %s"
# For who would have created it. The lock waits for no other of the service, and has the commit wait, as with
# every answer to a command, until standbys have what is answered.
FIND_CREATED = f"{GET_PAYMENT} FOR KEY SHARE"
# Before these two in one transaction, where as many wait for locks as may: an insertion knows no NOWAIT.
HARDLY_WAIT = "SELECT set_config('lock_timeout', '2', true)"
FIRST_PAGE = f"SELECT {PAYMENT_COLUMNS} FROM payments ORDER BY created_at, payment_id LIMIT %s"
NEXT_PAGE = f"""
    SELECT {PAYMENT_COLUMNS} FROM payments
    WHERE (created_at, payment_id) > (%s, %s)
    ORDER BY created_at, payment_id LIMIT %s
"""
# OFFSET 0 has each attempt looked up by its whole key. PostgreSQL takes a payment to have hardly any, so that
# a join would read all of them again for each event.
LIST_ATTEMPTS = f"""
    SELECT attempt.payment_id, attempt.idempotency_key, attempt.amount_cents, attempt.outcome,
           attempt.decided_at, attempt.status, attempt.body, event.event_number
    FROM payment_events AS event CROSS JOIN LATERAL (
        SELECT {ATTEMPT_COLUMNS} FROM capture_attempts
        WHERE payment_id = %s AND idempotency_key = event.idempotency_key OFFSET 0) AS attempt
    WHERE event.payment_id = %s AND event.event_number > %s
    ORDER BY event.event_number LIMIT %s
"""
# What is due is found first, without a lock. Then each is locked alone, by a statement that needs one shard
# only. Meanwhile the payment may have been moved, so that the lock asks for its state again. What others have
# locked is passed over by its id: between two looks they may have moved it, and a place would be another's.
# None is NULL: the driver has no binary form of an empty list.
FIND_DUE = """
    SELECT payment_id FROM payments
    WHERE state = 'authorized' AND capture_expires_at <= (SELECT payment_clock())
      AND payment_id <> ALL (coalesce(%s::uuid[], '{}'))
    LIMIT %s
"""
LOCK_DUE = f"""
    SELECT {PAYMENT_COLUMNS} FROM payments
    WHERE payment_id = %s AND state = 'authorized'
    FOR NO KEY UPDATE SKIP LOCKED
"""
APPLIED_MIGRATIONS = "SELECT migration_id FROM _yoyo_migration"
# The guards of the schema are in PL/pgSQL, whose library a session loads when it first runs such a function.
LOAD_GUARDS = "DO 'BEGIN END'"
IS_CITUS = "SELECT FROM pg_extension WHERE extname = 'citus'"
REFUSING_WORKERS = """
    SELECT nodename || ':' || nodeport, result
    FROM run_command_on_workers('SELECT payment_clock()') WHERE NOT success
"""
SESSION_STATE = """
    SELECT current_setting('session_replication_role', true), current_setting('transaction_read_only'),
           current_setting('in_hot_standby', true)
"""
_MOVED_COLUMNS = (
    "state, authorized_at, capture_expires_at, captured_at, captured_amount_cents, failed_at, failure_reason"
)
NEEDED_COLUMNS = {
    "payments": {
        "SELECT": PAYMENT_COLUMNS,
        "INSERT": "payment_id, amount_cents, created_at",
        "UPDATE": _MOVED_COLUMNS,
    },
    "capture_attempts": {"SELECT": ATTEMPT_COLUMNS, "INSERT": ATTEMPT_COLUMNS},
    "payment_events": {
        "SELECT": "payment_id, event_number, idempotency_key",
        "INSERT": "payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key,"
        " answer_sha256, capture_expires_at, failure_reason",
    },
}
"""The columns that the statements above read and write, by table and privilege."""
_LISTED_COLUMNS = ", ".join(
    f"('{relation}', '{privilege}', '{columns}')"
    for relation, rights in NEEDED_COLUMNS.items()
    for privilege, columns in rights.items()
)
RIGHTS = f"""
    SELECT bool_and(
        has_table_privilege(relation, privilege)
        OR (SELECT bool_and(has_column_privilege(relation, name, privilege))
            FROM unnest(string_to_array(names, ', ')) AS name)
    )
    FROM (VALUES {_LISTED_COLUMNS}) AS needed (relation, privilege, names)
"""
