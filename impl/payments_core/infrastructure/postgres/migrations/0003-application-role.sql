-- depends: 0002-guards
--
-- The role that the service works as. The owner migrates; the service cannot delete, rewrite or alter. It is a
-- group without login: a login role of the deployment becomes its member, or a session takes it on (SET ROLE).
-- Roles belong to the whole cluster, so it may exist already or appear at this very moment.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'payments_app') THEN
        CREATE ROLE payments_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

GRANT USAGE ON SCHEMA public TO payments_app;
GRANT SELECT, INSERT ON payments, capture_attempts TO payments_app;
GRANT UPDATE (state, authorized_at, capture_expires_at, captured_at, captured_amount_cents, failed_at, failure_reason)
    ON payments TO payments_app;

-- A service that starts asks whether the schema is the one it was written for.
GRANT SELECT ON _yoyo_migration TO payments_app;
