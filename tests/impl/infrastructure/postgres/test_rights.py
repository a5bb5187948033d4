"""The rights that the service asks for: statements need these, and no others; without one it is not ready."""

from __future__ import annotations

import psycopg
import pytest

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres import statements
from payments_core.infrastructure.postgres.batch import number_placeholders
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

ROLE = "payments_app"
TABLES = "payments, capture_attempts, payment_events"
WITH_RIGHTS = {
    name: text
    for name, text in vars(statements).items()
    if name.isupper()
    and not name.startswith("_")
    and isinstance(text, str)
    and any(word in text for word in ("SELECT", "INSERT", "UPDATE"))
    and name not in {"REFUSING_WORKERS", "LOAD_GUARDS"}
}
NEEDED = [
    (relation, privilege, column)
    for relation, rights in statements.NEEDED_COLUMNS.items()
    for privilege, columns in rights.items()
    for column in columns.split(", ")
]


def grants(dsn: str, needed: list[tuple[str, str, str]]) -> None:
    """Let the service do this and no more."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"REVOKE ALL ON {TABLES} FROM {ROLE}".encode())
        for relation, privilege, column in needed:
            owner.execute(f"GRANT {privilege} ({column}) ON {relation} TO {ROLE}".encode())


def refused(dsn: str) -> set[str]:
    """The statements that the service may not run; they are not run."""
    found = set()
    for name, text in WITH_RIGHTS.items():
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"SET ROLE {ROLE}".encode())
            connection.execute(b"PREPARE statement AS " + number_placeholders(text))
            nothing = ", ".join(["NULL"] * text.count("%s"))
            executed = f"EXECUTE statement({nothing})" if nothing else "EXECUTE statement"
            try:
                connection.execute(f"EXPLAIN {executed}".encode())
            except psycopg.errors.InsufficientPrivilege:
                found.add(name)
    return found


async def is_ready(dsn: str) -> bool:
    async with make_pool(Settings(database_url=dsn, pool_min=1, pool_max=1)) as pool:
        return await postgres_store(pool).ready()


async def test_what_is_asked_for_is_enough_for_every_statement(database: Database) -> None:
    grants(database.dsn, NEEDED)
    assert refused(database.dsn) == set()
    assert await is_ready(database.dsn)
    assert {"LOCK_PAYMENT", "INSERT_ATTEMPT", "MOVE_PAYMENT", "LIST_ATTEMPTS"} <= WITH_RIGHTS.keys()


@pytest.mark.parametrize("missing", NEEDED, ids=" ".join)
async def test_without_one_of_them_it_is_not_ready(database: Database, missing: tuple[str, str, str]) -> None:
    grants(database.dsn, [each for each in NEEDED if each != missing])
    assert refused(database.dsn) != set()
    assert not await is_ready(database.dsn)
