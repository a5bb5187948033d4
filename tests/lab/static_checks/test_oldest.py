"""What a newer server alone knows is found, whichever server is here."""

from __future__ import annotations

import pytest

from lab.static_checks.oldest import check_made, check_texts
from lab.static_checks.shipped import shipped_statements
from payments_core.infrastructure.postgres import migrate
from payments_core.infrastructure.postgres.migrate import MIGRATIONS
from payments_core.infrastructure.postgres.session import Session
from tests.support.postgres import Database


def test_what_the_service_sends_and_migrates() -> None:
    files = {each.name: each.read_text() for each in MIGRATIONS.glob("*.sql")}
    assert check_texts({**shipped_statements(), **files}).problems == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT any_value(state) FROM payments",
        "UPDATE payments SET state = %s RETURNING old.state, new.state",
        "UPDATE payments SET state = %s RETURNING WITH (OLD AS o) o.state",
        "MERGE INTO payments USING given ON true WHEN MATCHED THEN DELETE RETURNING payment_id",
        "CREATE TABLE x (id uuid DEFAULT uuidv7())",
        "CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)",
        "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a int))",
        "SELECT random(1, 6)",
        "SELECT 1_000",
    ],
)
def test_what_came_later(statement: str) -> None:
    (problem,) = check_texts({"MINE": statement}).problems
    assert problem.startswith("I9: PostgreSQL 15 does not know ")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT random(), 'RETURNING old.state', '1_000' -- VIRTUAL",
        "UPDATE payments SET state = %s RETURNING state",
        "MERGE INTO payments USING given ON true WHEN MATCHED THEN DELETE",
        "SELECT old.state FROM payments AS old",
    ],
)
def test_what_was_there_before(statement: str) -> None:
    assert check_texts({"MINE": statement}).problems == []


def test_sessions_of_the_service(database: Database) -> None:
    assert check_made(database.dsn).problems == []


def test_settings_of_a_newer_server(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Session.settings
    monkeypatch.setattr(Session, "settings", lambda self, _: settings(self, 150_000) | {"jit": "'on'"})
    monkeypatch.setattr("lab.static_checks.oldest._KNOWN", frozenset({"role"}))
    problems = check_made(database.dsn).problems
    assert "I9: the service sets jit on PostgreSQL 15, which may not know it" in problems
    assert any(each.startswith("I9: migrate sets idle_session_timeout") for each in problems)
    monkeypatch.setitem(vars(migrate)["_ENDLESS"], "idle_session_timeout", 170_000)
    assert not any("idle_session_timeout" in each for each in check_made(database.dsn).problems)
