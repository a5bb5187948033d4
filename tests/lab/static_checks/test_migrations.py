"""Migrations are applied to rows of the versions before; one that loses or reorders decisions is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.static_checks.migrations import check_migrations
from payments_core.infrastructure.postgres.migrate import MIGRATIONS
from tests.support.postgres import Database

EVENTS = "0004-events.sql"
FIRST = "0001-payments.sql"


def test_the_migrations_as_they_are(empty_database: Database) -> None:
    found = check_migrations(empty_database.dsn, MIGRATIONS)
    assert not found.problems
    assert found.looked_at > 30


@pytest.mark.parametrize(
    ("file", "find", "replace", "told"),
    [
        (EVENTS, "ORDER BY place, decided_at", "ORDER BY decided_at, place", "I12"),
        (EVENTS, "FROM capture_attempts\n", "FROM capture_attempts WHERE outcome = 'captured'\n", "I12"),
        (EVENTS, "WHEN 'amount_mismatch' THEN 4", "WHEN 'amount_mismatch' THEN 6", "I12"),
        (EVENTS, "outcome, decided_at, amount_cents, NULL", "outcome, now(), amount_cents, NULL", "I12"),
        (EVENTS, "WHERE state = 'failed'\n", "WHERE failure_reason = 'expired'\n", "I12"),
        (EVENTS, "LOCK TABLE payments, capture_attempts IN SHARE ROW EXCLUSIVE MODE;", "", "I12"),
        (EVENTS, "idempotency_key, sha256(body)", "idempotency_key, sha256('')", "I12"),
        ("0005-list-of-attempts.sql", "GRANT", "DELETE FROM capture_attempts WHERE status = 409; GRANT", ""),
        (
            "0005-list-of-attempts.sql",
            "GRANT",
            "ALTER TABLE capture_attempts ALTER COLUMN decided_at TYPE timestamptz(3); GRANT",
            "I3, I8",
        ),
        (EVENTS, "(event_number >= 1 AND", "(event_number BETWEEN 1 AND 1003 AND", "I9, I12"),
        (
            "0005-list-of-attempts.sql",
            "GRANT",
            "ALTER TABLE payments ADD CHECK (capture_expires_at <= authorized_at + interval '31 d'); GRANT",
            "I9, I12",
        ),
        (FIRST, "BETWEEN 1 AND 255", "BETWEEN 1 AND 254", "I9"),
        (
            FIRST,
            "CHECK (authorized_at < capture_expires_at)",
            "CHECK (capture_expires_at <= authorized_at + interval '31 days')",
            "I9",
        ),
    ],
)
def test_one_that_is_wrong_on_rows(
    empty_database: Database, tmp_path: Path, file: str, find: str, replace: str, told: str
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    text = (folder / file).read_text()
    assert text.count(find) == 1
    (folder / file).write_text(text.replace(find, replace))
    problems = check_migrations(empty_database.dsn, folder).problems
    assert problems
    assert told in problems[0].partition(": ")[0]
