"""The schema shards by ``payment_id`` unchanged: its tables hash-partitioned, and the suites run on that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from pgweave.embedded import EmbeddedPostgres
from tests.support.partitioned import MIGRATIONS, PARTITIONS, TABLES, migrate_partitioned, partitioned
from tests.support.postgres import PARTITIONED_VARIABLE, Database
from tests.support.pytest_runs import run_pytest
from tests.support.rows import attempt, insert, payment

ROOT = Path(__file__).parents[4]
RUN_LIMIT_S = 600
SUITES = (
    *(f"infrastructure/postgres/test_{name}" for name in ("store", "store_locks", "store_postgres")),
    *(f"infrastructure/postgres/test_{name}" for name in ("schema", "schema_guards", "session")),
    *("application/test_use_cases", "application/test_races", "entrypoints/http/test_postgres"),
)
NAMES_OF_ANOTHER_SHAPE = (
    # An index and a unique constraint have names of their own on each partition.
    "test_one_row_per_payment_and_one_attempt_per_key",
    "test_one_successful_attempt_per_payment",
    "test_an_event_of_each_outcome_is_accepted_once_under_its_number",
    "test_every_constraint_is_tried_above_and_names_its_invariant",
    # PostgreSQL counts updates for each partition.
    "test_updates_are_heap_only_and_an_index_on_state_would_end_that",
)


@pytest.fixture(scope="module")
def sharded(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database whose tables are partitioned."""
    name = "sharded"
    dsn = postgres_server.create_database(name)
    try:
        migrate_partitioned(dsn, tmp_path_factory.mktemp("sharded"))
        yield Database(name, dsn, postgres_server.dsn(name, role="payments_app"))
    finally:
        postgres_server.drop_database(name)


def run_suites(suites: Sequence[str], variables: Mapping[str, str], without: Sequence[str] = ()) -> int:
    """Run test files in a process of their own; how many tests passed."""
    files = [f"tests/impl/{suite}.py" for suite in suites]
    chosen = " and ".join(f"not {name}" for name in without)
    ended = run_pytest(*files, "-q", "-k", chosen, cwd=ROOT, limit_s=RUN_LIMIT_S, **variables)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None
    return int(passed[1])


def test_the_suites_hold_on_partitioned_tables() -> None:
    passed = run_suites(SUITES, {PARTITIONED_VARIABLE: "yes"}, NAMES_OF_ANOTHER_SHAPE)
    assert passed > 250


def test_use_cases_and_http_hold_at_serializable() -> None:
    suites = ("application/test_use_cases", "application/test_races", "entrypoints/http/test_postgres")
    assert run_suites(suites, {"PAYMENTS_ISOLATION": "serializable"}) > 50


def test_every_table_is_partitioned_by_payment_id(sharded: Database) -> None:
    with psycopg.connect(sharded.dsn) as owner:
        for table in TABLES:
            key = owner.execute("SELECT pg_get_partkeydef(%s::regclass)", [table]).fetchone()
            assert key == ("HASH (payment_id)",)
            parts = owner.execute(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass", [table]
            ).fetchone()
            assert parts == (PARTITIONS,)


def test_payments_spread_over_the_partitions_and_attempts_lie_beside_theirs(sharded: Database) -> None:
    with psycopg.connect(sharded.dsn) as owner:
        rows = [payment() for _ in range(200)]
        for row in rows:
            insert(owner, "payments", row)
            insert(
                owner, "capture_attempts", attempt(row["payment_id"], outcome="not_authorized", status=409)
            )
        places = owner.execute(
            "SELECT right(p.tableoid::regclass::text, 1), right(a.tableoid::regclass::text, 1), count(*)"
            " FROM payments AS p JOIN capture_attempts AS a USING (payment_id) GROUP BY 1, 2"
        ).fetchall()
        owner.rollback()
    assert len(places) == PARTITIONS
    assert all(payments == attempts for payments, attempts, _ in places)


def test_every_unique_index_holds_across_the_table(sharded: Database) -> None:
    """A partitioned table has none unless the partition key is among its columns: here it is the first."""
    with psycopg.connect(sharded.dsn) as owner:
        definitions = [
            row[0]
            for row in owner.execute(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indexrelid"
                " WHERE indisunique AND indrelid = ANY(%s::regclass[])",
                [list(TABLES)],
            ).fetchall()
        ]
        assert len(definitions) == 4
        assert all("btree (payment_id" in each for each in definitions)
        row = payment(payment_id=uuid4())
        insert(owner, "payments", row)
        with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
            insert(owner, "payments", row)
        first = attempt(row["payment_id"], idempotency_key="a")
        insert(owner, "capture_attempts", first)
        with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
            insert(owner, "capture_attempts", first)
        with pytest.raises(psycopg.errors.UniqueViolation, match="payment_id_idx"), owner.transaction():
            insert(owner, "capture_attempts", attempt(row["payment_id"], idempotency_key="b"))
        owner.rollback()


@pytest.mark.parametrize("name", MIGRATIONS)
def test_what_the_transformation_changes(name: str) -> None:
    original = (ROOT / "impl/payments_core/infrastructure/postgres/migrations" / name).read_text()
    changed = partitioned(original, MIGRATIONS[name])
    without = re.sub(r"^CREATE TABLE \w+_\d PARTITION OF .*\n", "", changed, flags=re.MULTILINE)
    assert without.replace(") PARTITION BY HASH (payment_id);", ");") == original.replace(
        ") WITH (fillfactor = 70);", ");"
    )


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "CREATE TABLE t (a int, b int) PARTITION BY HASH (a); CREATE UNIQUE INDEX ON t (b)",
            "must include all",
        ),
        ("CREATE TABLE t (a int) PARTITION BY HASH (a) WITH (fillfactor = 70)", "storage parameters"),
    ],
    ids=["unique without the key", "storage parameters"],
)
def test_what_postgresql_refuses_of_partitioned_tables(database: Database, statement: str, says: str) -> None:
    with psycopg.connect(database.dsn) as owner, pytest.raises(psycopg.Error, match=says):
        owner.execute(statement.encode())
