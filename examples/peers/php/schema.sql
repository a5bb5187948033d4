CREATE TABLE IF NOT EXISTS charge (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    total      numeric(14, 2) NOT NULL,
    status     text NOT NULL DEFAULT 'new',
    valid_till timestamptz,
    paid       numeric(14, 2)
);
CREATE TABLE IF NOT EXISTS capture_request (
    charge_id uuid NOT NULL REFERENCES charge,
    token     text NOT NULL,
    total     numeric(14, 2) NOT NULL,
    status    int NOT NULL,
    answer    text NOT NULL,
    PRIMARY KEY (charge_id, token)
);
