-- Payments, the attempts to capture them, and the clock that decides.
--
-- Money is in cents, time in UTC with a resolution of a microsecond. Every unique constraint starts with
-- payment_id, so that the tables can be partitioned or distributed by it unchanged. The comment on each
-- constraint names the invariant of the specification that it holds.

CREATE FUNCTION payment_clock() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT pg_catalog.clock_timestamp()';

COMMENT ON FUNCTION payment_clock() IS
    'I5: the one clock by which payments are decided. Read it after the row lock is granted, in a later statement.';

-- fillfactor: a payment is written three times; room in its page keeps the updates heap-only (HOT).
CREATE TABLE payments (
    payment_id            uuid        NOT NULL,
    amount_cents          bigint      NOT NULL,
    state                 text        NOT NULL DEFAULT 'pending',
    created_at            timestamptz NOT NULL DEFAULT payment_clock(),
    authorized_at         timestamptz,
    capture_expires_at    timestamptz,
    captured_at           timestamptz,
    captured_amount_cents bigint,
    failed_at             timestamptz,
    failure_reason        text,

    CONSTRAINT payments_pkey
        PRIMARY KEY (payment_id),
    CONSTRAINT amount_in_range
        CHECK (amount_cents BETWEEN 1 AND 999999999999),
    CONSTRAINT state_known
        CHECK (state IN ('pending', 'authorized', 'captured', 'failed')),
    CONSTRAINT authorized_unless_pending
        CHECK ((state = 'pending') = (authorized_at IS NULL)),
    CONSTRAINT window_iff_authorized
        CHECK ((authorized_at IS NULL) = (capture_expires_at IS NULL)),
    CONSTRAINT window_not_empty
        CHECK (authorized_at < capture_expires_at),
    CONSTRAINT captured_at_iff_captured
        CHECK ((state = 'captured') = (captured_at IS NOT NULL)),
    CONSTRAINT captured_amount_iff_captured
        CHECK ((state = 'captured') = (captured_amount_cents IS NOT NULL)),
    CONSTRAINT captured_in_full
        CHECK (captured_amount_cents = amount_cents),
    CONSTRAINT captured_within_window
        CHECK (captured_at < capture_expires_at),
    CONSTRAINT failed_at_iff_failed
        CHECK ((state = 'failed') = (failed_at IS NOT NULL)),
    CONSTRAINT reason_iff_failed
        CHECK ((state = 'failed') = (failure_reason IS NOT NULL)),
    CONSTRAINT reason_known
        CHECK (failure_reason IN ('declined', 'voided', 'expired')),
    CONSTRAINT expired_after_window
        CHECK (failure_reason <> 'expired' OR failed_at >= capture_expires_at)
) WITH (fillfactor = 70);

COMMENT ON TABLE payments IS 'One row, one state machine: pending, authorized, then captured or failed.';
COMMENT ON CONSTRAINT payments_pkey ON payments IS 'One payment is one row, whose lock orders all that happens to it.';
COMMENT ON CONSTRAINT amount_in_range ON payments IS 'I1: an amount is at least 1 and at most 999,999,999,999 cents.';
COMMENT ON CONSTRAINT state_known ON payments IS 'I2: there are four states.';
COMMENT ON CONSTRAINT authorized_unless_pending ON payments IS 'I2: every state but pending comes after an authorization.';
COMMENT ON CONSTRAINT window_iff_authorized ON payments IS 'I5: an authorization has a capture window, and only that.';
COMMENT ON CONSTRAINT window_not_empty ON payments IS 'I5: a capture window has a positive length.';
COMMENT ON CONSTRAINT captured_at_iff_captured ON payments IS 'I6: captured_at is set if and only if the payment is captured.';
COMMENT ON CONSTRAINT captured_amount_iff_captured ON payments IS 'I6: captured_amount_cents is set if and only if the payment is captured.';
COMMENT ON CONSTRAINT captured_in_full ON payments IS 'I1: exactly the authorized amount is captured.';
COMMENT ON CONSTRAINT captured_within_window ON payments IS 'I5: the decision instant lies strictly before the end of the window.';
COMMENT ON CONSTRAINT failed_at_iff_failed ON payments IS 'I2: failed_at is set if and only if the payment failed.';
COMMENT ON CONSTRAINT reason_iff_failed ON payments IS 'I2: a failure has a reason, and only that.';
COMMENT ON CONSTRAINT reason_known ON payments IS 'I2: declined, voided or expired.';
COMMENT ON CONSTRAINT expired_after_window ON payments IS 'I5: nothing expires before the end of its window.';

-- The order of the list endpoint. created_at never changes, so the index costs no HOT update.
CREATE INDEX payments_by_creation ON payments (created_at, payment_id);

-- What was asked, and the answer to give again byte for byte. Rows are only ever added.
CREATE TABLE capture_attempts (
    payment_id      uuid        NOT NULL,
    idempotency_key text        COLLATE "C" NOT NULL,
    amount_cents    bigint      NOT NULL,
    outcome         text        NOT NULL,
    status          smallint    NOT NULL,
    body            bytea       NOT NULL,
    decided_at      timestamptz NOT NULL,

    CONSTRAINT capture_attempts_pkey
        PRIMARY KEY (payment_id, idempotency_key),
    CONSTRAINT attempt_of_payment
        FOREIGN KEY (payment_id) REFERENCES payments (payment_id),
    CONSTRAINT key_length
        CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT key_visible_ascii
        CHECK (idempotency_key ~ '^[ -~]+$'),
    CONSTRAINT requested_amount_positive
        CHECK (amount_cents > 0),
    CONSTRAINT outcome_known
        CHECK (outcome IN ('captured', 'not_authorized', 'already_captured', 'payment_failed',
                           'capture_window_expired', 'amount_mismatch')),
    CONSTRAINT status_of_outcome
        CHECK (status = CASE outcome WHEN 'captured' THEN 201 WHEN 'amount_mismatch' THEN 422 ELSE 409 END)
);

COMMENT ON TABLE capture_attempts IS 'Every decided capture request under its idempotency key, with the answer it got.';
COMMENT ON CONSTRAINT capture_attempts_pkey ON capture_attempts IS 'I3: one (payment, key), one stored attempt.';
COMMENT ON CONSTRAINT attempt_of_payment ON capture_attempts IS 'I6: an attempt belongs to a payment that exists.';
COMMENT ON CONSTRAINT key_length ON capture_attempts IS 'I3: a key has 1 to 255 characters.';
COMMENT ON CONSTRAINT key_visible_ascii ON capture_attempts IS 'I3: a key is opaque; space to tilde, compared byte by byte.';
COMMENT ON CONSTRAINT requested_amount_positive ON capture_attempts IS 'I4: a malformed request is not stored.';
COMMENT ON CONSTRAINT outcome_known ON capture_attempts IS 'I11: one success and five refusals are decided and stored; nothing else.';
COMMENT ON CONSTRAINT status_of_outcome ON capture_attempts IS 'I3: the stored status is the one that the outcome has.';

CREATE UNIQUE INDEX one_captured_attempt ON capture_attempts (payment_id) WHERE outcome = 'captured';

COMMENT ON INDEX one_captured_attempt IS 'I1: at most one successful capture per payment.';
