-- depends: 0001-payments
--
-- What no constraint on one row can say: which moves are legal, that history is never rewritten, and that a
-- payment and its attempts agree at commit. The conditions stand in the WHEN clauses, so that a legal statement
-- calls no function for them.

CREATE FUNCTION refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'integrity_constraint_violation',
        MESSAGE = format('%s on %I violates trigger "%s": %s', TG_OP, TG_TABLE_NAME, TG_NAME, TG_ARGV[0]),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END
$$;

COMMENT ON FUNCTION refuse() IS 'Refuses the statement that fired the trigger; the first argument says why.';

CREATE TRIGGER born_pending BEFORE INSERT ON payments
    FOR EACH ROW WHEN (NEW.state <> 'pending')
    EXECUTE FUNCTION refuse('a payment starts as pending');

COMMENT ON TRIGGER born_pending ON payments IS 'I2: a payment starts as pending.';

CREATE TRIGGER legal_moves BEFORE UPDATE ON payments
    FOR EACH ROW WHEN ((OLD.state, NEW.state) NOT IN
        (('pending', 'authorized'), ('authorized', 'captured'), ('authorized', 'failed')))
    EXECUTE FUNCTION refuse('the only moves are pending to authorized, and authorized to captured or failed');

COMMENT ON TRIGGER legal_moves ON payments IS 'I2: only legal moves happen; a terminal row is never written again.';

CREATE TRIGGER facts_stay BEFORE UPDATE ON payments
    FOR EACH ROW WHEN (
        (NEW.payment_id, NEW.amount_cents, NEW.created_at) <> (OLD.payment_id, OLD.amount_cents, OLD.created_at)
        OR (NEW.authorized_at, NEW.capture_expires_at) <> (OLD.authorized_at, OLD.capture_expires_at))
    EXECUTE FUNCTION refuse('identity, amount, creation and authorization never change');

COMMENT ON TRIGGER facts_stay ON payments IS 'I2: what was recorded about a payment stays.';

CREATE TRIGGER payments_stay BEFORE DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('payments are never deleted');

COMMENT ON TRIGGER payments_stay ON payments IS 'I2: a terminal state stays, and so does its payment.';

CREATE TRIGGER attempts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON capture_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an attempt is never changed or deleted');

COMMENT ON TRIGGER attempts_stay ON capture_attempts IS 'I3, I11: a stored answer stays, byte for byte.';

CREATE FUNCTION check_capture_has_attempt() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM public.capture_attempts AS attempt
        WHERE attempt.payment_id = NEW.payment_id
          AND attempt.outcome = 'captured'
          AND attempt.amount_cents = NEW.captured_amount_cents;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'integrity_constraint_violation',
            MESSAGE = format('payment %s is captured without a successful attempt of that amount', NEW.payment_id),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER capture_has_attempt AFTER UPDATE ON payments
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.state = 'captured')
    EXECUTE FUNCTION check_capture_has_attempt();

COMMENT ON TRIGGER capture_has_attempt ON payments IS
    'I6: at commit, a captured payment has a successful attempt of that amount (and by one_captured_attempt only one).';

CREATE FUNCTION check_attempt_has_capture() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM public.payments AS payment
        WHERE payment.payment_id = NEW.payment_id
          AND payment.captured_amount_cents = NEW.amount_cents;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'integrity_constraint_violation',
            MESSAGE = format('an attempt captured payment %s, which is not captured for that amount', NEW.payment_id),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER attempt_has_capture AFTER INSERT ON capture_attempts
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.outcome = 'captured')
    EXECUTE FUNCTION check_attempt_has_capture();

COMMENT ON TRIGGER attempt_has_capture ON capture_attempts IS
    'I6: at commit, the payment of a successful attempt is captured for that amount.';
