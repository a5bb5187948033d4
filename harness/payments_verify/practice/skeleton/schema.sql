-- Run at each start, on a database that may have it already.
CREATE TABLE IF NOT EXISTS payments (
    id                 uuid PRIMARY KEY,
    amount_cents       bigint NOT NULL,
    state              text NOT NULL DEFAULT 'pending',  -- pending, authorized, captured, failed
    capture_expires_at timestamptz
);
