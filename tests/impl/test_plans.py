"""How PostgreSQL goes about the service's statements: by an index, also while the tables are empty."""

from __future__ import annotations

import psycopg
import pytest

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import session
from payments_core.infrastructure.postgres import statements
from payments_core.infrastructure.postgres.batch import _numbered
from tests.support.postgres import Database

STATEMENTS = {
    name: text
    for name, text in vars(statements).items()
    if name.isupper() and not name.startswith("_") and " FROM " in text
}
WHOLE = {"APPLIED_MIGRATIONS", "LOCK_DUE"}
"""What may read all of a table: whether all is ready is asked of a row for each migration; an index of what
is due would cost each capture its HOT update, for a sweep that nobody waits for."""
READS_NOTHING = {"INSERT_PAYMENT"}


def plan(connection: psycopg.Connection, statement: str) -> str:
    """The plan that is kept for a prepared statement: the one for any parameters."""
    connection.execute("DEALLOCATE ALL")
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(b"PREPARE statement AS " + _numbered(statement))
    nothing = ", ".join(["NULL"] * statement.count("%s"))
    executed = f"EXECUTE statement({nothing})" if nothing else "EXECUTE statement"
    rows = connection.execute(f"EXPLAIN {executed}".encode()).fetchall()
    return "\n".join(row[0] for row in rows)


def planned(database: Database, statement: str, *, as_the_service: bool) -> str:
    parameters = session(Settings()).connection_parameters(database.dsn) if as_the_service else {}
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE) payments, capture_attempts, payment_events")
    with psycopg.connect(database.dsn, **parameters) as connection:
        return plan(connection, statement)


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - WHOLE))
def test_no_statement_reads_the_whole_of_an_empty_table(database: Database, name: str) -> None:
    found = planned(database, STATEMENTS[name], as_the_service=True)
    assert "Seq Scan" not in found, found
    assert "Index" in found or name in READS_NOTHING, found


def test_left_to_itself_the_database_would(database: Database) -> None:
    found = planned(database, statements.FIND_ATTEMPT, as_the_service=False)
    assert "Seq Scan on capture_attempts" in found


def test_every_statement_that_reads_is_looked_at() -> None:
    assert {"LOCK_PAYMENT", "FIND_ATTEMPT", "INSERT_ATTEMPT", "MOVE_PAYMENT", "NEXT_PAGE"} <= (
        STATEMENTS.keys() - WHOLE
    )
