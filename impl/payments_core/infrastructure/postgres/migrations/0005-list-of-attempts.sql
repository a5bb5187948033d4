-- depends: 0004-events
--
-- The attempts of a payment are listed in the order of its events, a page at a time: the primary key of the events is
-- the index for it. To find an event's attempt, the service reads its key.

GRANT SELECT (idempotency_key) ON payment_events TO payments_app;
