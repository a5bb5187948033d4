"""The tables on a Citus cluster: how they are distributed, what is refused, and where each statement goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from payments_core.application.use_cases import AuthorizePayment, CapturePayment, CreatePayment
from payments_core.domain.capture import Answer
from payments_core.domain.values import Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.cli import app
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres import statements as service
from payments_core.infrastructure.postgres.citus import TABLES, distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_core.infrastructure.postgres.session import SessionError
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from pgweave import clock
from tests.support.citus import CitusDatabase, citus_cluster, citus_database, require_citus

pytestmark = [pytest.mark.anyio, pytest.mark.long, pytest.mark.citus]
require_citus()

SESSION = session(Settings())
PAYMENT = UUID(int=1)
NOW = "2026-11-29 12:00:00+00"
ONE_SHARD: dict[str, Sequence[object]] = {
    "INSERT_PAYMENT": [PAYMENT, 500],
    "GET_PAYMENT": [PAYMENT],
    "FIND_CREATED": [PAYMENT],
    "LOCK_PAYMENT": [PAYMENT],
    "LOCK_FREE_PAYMENT": [PAYMENT],
    "FIND_ATTEMPT": [PAYMENT, PAYMENT, "key"],
    "UPDATE_PAYMENT": ["captured", NOW, NOW, NOW, 500, None, None, PAYMENT],
    "MOVE_PAYMENT": ["authorized", NOW, NOW, None, None, None, None, PAYMENT, PAYMENT],
    "INSERT_ATTEMPT": [PAYMENT, "key", 500, "captured", NOW, 201, b"{}", 3],
    "LIST_ATTEMPTS": [PAYMENT, PAYMENT, 0, 10],
    "LOCK_DUE": [PAYMENT],
}
"""Every statement of create, authorize, capture, void, read and of a payment's expiry, with parameters."""
EVERY_SHARD: dict[str, Sequence[object]] = {
    "FIRST_PAGE": [10],
    "NEXT_PAGE": [NOW, PAYMENT, 10],
    "FIND_DUE": [None, 10],
}
BY_WAY_OF_THE_COORDINATOR = {"INSERT_PAYMENT", "INSERT_ATTEMPT"}
"""Statements whose two rows go to one shard, and the second from what the first has returned."""
ON_THE_COORDINATOR = {
    "READ_CLOCK",
    "APPLIED_MIGRATIONS",
    "SESSION_STATE",
    "RIGHTS",
    "IS_CITUS",
    "LOAD_GUARDS",
    "REFUSING_WORKERS",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[CitusDatabase]:
    """A cluster whose tables are distributed."""
    with citus_database() as made:
        migrate(made.dsn)
        distribute(made.dsn, SESSION)
        yield made


def run_migrate(monkeypatch: pytest.MonkeyPatch, dsn: str) -> tuple[int, str]:
    monkeypatch.setenv("DATABASE_URL", dsn)
    ended = CliRunner().invoke(app, ["migrate", "--distribute", "citus"])
    return ended.exit_code, ended.output


def owner(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, autocommit=True)


def test_the_tables_are_distributed_by_payment_each_beside_the_others(cluster: CitusDatabase) -> None:
    with owner(cluster.dsn) as connection:
        rows = connection.execute(
            "SELECT logicalrelid::text, partmethod::text, colocationid,"
            " column_to_column_name(logicalrelid, partkey) FROM pg_dist_partition"
        ).fetchall()
        nodes = connection.execute("SELECT count(DISTINCT nodeport) FROM citus_shards").fetchone()
    assert {row[0] for row in rows} == set(TABLES)
    assert {row[1:] for row in rows} == {("h", rows[0][2], "payment_id")}
    assert nodes == (len(cluster.worker_dsns),)


def test_it_is_done_once(cluster: CitusDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_migrate(monkeypatch, cluster.dsn) == (0, "nothing to apply\n")


def plan(connection: psycopg.Connection, name: str, values: Sequence[object]) -> str:
    """How the coordinator goes about a statement."""
    text = getattr(service, name)
    parts = text.split("%s")
    written = "".join(
        part + (sql.Literal(value).as_string(connection) if value is not None else "NULL")
        for part, value in zip(parts, [*values, None], strict=True)
    ).removesuffix("NULL")
    rows = connection.execute(f"EXPLAIN (COSTS OFF) {written}".encode()).fetchall()
    return "\n".join(row[0] for row in rows)


def test_every_statement_is_examined() -> None:
    asked = {name for name, text in vars(service).items() if name.isupper() and isinstance(text, str)}
    controls = {"BEGIN", "BEGIN_SERIALIZABLE", "COMMIT", "ROLLBACK"}
    controls |= {name for name in asked if name.endswith("_COLUMNS")}
    assert asked - controls == ONE_SHARD.keys() | EVERY_SHARD.keys() | ON_THE_COORDINATOR


@pytest.mark.parametrize("name", ONE_SHARD)
def test_a_statement_about_a_payment_goes_to_one_shard_of_one_worker(
    cluster: CitusDatabase, name: str
) -> None:
    with owner(cluster.dsn) as connection:
        found = plan(connection, name, ONE_SHARD[name])
    asked = [int(port) for port in re.findall(r"Node: host=\S+ port=(\d+)", found)]
    assert set(re.findall(r"Task Count: (\d+)", found)) == {"1"}, found
    assert len([port for port in asked if port in cluster.worker_ports]) == 1, found
    # Of an INSERT within WITH, the coordinator itself passes the row on to the event's.
    assert ("Distributed Subplan" in found) == (name in BY_WAY_OF_THE_COORDINATOR), found


@pytest.mark.parametrize("name", EVERY_SHARD)
def test_a_list_and_the_search_for_what_is_due_go_to_every_shard(cluster: CitusDatabase, name: str) -> None:
    with owner(cluster.dsn) as connection:
        found = plan(connection, name, EVERY_SHARD[name])
    assert "Task Count: 8\n" in found, found


async def test_the_service_is_ready_and_not_where_a_worker_refuses_it(cluster: CitusDatabase) -> None:
    settings = Settings(database_url=cluster.dsn, pool_min=1, pool_max=1)
    async with make_pool(settings) as pool:
        assert await postgres_store(pool).ready()
    async with make_pool(Settings(database_url=cluster.worker_dsns[0], pool_min=1, pool_max=1)) as pool:
        assert not await postgres_store(pool).ready()  # the record of the migrations is the coordinator's
    with owner(cluster.worker_dsns[1]) as worker:
        worker.execute("SET citus.enable_ddl_propagation = off")
        worker.execute("ALTER ROLE payments_app NOLOGIN")
        worker.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'payments_app'"
        )
        try:
            async with make_pool(settings) as pool:
                with pytest.raises(SessionError, match="does not take the application's sessions"):
                    await postgres_store(pool).ready()
        finally:
            worker.execute("ALTER ROLE payments_app LOGIN")


def test_the_workers_know_the_service_s_limits(cluster: CitusDatabase) -> None:
    for dsn in cluster.worker_dsns:
        with owner(dsn) as worker:
            row = worker.execute(
                "SELECT rolcanlogin, rolsuper, rolconfig FROM pg_roles WHERE rolname = 'payments_app'"
            ).fetchone()
        assert row is not None
        assert row[:2] == (True, False)
        assert f"lock_timeout={SESSION.lock_timeout_ms}" in row[2]
        assert "enable_seqscan=off" in row[2]


async def test_a_capture_waits_for_a_lock_no_longer_than_the_service_says(cluster: CitusDatabase) -> None:
    """What a session sets on the coordinator is not set on the workers; the role's settings are."""
    settings = Settings(database_url=cluster.dsn, pool_min=1, pool_max=2, lock_timeout_ms=200)
    distribute(cluster.dsn, session(settings))
    try:
        async with make_pool(settings) as pool:
            store = postgres_store(pool)
            payment = uuid4()
            await store.create(payment, Amount(500))
            async with store.lock(payment):
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    async with store.lock(payment):
                        pass
    finally:
        distribute(cluster.dsn, SESSION)


@pytest.mark.invariant("I5")
async def test_the_coordinators_clock_decides(cluster: CitusDatabase) -> None:
    """Each node has a clock of its own here: 1000 s on the coordinator, 2000 s and 3000 s on the workers."""
    second = 1_000_000
    clock.install(cluster.dsn, "payment_clock")
    for number, node in enumerate(clock.nodes(cluster.dsn), 1):
        with owner(node) as connection:
            connection.execute("SELECT test_clock.set_us(%s)", [number * 1000 * second])
    async with make_pool(Settings(database_url=cluster.dsn, pool_min=1, pool_max=1)) as pool:
        store = postgres_store(pool)
        payment = uuid4()
        created = await store.create(payment, Amount(500))
        async with store.lock(payment, IdempotencyKey("key")) as locked:
            assert locked is not None
            assert locked.now == 1000 * second
        page = await store.page(None, 1)
        seen = await store.get(payment)
    assert created.snapshot.payment.created_at == 1000 * second
    assert page.as_of == 1000 * second
    # One look is one statement, which the worker answers, with the time.
    assert seen is not None
    assert seen.as_of in {2000 * second, 3000 * second}


def test_what_cannot_be_distributed_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is put right, and the next is met."""
    with citus_cluster(known=False) as made:

        def refused(dsn: str = "") -> str:
            code, output = run_migrate(monkeypatch, dsn or made.dsn)
            assert code == 2, output
            return output

        assert "no node of the cluster takes shards" in refused()
        made.join()
        with owner(made.worker_dsns[0]) as worker:
            worker.execute("ALTER SYSTEM SET synchronous_commit = off")
            worker.execute("SELECT pg_reload_conf()")
            assert "synchronous_commit is off" in refused()
            worker.execute("ALTER SYSTEM RESET synchronous_commit")
            worker.execute("SELECT pg_reload_conf()")
        with owner(made.dsn) as connection:
            connection.execute("CREATE TABLE invoices (payment_id uuid REFERENCES payments)")
            assert "invoices_payment_id_fkey of invoices; drop them" in refused()
            connection.execute("DROP TABLE invoices")
            connection.execute("SET citus.enable_unsafe_triggers = on")
            connection.execute("SELECT create_reference_table('payment_events')")
            assert "payment_events is distributed already, and not by payment_id" in refused()
            connection.execute("SELECT undistribute_table('payment_events')")
        assert "Connect to the coordinator" in refused(made.worker_dsns[0])
        code, output = run_migrate(monkeypatch, made.dsn)
        assert (code, output) == (0, "".join(f"distributed {table}\n" for table in TABLES))


@pytest.mark.invariant("I2", "I3", "I6")
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE payments SET state = 'pending' WHERE payment_id = %s", "legal_moves"),
        ("UPDATE payments SET amount_cents = 1 WHERE payment_id = %s", "legal_moves|facts_stay"),
        ("DELETE FROM payments WHERE payment_id = %s", "payments_stay"),
        ("UPDATE capture_attempts SET status = 409 WHERE payment_id = %s", "attempts_stay"),
        ("DELETE FROM capture_attempts WHERE payment_id = %s", "attempts_stay"),
    ],
)
async def test_the_guards_hold_on_the_shards(cluster: CitusDatabase, statement: str, says: str) -> None:
    payment = await captured(cluster)
    with owner(cluster.dsn) as connection, pytest.raises(psycopg.errors.IntegrityError, match=says):
        connection.execute(statement.encode(), [payment])


@pytest.mark.invariant("I1", "I6")
async def test_half_a_capture_is_refused_at_commit(cluster: CitusDatabase) -> None:
    async with make_pool(Settings(database_url=cluster.dsn, pool_min=1, pool_max=1)) as pool:
        payment = await authorized(postgres_store(pool))
    half = "UPDATE payments SET state = 'captured', captured_at = authorized_at, captured_amount_cents = 500"
    with psycopg.connect(cluster.dsn) as connection:
        connection.execute(f"{half} WHERE payment_id = %s".encode(), [payment])
        with pytest.raises(psycopg.Error, match="could not commit transaction for shard"):
            connection.commit()


async def authorized(store: PostgresPaymentStore) -> UUID:
    payment = uuid4()
    await CreatePayment(store)(payment, Amount(500))
    await AuthorizePayment(store)(payment, CaptureWindow(600_000_000))
    return payment


async def captured(cluster: CitusDatabase) -> UUID:
    async with make_pool(Settings(database_url=cluster.dsn, pool_min=1, pool_max=1)) as pool:
        store = postgres_store(pool)
        payment = await authorized(store)
        capture = CapturePayment(store, lambda decision: Answer(201, str(decision.outcome).encode()))
        result = await capture(payment, IdempotencyKey("key"), Amount(500))
    assert not result.replayed
    return payment
