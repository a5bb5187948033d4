"""The schema's probes: they hold on the schema as it is, and each is missed by one that refuses nothing."""

from __future__ import annotations

import psycopg
import pytest

from lab.static_checks.probes import CONSTRAINTS, RIGHTS, ROLE
from lab.static_checks.schema import check_schema, check_session, unrefused
from tests.support.postgres import Database

LEGAL = "I9: the schema refuses what is legal: "
SESSION = {
    "synchronous_commit": "on",
    "statement_timeout": "8000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "10000",
    "default_transaction_isolation": "read committed",
    "standard_conforming_strings": "on",
    "is_superuser": "off",
    "schema": "public",
}
EVERYTHING = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT tgname, tgrelid::regclass AS place FROM pg_trigger
        WHERE NOT tgisinternal AND tgparentid = 0
    LOOP EXECUTE format('DROP TRIGGER %I ON %s', found.tgname, found.place); END LOOP;
    FOR found IN SELECT conname, conrelid::regclass AS place FROM pg_constraint
        WHERE conrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
          AND contype IN ('c', 'f', 'p') AND conparentid = 0 ORDER BY contype = 'p'
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.place, found.conname); END LOOP;
    FOR found IN SELECT attname, attrelid::regclass AS place FROM pg_attribute
        WHERE attrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
          AND attnum > 0 AND attnotnull
    LOOP EXECUTE format('ALTER TABLE %s ALTER %I DROP NOT NULL', found.place, found.attname); END LOOP;
    DROP INDEX one_captured_attempt;
END
$$
"""


GUARDS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
FROM pg_constraint JOIN guarded USING (conrelid) WHERE contype IN ('c', 'f', 'p') AND conparentid = 0
UNION ALL SELECT format('DROP TRIGGER %I ON %s', tgname, conrelid::regclass)
FROM pg_trigger JOIN guarded ON tgrelid = conrelid WHERE NOT tgisinternal
UNION ALL SELECT format('ALTER TABLE %s ALTER %I DROP NOT NULL', conrelid::regclass, attname)
FROM pg_attribute JOIN guarded ON attrelid = conrelid
WHERE attnotnull AND attnum > 0 AND attname NOT IN ('payment_id', 'idempotency_key', 'event_number')
UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass)
FROM pg_index JOIN guarded ON indrelid = conrelid WHERE indisunique AND NOT indisprimary
"""
GUARDED = """
CREATE TEMPORARY VIEW guarded AS SELECT oid AS conrelid FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname IN ('payments', 'capture_attempts', 'payment_events')
"""


def do(database: Database, *statements: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_the_schema_refuses_what_it_has_to(database: Database) -> None:
    found = check_schema(database.dsn)
    assert found.problems == []
    assert found.looked_at > len(CONSTRAINTS) + len(RIGHTS)


def test_a_schema_that_refuses_nothing_is_seen_by_every_probe(database: Database) -> None:
    do(
        database,
        EVERYTHING,
        f"ALTER TABLE payments OWNER TO {ROLE}",
        f"ALTER TABLE capture_attempts OWNER TO {ROLE}",
        f"ALTER TABLE payment_events OWNER TO {ROLE}",
    )
    problems = check_schema(database.dsn).problems
    probes = (*CONSTRAINTS, *RIGHTS)
    assert all(each.startswith("I2, I3: the service may ") for each in problems[len(probes) :])
    for probe, problem in zip(probes, problems, strict=False):
        assert problem == f"{probe.invariant}: nothing refuses it: {probe.what}"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DROP INDEX one_captured_attempt", "two successful captures of one payment"),
        ("DROP TRIGGER capture_has_attempt ON payments", "a capture without an attempt"),
        ("DROP TRIGGER attempt_has_capture ON capture_attempts", "a successful attempt without a capture"),
        ("ALTER TABLE payments DROP CONSTRAINT captured_within_window", "a capture at the window's end"),
        ("ALTER TABLE payments DROP CONSTRAINT captured_in_full", "less captured than authorized"),
        ("ALTER TABLE payments DROP CONSTRAINT expired_after_window", "an expiry before the window's end"),
        ("ALTER TABLE capture_attempts DROP CONSTRAINT status_of_outcome", "a status that the outcome"),
        ("ALTER TABLE capture_attempts DROP CONSTRAINT key_length", "a key that is too long"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "I2, I3: the service may CREATE on public"),
        (f"GRANT SELECT ON payments TO {ROLE} WITH GRANT OPTION", "may SELECT on payments to hand on"),
        (f"GRANT SELECT ON payment_events TO {ROLE}", "may SELECT on payment_events, which it never does"),
        (f"GRANT UPDATE (created_at) ON payments TO {ROLE}", "may UPDATE on payments.created_at"),
        (f"GRANT TRIGGER ON payments TO {ROLE}", "may TRIGGER on payments"),
        (f"REVOKE SELECT ON _yoyo_migration FROM {ROLE}", "I9: the service lacks SELECT on _yoyo_migration"),
        ("ALTER FUNCTION refuse() SECURITY DEFINER", "may all that the owner may, by refuse"),
        (f"REVOKE INSERT ON capture_attempts FROM {ROLE}", LEGAL),
        ("ALTER TABLE payment_events ADD CHECK (event_number <= 1003)", LEGAL),
        ("ALTER TABLE payment_events ALTER event_number TYPE smallint", LEGAL),
        ("ALTER TABLE payments ADD CHECK (capture_expires_at <= authorized_at + interval '31 days')", LEGAL),
        ("ALTER TABLE payment_events ADD CHECK (capture_expires_at <= decided_at + interval '31 d')", LEGAL),
        ("ALTER TABLE capture_attempts ADD CHECK (octet_length(idempotency_key) < 255)", LEGAL),
        ("ALTER TABLE capture_attempts ADD CHECK (amount_cents < 999999999999)", LEGAL),
        (
            f"GRANT DELETE ON payments TO {ROLE}",
            "only a constraint stands against it: the service may delete",
        ),
    ],
)
def test_what_is_taken_away_is_missed(statement: str, says: str, database: Database) -> None:
    do(database, statement)
    problems = check_schema(database.dsn).problems
    assert any(says in problem for problem in problems), problems


def test_each_guard_of_the_schema_alone_is_missed(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(GUARDED)
        guards = [statement for (statement,) in connection.execute(GUARDS).fetchall()]
        assert len(guards) > 35
        for statement in guards:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
                assert unrefused(connection), statement


@pytest.mark.parametrize("clock", ["now()", "clock_timestamp() - interval '1 hour'"])
def test_a_clock_that_stands_still_is_seen(clock: str, database: Database) -> None:
    body = f"CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT {clock}'"
    do(database, body.replace("'1 hour'", "''1 hour''"))
    assert check_schema(database.dsn).problems == ["I5: payment_clock() does not go on within a transaction"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        ({"synchronous_commit": "remote_apply"}, None),
        ({"synchronous_commit": "off"}, "I7: the service's sessions have synchronous_commit = off"),
        ({"synchronous_commit": "local"}, "synchronous_commit = local"),
        ({"is_superuser": "on"}, "a superuser"),
        ({"lock_timeout": "0"}, "no lock_timeout"),
        ({"schema": "elsewhere"}, "I8: the service's sessions have schema = elsewhere"),
        ({"default_transaction_isolation": "serializable"}, "I9: the service's sessions have default_tr"),
        ({"standard_conforming_strings": "off"}, "I3: the service's sessions have standard_conf"),
    ],
)
def test_sessions(change: dict[str, str], says: str | None) -> None:
    problems = check_session(SESSION | change).problems
    assert (problems == []) if says is None else (len(problems) == 1 and says in problems[0])
