-- The role itself stays: other databases of the cluster may use it.
REVOKE ALL ON payments, capture_attempts, _yoyo_migration FROM payments_app;
REVOKE USAGE ON SCHEMA public FROM payments_app;
