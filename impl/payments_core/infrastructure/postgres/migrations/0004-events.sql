-- depends: 0003-application-role
--
-- What was decided, one row for each decision, in the order of the decisions: a payment's past. The statement that
-- stores a decision writes its event; nothing is ever changed or deleted. The command follows from the outcome:
-- created, authorized, failed and expired are those of create, authorize, fail and expire, all others of capture.
-- There is no foreign key: the events outlive whatever becomes of the rows that they explain.

CREATE TABLE payment_events (
    payment_id         uuid        NOT NULL,
    event_number       integer     NOT NULL,
    outcome            text        NOT NULL,
    decided_at         timestamptz NOT NULL,
    amount_cents       bigint,
    capture_expires_at timestamptz,
    failure_reason     text,
    idempotency_key    text        COLLATE "C",
    answer_sha256      bytea,
    is_reconstructed   boolean     NOT NULL DEFAULT false,

    CONSTRAINT payment_events_pkey
        PRIMARY KEY (payment_id, event_number),
    CONSTRAINT created_first
        CHECK (event_number >= 1 AND (event_number = 1 OR outcome <> 'created')),
    CONSTRAINT event_of_outcome
        CHECK ((amount_cents IS NOT NULL, capture_expires_at IS NOT NULL, failure_reason IS NOT NULL,
                idempotency_key IS NOT NULL, answer_sha256 IS NOT NULL) =
            CASE
                WHEN outcome = 'created' THEN (true, false, false, false, false)
                WHEN outcome = 'authorized' THEN (false, true, false, false, false)
                WHEN outcome IN ('failed', 'expired') THEN (false, false, true, false, false)
                WHEN outcome IN ('captured', 'not_authorized', 'already_captured', 'payment_failed',
                                 'capture_window_expired', 'amount_mismatch')
                    THEN (true, false, false, true, true)
                ELSE (false, false, false, false, false)
            END)
);

COMMENT ON TABLE payment_events IS 'Every decision about a payment, in order: what payments-verify audit replays.';
COMMENT ON COLUMN payment_events.event_number IS '1, 2, 3 and so on, without a gap, in the order of the payment''s lock.';
COMMENT ON COLUMN payment_events.amount_cents IS 'What was asked for, by create or capture.';
COMMENT ON COLUMN payment_events.answer_sha256 IS 'Of the body that is stored under the key.';
COMMENT ON COLUMN payment_events.is_reconstructed IS 'Decided before events were recorded: made from the rows by the migration.';
COMMENT ON CONSTRAINT payment_events_pkey ON payment_events IS 'I12: the events of a payment have one order.';
COMMENT ON CONSTRAINT created_first ON payment_events IS 'I2: a payment is created once, and nothing comes before.';
COMMENT ON CONSTRAINT event_of_outcome ON payment_events IS 'I12: an event has what its decision was made of, and nothing else.';

CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an event is never changed or deleted');

COMMENT ON TRIGGER events_stay ON payment_events IS 'I12: what was recorded stays.';

-- The service adds events. To number them it reads which there are, and not what they say.
GRANT INSERT, SELECT (payment_id, event_number) ON payment_events TO payments_app;

-- Payments that are older than this table: their past, as far as the rows tell it. The attempts of one payment come
-- in the order that their outcomes leave: what was refused while it was pending, then while it was authorized, then
-- afterwards. Nobody may write meanwhile, or a decision would be left out.
LOCK TABLE payments, capture_attempts IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents, capture_expires_at,
                            failure_reason, idempotency_key, answer_sha256, is_reconstructed)
SELECT payment_id, row_number() OVER (PARTITION BY payment_id ORDER BY place, decided_at, idempotency_key),
       outcome, decided_at, amount_cents, capture_expires_at, failure_reason, idempotency_key, answer_sha256, true
FROM (
    SELECT payment_id, 1 AS place, 'created' AS outcome, created_at AS decided_at, amount_cents,
           NULL::timestamptz AS capture_expires_at, NULL AS failure_reason,
           NULL COLLATE "C" AS idempotency_key, NULL::bytea AS answer_sha256
    FROM payments
    UNION ALL
    SELECT payment_id, 3, 'authorized', authorized_at, NULL, capture_expires_at, NULL, NULL, NULL
    FROM payments WHERE state <> 'pending'
    UNION ALL
    SELECT payment_id, 5, CASE failure_reason WHEN 'expired' THEN 'expired' ELSE 'failed' END, failed_at,
           NULL, NULL, failure_reason, NULL, NULL
    FROM payments WHERE state = 'failed'
    UNION ALL
    SELECT payment_id,
           CASE outcome
               WHEN 'not_authorized' THEN 2
               WHEN 'capture_window_expired' THEN 4
               WHEN 'amount_mismatch' THEN 4
               WHEN 'captured' THEN 5
               ELSE 6
           END,
           outcome, decided_at, amount_cents, NULL, NULL, idempotency_key, sha256(body)
    FROM capture_attempts
) AS decision;
