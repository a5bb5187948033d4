"""What statements read of many payments, as they are, and those that read more than they need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.static_checks.costs import check_costs
from lab.static_checks.shipped import shipped_statements
from payments_core.application.dto import Cursor, PaymentPage
from payments_core.infrastructure.postgres import contention, migrate
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from tests.support.postgres import Database

pytestmark = pytest.mark.invariant("I9")


def test_the_service_as_it_is(empty_database: Database) -> None:
    found = check_costs(empty_database.dsn, shipped_statements())
    assert found.problems == []
    assert found.looked_at > 15


@pytest.mark.parametrize(
    ("name", "find", "replace"),
    [
        ("NEXT_PAGE", "WHERE (created_at, ", "WHERE (created_at + interval '0', "),
        ("FIRST_PAGE", "LIMIT %s", "LIMIT %s OFFSET 9000"),
        # One statement for all pages: only a plan for the place that is given begins there.
        ("NEXT_PAGE", "WHERE (created_at, ", "WHERE $1::timestamptz IS NULL OR (created_at, "),
        ("FIRST_PAGE", "ORDER BY created_at", "ORDER BY date_trunc('s', created_at)"),
        ("LIST_ATTEMPTS", "ORDER BY event.event_number", "ORDER BY attempt.decided_at"),
        ("LIST_ATTEMPTS", "event.event_number > %s", "event.event_number + 0 > %s"),
        ("FIND_ATTEMPT", "max(event_number)", "count(event_number)::int"),
        ("FIND_ATTEMPT", "attempt.idempotency_key = %s", "lower(attempt.idempotency_key) = %s"),
        ("MOVE_PAYMENT", "coalesce(max(event_number), 0) + 1", "count(*) + 1"),
        ("GET_PAYMENT", "WHERE payment_id = %s", "WHERE payment_id::text = %s::uuid::text"),
        ("LOCK_PAYMENT", "WHERE payment_id = %s", "WHERE payment_id::text = %s::uuid::text"),
    ],
)
def test_a_statement_that_reads_in_vain_is_found(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, name: str, find: str, replace: str
) -> None:
    text = getattr(sql, name)
    assert find in text
    monkeypatch.setattr(sql, name, text.replace(find, replace))
    monkeypatch.setattr(contention, "LOCK_PAYMENT", sql.LOCK_PAYMENT)
    problems = check_costs(empty_database.dsn, shipped_statements()).problems
    assert problems
    assert problems[0].startswith("I8, I9: of 20000 payments it reads "), problems
    assert problems[0].endswith(f" in vain: {name}")


@pytest.mark.parametrize(
    ("file", "find", "replace", "name"),
    [
        ("0001-payments.sql", "CREATE INDEX payments_by_creation", "-- ", "FIRST_PAGE"),
        (
            "0002-guards.sql",
            "attempt.payment_id = NEW.payment_id",
            "attempt.payment_id::text = NEW.payment_id::text",
            "the triggers of a commit",
        ),
    ],
)
def test_a_schema_that_reads_in_vain_is_found(
    empty_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    file: str,
    find: str,
    replace: str,
    name: str,
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder)
    text = (folder / file).read_text()
    assert text.count(find) == 1
    (folder / file).write_text(text.replace(find, replace))
    monkeypatch.setattr(migrate, "MIGRATIONS", folder)
    problems = check_costs(empty_database.dsn, shipped_statements()).problems
    assert any(each.endswith(f" in vain: {name}") for each in problems), problems


def test_a_list_that_takes_a_statement_for_each_row_is_found(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PostgresPaymentStore.page

    async def one_by_one(store: PostgresPaymentStore, after: Cursor | None, limit: int) -> PaymentPage:
        found = await page(store, after, limit)
        for each in found.payments:
            await store.get(each.payment_id)
        return found

    monkeypatch.setattr(PostgresPaymentStore, "page", one_by_one)
    problems = check_costs(empty_database.dsn, shipped_statements()).problems
    assert problems == ["I8, I9: pages of 3 and 60 payments take 5 and 62 statements"]


def test_a_statement_that_nothing_sends_is_told(empty_database: Database) -> None:
    more = {**shipped_statements(), "OTHER": "SELECT count(*) FROM payments"}
    problems = check_costs(empty_database.dsn, more).problems
    assert problems == ["I9: nothing shows what it costs: OTHER"]
