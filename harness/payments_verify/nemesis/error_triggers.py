"""Triggers that let the server itself raise an error while they are armed."""

from __future__ import annotations

from payments_verify.systems import Connection

SQLSTATES = ("40001", "40P01", "57014")
"""What can be raised; ``nemesis.armed`` holds the place in this list, from 1, or 0."""

RAISED = "SELECT pg_sequence_last_value('nemesis.raised'::regclass)"
"""How many errors have been raised, those of transactions that were rolled back included."""

_MISFIRE = """
    CREATE SCHEMA IF NOT EXISTS nemesis;
    CREATE SEQUENCE IF NOT EXISTS nemesis.armed MINVALUE 0;
    CREATE SEQUENCE IF NOT EXISTS nemesis.raised;
    CREATE OR REPLACE FUNCTION nemesis.misfire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        armed CONSTANT bigint := coalesce(pg_sequence_last_value('nemesis.armed'::regclass), 0);
    BEGIN
        IF armed > 0 AND random() < 0.3 THEN
            PERFORM nextval('nemesis.raised');
            RAISE EXCEPTION 'injected' USING ERRCODE = (ARRAY['40001', '40P01', '57014'])[armed];
        END IF;
        RETURN NEW;
    END $$;
"""
_TRIGGERS = """
    CREATE TRIGGER nemesis_payment BEFORE INSERT OR UPDATE ON payments
        FOR EACH ROW EXECUTE FUNCTION nemesis.misfire();
    CREATE TRIGGER nemesis_attempt BEFORE INSERT ON capture_attempts
        FOR EACH ROW EXECUTE FUNCTION nemesis.misfire();
    CREATE CONSTRAINT TRIGGER nemesis_commit AFTER INSERT ON capture_attempts DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION nemesis.misfire();
"""


async def prepare(connection: Connection) -> None:
    """Give a database what errors are injected with: triggers that fail while a sequence says so.

    The server raises them itself, before a row is written and at the commit, so that its transactions are
    left as such an error leaves them. A sequence knows no snapshots, and arming it takes no lock.
    """
    await connection.execute(_MISFIRE.encode())
    await connection.execute(_TRIGGERS.encode())
