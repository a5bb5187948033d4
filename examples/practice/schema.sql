CREATE TABLE IF NOT EXISTS payments (
    id                 uuid PRIMARY KEY,
    amount_cents       bigint NOT NULL CHECK (amount_cents > 0),
    state              text NOT NULL DEFAULT 'pending'
                       CHECK (state IN ('pending', 'authorized', 'captured', 'failed')),
    capture_expires_at timestamptz,
    CHECK ((state = 'pending') = (capture_expires_at IS NULL))
);
CREATE TABLE IF NOT EXISTS captures (
    payment      uuid NOT NULL REFERENCES payments,
    key          text NOT NULL,
    amount_cents bigint NOT NULL,
    status       int NOT NULL,
    body         text NOT NULL,
    PRIMARY KEY (payment, key)
);
CREATE UNIQUE INDEX IF NOT EXISTS one_success ON captures (payment) WHERE status = 201;
