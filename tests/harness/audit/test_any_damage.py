"""Whatever the rows hold, an audit comes to its end and names it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
import pytest
from typer.testing import CliRunner

from payments_verify.audit import AuditError, AuditReport, audit
from payments_verify.audit import run as running
from payments_verify.audit.compare import examine
from payments_verify.audit.rows import Past
from payments_verify.audit.snapshot import INFINITY, MINUS_INFINITY
from payments_verify.cli import app
from tests.harness.audit.pasts import PROGRAMS, past
from tests.harness.audit.test_audit import copied, damage, kit, worked  # noqa: F401 - fixtures
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

VALUES: list[Any] = [
    None,
    -1,
    0,
    1,
    2**63 - 1,
    INFINITY,
    MINUS_INFINITY,
    -62_200_000_000_000_000,  # before Christ
    "",
    "captured",
    "no such word",
    b"",
    b"x" * 16,
    True,
    1.5,
    float("nan"),
    Decimal("NaN"),
    Decimal("500.5"),
    datetime(2026, 1, 1, tzinfo=UTC),
    date(2026, 1, 1),
    [],
    {},
]


def damaged(sound: Any) -> Iterator[tuple[str, Past]]:
    """A past with each value of each row replaced by each value, and each row left out and doubled."""

    def with_value(row: NamedTuple, column: str) -> Iterator[Any]:
        for value in VALUES:
            old = getattr(row, column)
            if not (type(value) is type(old) and value == old):
                yield row._replace(**{column: value})

    assert sound.payment is not None
    yield "no payment", sound._replace(payment=None)
    yield "two payments", sound._replace(others=1)
    for column in sound.payment._fields[1:]:
        for payment in with_value(sound.payment, column):
            yield f"payments.{column} {getattr(payment, column)!r}", sound._replace(payment=payment)
    for table in ("attempts", "events"):
        rows = getattr(sound, table)
        for place, row in enumerate(rows):
            before, after = rows[:place], rows[place + 1 :]
            yield f"{table} without {place}", sound._replace(**{table: [*before, *after]})
            yield f"{table} with {place} twice", sound._replace(**{table: [*before, row, row, *after]})
            for column in row._fields[1:]:
                for other in with_value(row, column):
                    what = f"{table}[{place}].{column} {getattr(other, column)!r}"
                    yield what, sound._replace(**{table: [*before, other, *after]})


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_value_of_no_column_ends_it(name: str) -> None:
    unseen = []
    for what, each in damaged(past(PROGRAMS[name])):
        _, findings = examine(each)
        assert all(str(finding) for finding in findings)
        if not findings:
            unseen.append(what)
    # Whether a migration made an event from rows is told of it, and changes nothing.
    assert [what for what in unseen if "is_reconstructed True" not in what] == []


UNCONSTRAINED = """
    DO $$ DECLARE each record; BEGIN
        FOR each IN SELECT tgrelid::regclass AS place, tgname FROM pg_trigger
            WHERE NOT tgisinternal
            AND tgrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
        LOOP
            EXECUTE format('DROP TRIGGER %I ON %s', each.tgname, each.place);
        END LOOP;
        FOR each IN SELECT conrelid::regclass AS place, conname FROM pg_constraint
            WHERE conrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
            AND contype NOT IN ('n', 't')
        LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', each.place, each.conname);
        END LOOP;
        FOR each IN SELECT attrelid::regclass AS place, attname FROM pg_attribute
            WHERE attrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
            AND attnum > 0 AND attnotnull
        LOOP
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', each.place, each.attname);
        END LOOP;
    END $$
"""
DAMAGES = [
    "UPDATE payments SET captured_at = 'infinity' WHERE state = 'captured'",
    "UPDATE payments SET capture_expires_at = '-infinity' WHERE state = 'captured'",
    "UPDATE payments SET created_at = '0044-03-15 BC'",
    "UPDATE payment_events SET decided_at = 'infinity'",
    "UPDATE capture_attempts SET decided_at = NULL",
    "UPDATE capture_attempts SET body = NULL, idempotency_key = NULL",
    "UPDATE payments SET payment_id = NULL WHERE state = 'failed'",
    "UPDATE payment_events SET payment_id = NULL WHERE event_number = 2",
    "INSERT INTO payments SELECT * FROM payments",
    "DROP INDEX one_captured_attempt; INSERT INTO capture_attempts SELECT * FROM capture_attempts",
    "INSERT INTO payment_events SELECT * FROM payment_events",
    "UPDATE payments SET amount_cents = NULL, state = NULL",
    "ALTER TABLE payments ALTER captured_at TYPE timestamp",
    "ALTER TABLE payments ALTER captured_at TYPE date",
    "ALTER TABLE payments ALTER amount_cents TYPE numeric USING amount_cents + 0.5",
    "ALTER TABLE payments ALTER failed_at TYPE text",
    "ALTER TABLE payment_events ALTER decided_at TYPE text; UPDATE payment_events SET decided_at = 'soon'",
    "ALTER TABLE capture_attempts ALTER status TYPE text; UPDATE capture_attempts SET status = 'teapot'",
    "ALTER TABLE payment_events ALTER event_number TYPE float8 USING event_number + 0.5",
]


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_of_a_database_without_constraints_is_named(copied: Database, what: str) -> None:  # noqa: F811
    with psycopg.connect(copied.dsn, autocommit=True) as connection:
        connection.execute(UNCONSTRAINED.encode())
        connection.execute(what.encode())
    done = CliRunner().invoke(app, ["audit", copied.dsn, "--workers", "1"])
    assert done.exit_code == 1, (done.stdout, done.stderr)
    assert "violated" in done.stdout


def test_damage_that_was_found_is_told_if_the_audit_cannot_go_on(
    copied: Database,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damage(copied, "UPDATE payments SET created_at = created_at + interval '1 s'")
    work = running.run_worker

    async def broken(*arguments: Any) -> None:
        await work(*arguments)
        raise AuditError("the database has gone")

    monkeypatch.setattr(running, "run_worker", broken)
    seen: list[AuditReport] = []
    with pytest.raises(AuditError):
        audit(copied.dsn, on_begin=seen.append)
    assert seen[0].verdict == "violated"
    done = CliRunner().invoke(app, ["audit", copied.dsn])
    assert done.exit_code == 1, (done.stdout, done.stderr)
    assert "the database has gone" in done.stderr
    assert "payments.created_at" in done.stdout
