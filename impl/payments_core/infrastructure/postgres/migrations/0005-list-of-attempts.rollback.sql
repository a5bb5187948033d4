REVOKE SELECT (idempotency_key) ON payment_events FROM payments_app;
