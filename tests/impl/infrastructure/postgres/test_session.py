"""The service's sessions: as whom they work, how long they may take, and what becomes of those that meet."""

from __future__ import annotations

import asyncio
from uuid import UUID

import psycopg
import pytest

from payments_core.application.use_cases import AuthorizePayment, CapturePayment
from payments_core.domain.errors import PaymentNotFound
from payments_core.entrypoints.http.views import capture_answer
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from tests.support.api import problem
from tests.support.guarded import guarded_over, sample_of
from tests.support.payments import FULL, KEY, LONG, authorized, created
from tests.support.postgres import Database
from tests.support.processes import run
from tests.support.stores import Kit

pytestmark = pytest.mark.anyio

LIMIT_S = 60
QUICK = Settings(
    transaction_timeout_ms=600,
    statement_timeout_ms=300,
    lock_timeout_ms=100,
    idle_in_transaction_timeout_ms=300,
)


def settings(database: Database, **more: object) -> Settings:
    return QUICK.model_copy(update={"database_url": database.dsn, "pool_min": 1, "pool_max": 2, **more})


async def shown(database: Database, name: str, **more: object) -> str:
    async with make_pool(settings(database, **more)) as pool, pool.connection() as connection:
        row = await (await connection.execute(f"SELECT current_setting('{name}')".encode())).fetchone()
    assert row is not None
    value: str = row[0]
    return value


async def test_the_settings_of_a_session(clocked_database: Database) -> None:
    for name, value in {
        "statement_timeout": "300ms",
        "lock_timeout": "100ms",
        "idle_in_transaction_session_timeout": "300ms",
        "application_name": "payments-core",
        "role": "payments_app",
        "enable_seqscan": "off",
        "jit": "off",
    }.items():
        assert await shown(clocked_database, name) == value
    assert await shown(clocked_database, "role", database_role="") == "none"
    own = f"{clocked_database.dsn}?options=-c%20lock_timeout%3D42ms"
    assert await shown(clocked_database, "lock_timeout", database_url=own) == "42ms"
    assert await shown(clocked_database, "statement_timeout", database_url=own) == "300ms"
    own = f"{clocked_database.dsn}?application_name=till"
    assert await shown(clocked_database, "application_name", database_url=own) == "till"
    for option in ("-c%20enable_seqscan", "-cenable_seqscan", "--enable-seqscan"):
        own = f"{clocked_database.dsn}?options={option}%3Don"
        assert await shown(clocked_database, "enable_seqscan", database_url=own) == "on"
        assert await shown(clocked_database, "jit", database_url=own) == "off"


FORBIDDEN = [
    "DELETE FROM payments",
    "DELETE FROM capture_attempts",
    "TRUNCATE payments, capture_attempts",
    "UPDATE payments SET amount_cents = 1",
    "UPDATE payments SET payment_id = gen_random_uuid()",
    "UPDATE payments SET created_at = now()",
    "UPDATE capture_attempts SET body = ''",
    "DELETE FROM payment_events",
    "UPDATE payment_events SET outcome = 'captured'",
    "SELECT outcome FROM payment_events",
    "ALTER TABLE payments ADD COLUMN more int",
    "ALTER TABLE payments DISABLE TRIGGER legal_moves",
    "DROP TABLE capture_attempts",
    "DROP INDEX one_captured_attempt",
    "CREATE TABLE more (x int)",
    "CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    "INSERT INTO _yoyo_migration (migration_hash) VALUES ('x')",
    "SET session_replication_role = replica",
    "CREATE ROLE more",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_application_may_not(postgres: Kit, clocked_database: Database, statement: str) -> None:
    await authorized(postgres)
    before = await postgres.contents()
    async with make_pool(settings(clocked_database)) as pool, pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())
    assert await postgres.contents() == before


async def test_a_login_of_its_own_works_as_the_application(database: Database) -> None:
    login, password = "api_login", "only-for-this-test"
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD '{password}'".encode())
        try:
            dsn = psycopg.conninfo.make_conninfo(database.dsn, user=login, password=password)
            refused = run(["serve", "--port", "0"], {"DATABASE_URL": dsn})
            assert refused.returncode == 2
            assert "permission denied" in refused.stderr
            assert "Traceback" not in refused.stderr
            owner.execute(f"GRANT payments_app TO {login}".encode())
            async with make_pool(settings(database, database_url=dsn)) as pool:
                assert await postgres_store(pool).ready() is True
            # Neither does it inherit the right to read what was migrated.
            swept = run(["sweep"], {"DATABASE_URL": dsn})
            assert (swept.returncode, swept.stderr) == (0, "")
        finally:
            owner.execute(f"DROP ROLE {login}".encode())


# ---- limits -------------------------------------------------------------------------------------


async def test_who_waits_too_long_for_the_lock_is_told_so(postgres: Kit, clocked_database: Database) -> None:
    payment = await authorized(postgres)
    before = await postgres.contents()
    async with (
        make_pool(settings(clocked_database)) as pool,
        guarded_over(postgres_store(pool)) as service,
    ):
        url = f"/payments/{payment.payment_id}/captures"
        headers = {"Idempotency-Key": "key"}
        async with postgres.store.lock(payment.payment_id):
            for _ in range(5):
                answer = await service.http.post(url, json={"amount_cents": 500}, headers=headers)
                problem(answer, 503, "payment_busy")
                assert answer.headers["retry-after"] == "1"
        assert await postgres.contents() == before
        answer = await service.http.post(url, json={"amount_cents": 500}, headers=headers)
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)


async def test_a_statement_that_takes_too_long_is_ended(postgres: Kit, clocked_database: Database) -> None:
    payment = await created(postgres)
    tight = {"statement_timeout_ms": 100, "lock_timeout_ms": 400}
    async with (
        make_pool(settings(clocked_database, **tight)) as pool,
        guarded_over(postgres_store(pool)) as service,
    ):
        async with postgres.store.lock(payment.payment_id):
            url = f"/payments/{payment.payment_id}/authorize"
            for _ in range(3):
                answer = await service.http.post(url, json={"capture_window_seconds": 5})
                document = problem(answer, 503, "unavailable")
                assert "took too long" in document["detail"]
        assert (await service.http.post(url, json={"capture_window_seconds": 5})).status_code == 200


@pytest.mark.parametrize("limit", ["idle_in_transaction_timeout_ms", "transaction_timeout_ms"])
async def test_a_session_that_idles_in_a_transaction_is_ended_and_replaced(
    postgres: Kit, clocked_database: Database, limit: str
) -> None:
    payment = await created(postgres)
    limits = {"idle_in_transaction_timeout_ms": 60_000, "transaction_timeout_ms": 60_000, limit: 300}
    async with make_pool(settings(clocked_database, **limits)) as pool:
        async with pool.connection() as connection:
            if limit == "transaction_timeout_ms" and connection.info.server_version < 170_000:
                pytest.skip("before PostgreSQL 17 only the silence is limited")
        store = postgres_store(pool)

        async def idle() -> None:
            async with store.lock(payment.payment_id) as locked:
                assert locked is not None
                await asyncio.sleep(1)
                await locked.commit(payment=payment.authorize(LONG, locked.now))

        with pytest.raises((psycopg.OperationalError, psycopg.errors.TransactionTimeout)):
            await idle()
        assert (await postgres.contents()).payments == {payment.payment_id: payment}
        async with asyncio.timeout(LIMIT_S):
            assert await store.get(payment.payment_id) is not None


# ---- conflicts ----------------------------------------------------------------------------------


async def test_a_conflict_is_run_again_from_a_fresh_read(postgres: Kit, clocked_database: Database) -> None:
    """At SERIALIZABLE, who waited for a row that was changed is refused with 40001."""
    metrics = Metrics()
    serializable = settings(
        clocked_database,
        isolation="serializable",
        pool_max=8,
        lock_timeout_ms=5000,
        statement_timeout_ms=5000,
        transaction_timeout_ms=30_000,
    )
    async with make_pool(serializable, metrics) as pool:
        store = postgres_store(pool, serializable, metrics)
        for _ in range(5):
            payment = await authorized(postgres)
            capture = CapturePayment(store, capture_answer)
            async with asyncio.timeout(LIMIT_S):
                results = await asyncio.gather(*(capture(payment.payment_id, KEY, FULL) for _ in range(8)))
            assert {result.answer.status for result in results} == {201}
            assert len({result.answer.body for result in results}) == 1
            assert sum(not result.replayed for result in results) == 1
    conflicts = sample_of(metrics.exposition().decode(), "payments_transaction_conflicts_total")
    assert conflicts is not None
    assert conflicts > 0


class Conflicting:
    """A store whose lock fails so many times, then finds no payment."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.tries = error, times, 0

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, psycopg.errors.SerializationFailure)

    def lock(self, _payment_id: UUID, _key: object = None) -> object:
        self.tries += 1
        if self.tries <= self.times:
            raise self.error
        raise PaymentNotFound


@pytest.mark.parametrize(
    ("error", "times", "tries", "ends"),
    [
        (psycopg.errors.SerializationFailure(), 7, 8, PaymentNotFound),
        (psycopg.errors.SerializationFailure(), 100, 8, psycopg.errors.SerializationFailure),
        (psycopg.OperationalError("the connection was lost"), 1, 1, psycopg.OperationalError),
        (psycopg.errors.StatementCompletionUnknown(), 1, 1, psycopg.errors.StatementCompletionUnknown),
        (psycopg.errors.LockNotAvailable(), 1, 1, psycopg.errors.LockNotAvailable),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
async def test_how_often_it_is_tried(error: Exception, times: int, tries: int, ends: type[Exception]) -> None:
    store = Conflicting(error, times)
    with pytest.raises(ends):
        await AuthorizePayment(store)(UUID(int=1), LONG)  # type: ignore[arg-type]
    assert store.tries == tries


async def test_who_has_given_up_does_not_try_again() -> None:
    store = Conflicting(psycopg.errors.SerializationFailure(), 100)

    async def request() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await AuthorizePayment(store)(UUID(int=1), LONG)  # type: ignore[arg-type]

    task = asyncio.create_task(request())
    await asyncio.wait([task])
    assert isinstance(task.exception(), psycopg.errors.SerializationFailure)
    assert store.tries == 1


async def test_which_errors_are_conflicts(postgres: Kit) -> None:
    conflicts = {"40001", "40P01"}
    for state in (*conflicts, "40003", "55P03", "57014", "25P03", "23505", "08006", "57P01"):
        error = psycopg.errors.lookup(state)()
        assert postgres.store.is_conflict(error) is (state in conflicts)
    assert not postgres.store.is_conflict(psycopg.OperationalError("lost"))
