"""The PostgreSQL store beyond the port's contract: what the database refuses, and whether it can be used."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID

import psycopg
import pytest

from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.payment import FailureReason
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.migrate import known
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_core.infrastructure.postgres.store import CommitFailed, PostgresPaymentStore
from tests.support.payments import FULL, KEY, authorized, created, refusal, store_attempts, success
from tests.support.postgres import Database
from tests.support.stores import NOON, POOL, Kit, PostgresKit

pytestmark = pytest.mark.anyio


async def still_serves(kit: Kit) -> None:
    """Every connection of the pool can be used, more than once."""
    for _ in range(2 * POOL):
        await created(kit)


async def test_a_capture_whose_key_is_taken_does_not_move_the_payment(postgres: Kit) -> None:
    payment = await authorized(postgres)
    await store_attempts(postgres, payment, [refusal(payment)])
    before = await postgres.contents()
    async with postgres.store.lock(payment.payment_id) as locked:
        assert locked is not None
        with pytest.raises(psycopg.errors.UniqueViolation, match=r"capture_attempts(_\d)?_pkey"):
            await locked.commit(payment=payment.capture(FULL, NOON), attempt=success(payment, NOON))
    assert await postgres.contents() == before
    await still_serves(postgres)


@pytest.mark.invariant("I6")
async def test_half_a_capture_does_not_commit(postgres: Kit) -> None:
    payment = await authorized(postgres)
    before = await postgres.contents()
    halves = [
        {"payment": payment.capture(FULL, NOON)},
        {"attempt": success(payment, NOON)},
        {
            "payment": payment.capture(FULL, NOON),
            "attempt": replace(success(payment, NOON), outcome=CaptureOutcome.NOT_AUTHORIZED),
        },
    ]
    for half in halves:
        async with postgres.store.lock(payment.payment_id, KEY) as locked:
            assert locked is not None
            with pytest.raises(psycopg.errors.IntegrityError):
                await locked.commit(**half)  # type: ignore[arg-type]
        assert await postgres.contents() == before
    await still_serves(postgres)


async def test_a_batch_of_which_one_is_refused_stores_none(postgres: Kit) -> None:
    good, bad = await authorized(postgres), await authorized(postgres)
    await postgres.set_clock(2 * NOON)
    before = await postgres.contents()
    async with postgres.store.lock_due(10) as due:
        with pytest.raises(psycopg.errors.CheckViolation, match="expired_after_window"):
            await due.commit([good.expire(due.now), replace(bad.expire(due.now), failed_at=NOON)])
    assert await postgres.contents() == before
    await still_serves(postgres)


@pytest.mark.invariant("I9")
async def test_what_others_move_meanwhile_hides_nothing_that_is_due(
    postgres: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = {each.payment_id: each for each in [await authorized(postgres) for _ in range(3)]}
    await postgres.set_clock(2 * NOON)
    others, lock_each = AsyncExitStack(), PostgresPaymentStore._lock_each  # noqa: SLF001

    async def and_have_it_voided(store: Any, connection: Any, found: Any) -> Any:
        locked = await lock_each(store, connection, found)
        await others.aclose()
        for (payment_id,) in found if not locked.payments else ():
            async with postgres.store.lock(payment_id) as held:
                assert held is not None
                await held.commit(due.pop(payment_id).fail(FailureReason.VOIDED, NOON))
        return locked

    for payment_id in due:
        await others.enter_async_context(postgres.store.lock(payment_id))
    monkeypatch.setattr(PostgresPaymentStore, "_lock_each", and_have_it_voided)
    async with postgres.store.lock_due(2) as looked_further:
        assert list(looked_further.payments) == list(due.values())
        assert len(due) == 1


@pytest.mark.invariant("I7")
async def test_a_commit_that_the_database_answers_with_rollback_is_an_error(
    postgres: PostgresKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await authorized(postgres)
    connection = await postgres.pool.getconn()
    monkeypatch.setattr(postgres.pool, "getconn", AsyncMock(return_value=connection))
    async with postgres.store.lock(payment.payment_id) as locked:
        assert locked is not None
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute("SELECT 1 / 0")
        with pytest.raises(CommitFailed, match="'ROLLBACK' to COMMIT"):
            await locked.commit()
    monkeypatch.undo()
    await still_serves(postgres)


async def test_a_commit_that_finds_no_payment_is_an_error(postgres: Kit) -> None:
    payment = await authorized(postgres)
    async with postgres.store.lock(payment.payment_id) as locked:
        assert locked is not None
        unknown = replace(payment, payment_id=UUID(int=1))
        with pytest.raises(RuntimeError, match="did not find the payment"):
            await locked.commit(payment=unknown)
    await still_serves(postgres)


@pytest.mark.invariant("I9")
async def test_no_session_is_left_in_a_transaction(postgres: Kit, clocked_database: Database) -> None:
    payment = await authorized(postgres)
    async with postgres.store.lock(payment.payment_id, KEY):
        assert sessions_in_transaction(clocked_database) == 1
    async with postgres.store.lock_due(10):
        assert sessions_in_transaction(clocked_database) == 0  # nothing is due, and nothing locked
    await postgres.set_clock(2 * NOON)
    async with postgres.store.lock_due(10):
        assert sessions_in_transaction(clocked_database) == 1
    async with postgres.store.lock(UUID(int=1)) as locked:
        assert locked is None
    assert sessions_in_transaction(clocked_database) == 0


def sessions_in_transaction(database: Database) -> int:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'payments-core' AND state LIKE 'idle in transaction%'"
        ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


@pytest.mark.parametrize("number", range(1, 9))
async def test_a_pipeline_that_fails_at_its_nth_use_leaves_its_statements_usable(
    clocked_database: Database, number: int
) -> None:
    """What the server passed over after an error is not taken for prepared, whenever that is."""
    settings = Settings(database_url=clocked_database.app_dsn, pool_min=1, pool_max=1, lock_timeout_ms=50)
    async with make_pool(settings) as pool:
        store = postgres_store(pool)
        for _ in range(number - 1):
            await store.page(None, 1)
        async with await psycopg.AsyncConnection.connect(clocked_database.dsn) as other:
            await other.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await store.page(None, 1)
        await store.page(None, 1)


# ---- ready --------------------------------------------------------------------------------------


async def test_it_is_not_ready_without_a_migration_it_needs(clocked_database: Database) -> None:
    async with make_pool(Settings(database_url=clocked_database.app_dsn, pool_min=1)) as pool:
        assert await Readiness(pool, frozenset(known()))() is True
        assert await Readiness(pool, frozenset([*known(), "9999-next"]))() is False
        assert await Readiness(pool, frozenset(known()[:1]))() is True


async def test_it_is_not_ready_on_an_empty_database(empty_database: Database) -> None:
    async with make_pool(Settings(database_url=empty_database.dsn, pool_min=1)) as pool:
        assert await postgres_store(pool).ready() is False


async def test_it_is_not_ready_where_it_may_not_look(database: Database) -> None:
    with psycopg.connect(database.dsn) as owner:
        owner.execute("REVOKE SELECT ON _yoyo_migration FROM payments_app")
    async with make_pool(Settings(database_url=database.app_dsn, pool_min=1)) as pool:
        assert await postgres_store(pool).ready() is False


# ---- statements ---------------------------------------------------------------------------------


async def test_a_capture_is_two_round_trips_in_the_order_of_the_protocol(
    postgres: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await authorized(postgres)
    sent: list[list[str]] = []
    original = Batch.send

    async def spy(batch: Batch) -> None:
        sent.append([query for query, _, _ in batch.statements])
        await original(batch)

    monkeypatch.setattr(Batch, "send", spy)
    async with postgres.store.lock(payment.payment_id, KEY) as locked:
        assert locked is not None
        await locked.commit(payment=payment.capture(FULL, NOON), attempt=success(payment, NOON))
    reads = [sql.BEGIN, sql.LOCK_PAYMENT, sql.FIND_ATTEMPT, sql.READ_CLOCK]
    writes = [sql.UPDATE_PAYMENT, sql.INSERT_ATTEMPT, sql.COMMIT]
    assert sent == [reads, writes]
