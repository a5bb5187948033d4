"""How PostgreSQL goes about the service's statements: by an index, also while the tables are empty."""

from __future__ import annotations

import psycopg
import pytest

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool
from payments_core.infrastructure.postgres import statements
from payments_core.infrastructure.postgres.batch import number_placeholders
from payments_core.infrastructure.postgres.connection import Connection
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

STATEMENTS = {
    name: text
    for name, text in vars(statements).items()
    if name.isupper() and not name.startswith("_") and " FROM " in text and name != "REFUSING_WORKERS"
}
WHOLE = {"APPLIED_MIGRATIONS", "FIND_DUE"}
"""What may read all of a table: whether all is ready is asked of a row for each migration; an index of what
is due would cost each capture its HOT update, for a sweep that nobody waits for."""
READS_NOTHING = {"INSERT_PAYMENT", "INSERT_ATTEMPT", "RIGHTS"}


async def plan(connection: Connection, statement: str) -> str:
    """The plan that is kept for a prepared statement: the one for any parameters."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(b"PREPARE statement AS " + number_placeholders(statement))
    nothing = ", ".join(["NULL"] * statement.count("%s"))
    executed = f"EXECUTE statement({nothing})" if nothing else "EXECUTE statement"
    rows = await (await connection.execute(f"EXPLAIN {executed}".encode())).fetchall()
    return "\n".join(row[0] for row in rows)


async def planned(database: Database, statement: str, options: str = "") -> str:
    """The plan that the service's sessions keep, with more options of theirs."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE) payments, capture_attempts, payment_events")
    settings = Settings(database_url=f"{database.dsn}?options={options}", pool_min=1, pool_max=1)
    async with make_pool(settings) as pool, pool.connection() as connection:
        return await plan(connection, statement)


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - WHOLE))
async def test_no_statement_reads_the_whole_of_an_empty_table(database: Database, name: str) -> None:
    found = await planned(database, STATEMENTS[name])
    assert "Seq Scan" not in found, found
    assert "Index" in found or name in READS_NOTHING, found


async def test_an_index_of_what_may_be_due_is_used(database: Database) -> None:
    """Operators may add it: see operations.md, Expiry."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "CREATE INDEX CONCURRENTLY due ON payments (capture_expires_at) WHERE state = 'authorized'"
        )
    found = await planned(database, statements.FIND_DUE)
    assert "using due on payments" in found
    assert "Seq Scan" not in found


async def test_left_to_itself_the_database_would(database: Database) -> None:
    found = await planned(database, statements.FIND_ATTEMPT, "-c%20enable_seqscan%3Don")
    assert "Seq Scan on capture_attempts" in found


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_no_plan_is_compiled(database: Database, name: str) -> None:
    assert "JIT" not in await planned(database, STATEMENTS[name])


async def test_every_statement_that_reads_is_looked_at() -> None:
    assert {"LOCK_PAYMENT", "FIND_ATTEMPT", "INSERT_ATTEMPT", "MOVE_PAYMENT", "NEXT_PAGE"} <= (
        STATEMENTS.keys() - WHOLE
    )
