"""Payments that somebody else holds stop nobody who wants another payment, however many wait for them."""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import contention, make_pool, postgres_app, postgres_store
from payments_core.infrastructure.postgres import readiness
from payments_core.infrastructure.postgres.contention import Contention, PaymentHeld
from payments_core.infrastructure.postgres.migrate import known
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_verify.nemesis.network import Network
from tests.support.api import problem, running
from tests.support.guarded import Guarded, authorized, capture, guarded_over
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

LIMIT_S = 60
POOL = 4
A_MOMENT_S = 0.05
LOCK_WAITS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'payments-core' AND wait_event_type = 'Lock'
"""
PATIENT = Settings(
    pool_min=1,
    pool_max=POOL,
    pool_timeout_s=20,
    lock_timeout_ms=40_000,
    statement_timeout_ms=50_000,
    request_timeout_s=LIMIT_S,
    transaction_timeout_ms=60_000,
)
"""Nobody who waits gives up within a test: what is served is served although they wait."""


@asynccontextmanager
async def service_over(database: Database, settings: Settings = PATIENT) -> AsyncIterator[Guarded]:
    settings = settings.model_copy(update={"database_url": database.app_dsn})
    async with (
        make_pool(settings) as pool,
        make_pool(settings, size=1) as own,
        guarded_over(postgres_store(pool, settings, own=own), settings) as service,
    ):
        yield service


@asynccontextmanager
async def held(database: Database, paths: Sequence[str]) -> AsyncIterator[None]:
    """Within the block, a session outside the service has the locks of these payments."""
    async with await psycopg.AsyncConnection.connect(database.dsn) as holder:
        for path in paths:
            payment_id = UUID(path.removeprefix("/payments/"))
            await holder.execute("SELECT FROM payments WHERE payment_id = %s FOR UPDATE", [payment_id])
        yield
        await holder.rollback()


async def waiting_in(database: Database, wanted: int) -> int:
    """How many sessions of the service wait for locks, once there are as many as that."""
    async with (
        asyncio.timeout(LIMIT_S),
        await psycopg.AsyncConnection.connect(database.dsn, autocommit=True) as monitor,
    ):
        while True:
            row = await (await monitor.execute(LOCK_WAITS)).fetchone()
            assert row is not None
            if row[0] >= wanted:
                return int(row[0])
            await asyncio.sleep(A_MOMENT_S)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(("payments", "each"), [(1, 60), (3, 20), (30, 2)])
async def test_who_waits_for_held_payments_stops_nobody_else(
    clocked_database: Database, payments: int, each: int
) -> None:
    async with service_over(clocked_database) as service:
        hot = [await authorized(service) for _ in range(payments)]
        others = [await authorized(service) for _ in range(20)]
        async with held(clocked_database, hot):
            waiting = [
                asyncio.create_task(capture(service, path, f"{n}")) for path in hot for n in range(each)
            ]
            assert await waiting_in(clocked_database, POOL // 2) == POOL // 2
            for path in others:
                assert (await service.http.get("/readyz")).status_code == 200
                assert (await capture(service, path, "key")).status_code == 201
                assert (await service.http.get(path)).status_code == 200
            assert (await service.http.put(f"/payments/{uuid4()}", json={"amount_cents": 5})).is_success
            assert await waiting_in(clocked_database, POOL // 2) == POOL // 2
            assert not any(task.done() for task in waiting)
        answers = await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == Counter({201: payments, 409: payments * (each - 1)})


async def test_captures_of_one_other_payment_wait_for_each_other_meanwhile(
    clocked_database: Database,
) -> None:
    async with service_over(clocked_database) as service:
        hot, other = await authorized(service), await authorized(service)
        async with held(clocked_database, [hot]):
            waiting = [asyncio.create_task(capture(service, hot, f"{n}")) for n in range(20)]
            await waiting_in(clocked_database, POOL // 2)
            racing = [asyncio.create_task(capture(service, other, f"{n}")) for n in range(20)]
            answers = await asyncio.wait_for(asyncio.gather(*racing), LIMIT_S)
            assert Counter(each.status_code for each in answers) == {201: 1, 409: 19}
        await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)


async def test_who_waits_too_long_without_a_connection_is_told_that_the_payment_is_busy(
    clocked_database: Database,
) -> None:
    impatient = PATIENT.model_copy(update={"pool_timeout_s": 0.2, "lock_timeout_ms": 30_000})
    async with service_over(clocked_database, impatient) as service:
        (hot, warm) = [await authorized(service) for _ in range(2)]
        async with held(clocked_database, [hot, warm]):
            waiting = [asyncio.create_task(capture(service, hot, f"{n}")) for n in range(POOL // 2)]
            await waiting_in(clocked_database, POOL // 2)
            for path in (hot, warm):  # of whose turns there is none, and of whose lock there is no free wait
                answer = await capture(service, path, "late")
                problem(answer, 503, "payment_busy")
                assert answer.headers["retry-after"] == "1"
        await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)
        for path, status in ((hot, 409), (warm, 201)):
            answer = await capture(service, path, "late")
            assert (answer.status_code, "idempotent-replayed" in answer.headers) == (status, False)


async def test_requests_that_wait_leave_places_for_others(clocked_database: Database) -> None:
    few = PATIENT.model_copy(update={"max_requests": 20})
    async with service_over(clocked_database, few) as service:
        hot, other = await authorized(service), await authorized(service)
        async with held(clocked_database, [hot]):
            allowed = POOL // 2 + few.max_requests // 2
            waiting = [asyncio.create_task(capture(service, hot, f"{n}")) for n in range(allowed)]
            await waiting_in(clocked_database, POOL // 2)
            problem(await capture(service, hot, "one too many"), 503, "payment_busy")
            assert (await capture(service, other, "key")).status_code == 201
        answers = await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: allowed - 1}


async def test_a_creation_that_waits_for_another_of_its_id_stops_nobody_else(
    clocked_database: Database,
) -> None:
    path = f"/payments/{uuid4()}"
    async with (
        service_over(clocked_database) as service,
        await psycopg.AsyncConnection.connect(clocked_database.dsn) as holder,
    ):
        await holder.execute(
            "INSERT INTO payments (payment_id, amount_cents) VALUES (%s, 5)", [path.rpartition("/")[2]]
        )
        waiting = [
            asyncio.create_task(service.http.put(path, json={"amount_cents": 500})) for _ in range(3 * POOL)
        ]
        assert await waiting_in(clocked_database, POOL // 2) == POOL // 2
        assert (await capture(service, await authorized(service), "key")).status_code == 201
        await holder.rollback()
        answers = await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 3 * POOL - 1}


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("is_there", [False, True])
async def test_creations_of_many_ids_that_others_hold_stop_nobody_else(
    clocked_database: Database, is_there: bool
) -> None:
    async with (
        service_over(clocked_database) as service,
        await psycopg.AsyncConnection.connect(clocked_database.dsn) as holder,
    ):
        paths = [f"/payments/{uuid4()}" for _ in range(POOL)]
        for path in paths:
            if is_there:
                assert (await service.http.put(path, json={"amount_cents": 500})).status_code == 201
            held = path.rpartition("/")[2]
            await holder.execute(
                "SELECT FROM payments WHERE payment_id = %s FOR UPDATE"
                if is_there
                else "INSERT INTO payments (payment_id, amount_cents) VALUES (%s, 5)",
                [held],
            )
        waiting = [
            asyncio.create_task(service.http.put(path, json={"amount_cents": 500}))
            for path in paths
            for _ in range(POOL)
        ]
        await waiting_in(clocked_database, POOL // 2)
        for _ in range(POOL):
            assert (await capture(service, await authorized(service), "key")).status_code == 201
        assert not any(task.done() for task in waiting)
        await holder.rollback()
        answers = await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S)
    new = 0 if is_there else POOL
    assert Counter(answer.status_code for answer in answers) == Counter({201: new, 200: POOL * POOL - new})


async def test_who_is_given_up_while_waiting_leaves_nothing(clocked_database: Database) -> None:
    async with service_over(clocked_database) as service:
        hot = await authorized(service)
        for _ in range(2):
            async with held(clocked_database, [hot]):
                waiting = [asyncio.create_task(capture(service, hot, f"{n}")) for n in range(20)]
                await waiting_in(clocked_database, POOL // 2)
                for task in waiting:
                    task.cancel()
                await asyncio.wait(waiting)
        assert (await capture(service, hot, "key")).status_code == 201


# ---- the bounds by themselves -------------------------------------------------------------------


async def test_turns_of_a_payment_come_in_order_and_are_forgotten() -> None:
    bounds = Contention(connections=1, requests=10, patience_s=LIMIT_S)
    one, another = uuid4(), uuid4()
    first = await bounds.turn(one)
    (await bounds.turn(another)).release()
    order: list[int] = []

    async def take(number: int) -> None:
        turn = await bounds.turn(one)
        order.append(number)
        turn.release()

    waiting = [asyncio.create_task(take(number)) for number in range(5)]
    await asyncio.sleep(0)
    first.release()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]
    kept = weakref.ref(first)
    del first, waiting
    assert kept() is None


async def test_a_refusal_for_want_of_room_is_told_from_a_wait_that_was_too_long() -> None:
    bounds = Contention(connections=1, requests=1, patience_s=0.01)
    with pytest.raises(errors.LockNotAvailable) as waited, bounds.locking():
        raise errors.LockNotAvailable
    assert not isinstance(waited.value, PaymentHeld)
    with pytest.raises(PaymentHeld), bounds.locking(), bounds.locking():
        raise errors.LockNotAvailable
    with pytest.raises(errors.LockNotAvailable) as waited, bounds.locking():
        raise errors.LockNotAvailable
    assert not isinstance(waited.value, PaymentHeld), "there is room to wait again"

    async def never() -> None:
        raise PaymentHeld("its lock is held")

    for _ in range(2):
        with pytest.raises(PaymentHeld, match="its lock is held"):
            await bounds.try_again(never)


@pytest.mark.parametrize(("size", "share"), [(1, 1), (2, 1), (3, 1), (10, 5)])
async def test_the_share_is_half_of_the_pool(clocked_database: Database, size: int, share: int) -> None:
    settings = Settings(database_url=clocked_database.app_dsn, pool_max=size)
    bounds = contention(make_pool(settings), settings)
    assert (bounds.connections, bounds.requests, bounds.patience_s) == (share, 128, 2.5)


# ---- ready --------------------------------------------------------------------------------------


async def test_a_busy_pool_does_not_make_a_process_not_ready(clocked_database: Database) -> None:
    settings = Settings(database_url=clocked_database.app_dsn, pool_min=1, pool_max=1, pool_timeout_s=20)
    app = postgres_app(settings)
    async with (
        running(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
        await psycopg.AsyncConnection.connect(clocked_database.dsn) as holder,
    ):
        await holder.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(http.get("/payments"))
        await waiting_in(clocked_database, 1)
        await asyncio.sleep(1.5 * readiness.FRESH_S)
        assert (await http.get("/readyz")).status_code == 200
        assert not waiting.done()
        await holder.rollback()
        assert (await asyncio.wait_for(waiting, LIMIT_S)).status_code == 200


@pytest.mark.parametrize("how", ["cut", "silent"])
async def test_a_lost_database_does_within_three_seconds(database: Database, how: str) -> None:
    """The time in which it does is counted in questions here: one more than the fresh answer's."""
    port = int(conninfo_to_dict(database.dsn)["port"] or 0)
    async with asyncio.timeout(LIMIT_S), Network.between(("127.0.0.1", port)) as network:
        dsn = make_conninfo(database.dsn, port=network.port, sslmode="disable")
        async with make_pool(Settings(database_url=dsn), size=1) as own:
            ready = Readiness(own, frozenset(known()))
            assert await ready() is True
            network.open = False
            _ = network.deaden() if how == "silent" else network.cut_all()
            assert await ready() is True  # fresh
            await asyncio.sleep(readiness.FRESH_S)
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError):
                    await ready()
            network.open = True
            network.resume()
            while True:
                try:
                    assert await ready() is True
                    break
                except psycopg.OperationalError:
                    await asyncio.sleep(A_MOMENT_S)


async def test_many_who_ask_at_once_are_one_question(
    clocked_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_pool(Settings(database_url=clocked_database.app_dsn), size=1) as own:
        taken: list[float | None] = []
        original = own.getconn

        async def counted(timeout: float | None = None) -> object:  # noqa: ASYNC109 - the pool's
            taken.append(timeout)
            return await original(timeout)

        monkeypatch.setattr(own, "getconn", counted)
        ready = Readiness(own, frozenset(known()))
        assert await asyncio.gather(*(ready() for _ in range(50))) == [True] * 50
        assert await ready() is True
        assert len(taken) == 1
