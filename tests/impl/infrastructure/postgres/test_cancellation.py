"""A request that is cancelled, wherever it stands, stores all or nothing and gives everything back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from uuid import uuid4

import psycopg
import pytest

from payments_core.application.use_cases import (
    AuthorizePayment,
    CapturePayment,
    CreatePayment,
    ExpirePayments,
    FailPayment,
    GetPayment,
)
from payments_core.domain.payment import FailureReason, Payment
from payments_core.domain.values import SECOND
from payments_core.entrypoints.http.views import capture_answer
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres import connection as connections
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.pool import Pool
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from tests.support.cancelling import Cancellation, Request
from tests.support.payments import FULL, KEY, LONG, SHORT, authorized, created
from tests.support.postgres import Database
from tests.support.stores import NOON, POOL, Contents, Kit, PostgresKit

pytestmark = pytest.mark.anyio


LIMIT_S = 30
A_MOMENT_S = 0.05
MOMENTS = 100
LONGEST_S = 0.015
"""Within this time a capture has come to wait for the lock."""
Monitor = psycopg.AsyncConnection
SESSIONS = """
    SELECT state, query FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'payments-core' AND state <> 'idle'
"""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the service runs in uvloop, whose cancellation is code of its own."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def monitor(clocked_database: Database) -> AsyncIterator[Monitor]:
    """A session that looks from outside."""
    async with await psycopg.AsyncConnection.connect(clocked_database.dsn, autocommit=True) as opened:
        yield opened


def capture(kit: Kit, payment: Payment) -> Request:
    return CapturePayment(kit.store, capture_answer)(payment.payment_id, KEY, FULL)


async def every_session_is_idle(monitor: Monitor) -> None:
    """Wait until no session is in a statement or a transaction."""
    async with asyncio.timeout(LIMIT_S):
        # The server notices that a connection was closed when its statement ends: a moment later.
        while await (await monitor.execute(SESSIONS)).fetchall():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


async def every_connection_works(kit: Kit, monitor: Monitor) -> None:
    """Every connection of the pool serves, and commits what it says it has stored."""
    async with asyncio.timeout(LIMIT_S):
        made = await asyncio.gather(*(created(kit) for _ in range(2 * POOL)))
    ids = [payment.payment_id for payment in made]
    cursor = await monitor.execute("SELECT count(*) FROM payments WHERE payment_id = ANY(%s)", [ids])
    assert await cursor.fetchone() == (2 * POOL,)


async def cancelled_everywhere(
    kit: Kit, monitor: Monitor, again: bool, prepare: Callable[[], Awaitable[Request]]
) -> list[tuple[Contents, Contents]]:
    """Cancel a request at its first suspension, then a new one at its second, until one runs through.

    Returns:
        What was stored before and after each request; the last is the one that ran through.
    """
    looks = []
    for step in count(1):
        request = await prepare()
        before = await kit.contents()
        cancellation = Cancellation(step, again)
        task = await asyncio.wait_for(cancellation.run(request), LIMIT_S)
        await every_session_is_idle(monitor)
        looks.append((before, await kit.contents()))
        await every_connection_works(kit, monitor)
        if not cancellation.happened:
            task.result()
            assert step > 1, "the request never suspended: nothing was cancelled"
            return looks
        assert task.cancelled() or task.exception() is None
    raise AssertionError


@pytest.mark.invariant("I6")
@pytest.mark.parametrize("again", [False, True], ids=["once", "at every step"])
async def test_a_capture_is_stored_whole_or_not_at_all(postgres: Kit, monitor: Monitor, again: bool) -> None:
    payments: list[Payment] = []

    async def prepare() -> Request:
        payments.append(await authorized(postgres))
        return capture(postgres, payments[-1])

    looks = await cancelled_everywhere(postgres, monitor, again, prepare)
    assert len(looks) == len(payments)
    for payment, (before, after) in zip(payments, looks, strict=True):
        if after == before:
            continue
        assert after.payments == before.payments | {payment.payment_id: payment.capture(FULL, NOON)}
        assert set(after.attempts) - set(before.attempts) == {(payment.payment_id, "key")}
    assert looks[0][0] == looks[0][1], "cancelled before it held the lock, and stored all the same"
    for payment in payments:
        result = await CapturePayment(postgres.store, capture_answer)(payment.payment_id, KEY, FULL)
        assert result.answer.status == 201


@pytest.mark.parametrize("again", [False, True], ids=["once", "at every step"])
async def test_a_replay_changes_nothing(postgres: Kit, monitor: Monitor, again: bool) -> None:
    payment = await authorized(postgres)
    await capture(postgres, payment)

    async def prepare() -> Request:
        return capture(postgres, payment)

    for before, after in await cancelled_everywhere(postgres, monitor, again, prepare):
        assert before == after


@pytest.fixture
async def patient_pool(clocked_database: Database) -> AsyncIterator[Pool]:
    """Connections that wait for locks much longer than these tests wait for them."""
    settings = Settings(
        database_url=clocked_database.app_dsn,
        pool_min=POOL,
        pool_max=POOL,
        lock_timeout_ms=600_000,
        statement_timeout_ms=600_000,
        transaction_timeout_ms=600_000,
        request_timeout_s=601,
    )
    async with make_pool(settings) as pool:
        await pool.wait()
        yield pool


@pytest.fixture
def patient(patient_pool: Pool) -> PostgresPaymentStore:
    """A store over them."""
    return postgres_store(patient_pool)


async def ended(task: asyncio.Task[object]) -> bool:
    """Whether a task that was cancelled ends as that, and long before a lock's timeout."""
    await asyncio.wait([task], timeout=LIMIT_S)
    return task.cancelled()


@pytest.mark.parametrize("again", [False, True], ids=["once", "at every step"])
async def test_a_capture_that_waits_for_the_lock(
    postgres: Kit, patient: PostgresPaymentStore, monitor: Monitor, again: bool
) -> None:
    payment = await authorized(postgres)
    before = await postgres.contents()
    async with postgres.store.lock(payment.payment_id):
        cancellation = Cancellation(1, again)
        request = CapturePayment(patient, capture_answer)(payment.payment_id, KEY, FULL)
        task = await asyncio.wait_for(cancellation.run(request), LIMIT_S)
        assert (cancellation.happened, task.cancelled()) == (True, True)
        assert await postgres.contents() == before
    await every_session_is_idle(monitor)
    await every_connection_works(postgres, monitor)


@pytest.mark.parametrize("dropped", [0, 1, 3])
async def test_a_request_to_cancel_that_is_dropped_is_made_again(
    postgres: Kit, patient_pool: Pool, monkeypatch: pytest.MonkeyPatch, dropped: int
) -> None:
    """As PostgreSQL drops one that comes between two statements. The connection can be used again."""
    requests = drop_requests_to_cancel(monkeypatch, dropped)
    assert await given_up_while_it_waits(postgres, patient_pool) == []
    assert len(requests) == dropped + 1


async def test_a_server_that_never_hears_of_it_loses_the_connection(
    postgres: Kit, patient_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PATIENCE_S", 0.2)
    drop_requests_to_cancel(monkeypatch, 1_000)
    closed = await given_up_while_it_waits(postgres, patient_pool)
    assert len(closed) == 1


@pytest.mark.invariant("I9")
async def test_a_request_to_cancel_that_may_come_yet_loses_the_connection(
    postgres: Kit, patient_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement is over, and the next one on the connection would be cancelled in its place."""

    async def unheard(_connection: psycopg.AsyncConnection, *, timeout: float) -> None:  # noqa: ASYNC109
        over.set()
        await asyncio.sleep(A_MOMENT_S)
        raise psycopg.errors.CancellationTimeout(f"nothing was heard for {timeout:g} s")

    over = asyncio.Event()
    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", unheard)
    payment = await authorized(postgres)
    before, store = await processes(patient_pool), postgres_store(patient_pool)
    async with postgres.store.lock(payment.payment_id):
        task = asyncio.create_task(CapturePayment(store, capture_answer)(payment.payment_id, KEY, FULL))
        await asyncio.sleep(A_MOMENT_S)
        task.cancel()
        await asyncio.wait_for(over.wait(), LIMIT_S)
    assert await ended(task)
    assert len(before - await processes(patient_pool)) == 1


def drop_requests_to_cancel(monkeypatch: pytest.MonkeyPatch, count: int) -> list[float]:
    """Let the first requests to cancel never arrive; when each was made."""
    requests: list[float] = []
    send = psycopg.AsyncConnection.cancel_safe

    async def dropped(connection: psycopg.AsyncConnection, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109
        requests.append(timeout)
        if len(requests) > count:
            await send(connection, timeout=timeout)

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", dropped)
    return requests


async def given_up_while_it_waits(postgres: Kit, pool: Pool) -> list[int]:
    """Give a capture up that waits for the lock; the server processes of connections that were closed."""
    payment = await authorized(postgres)
    before, store = await processes(pool), postgres_store(pool)
    async with postgres.store.lock(payment.payment_id):
        task = asyncio.create_task(CapturePayment(store, capture_answer)(payment.payment_id, KEY, FULL))
        await asyncio.sleep(A_MOMENT_S)
        task.cancel()
        assert await ended(task)
    assert len(before) == POOL
    return sorted(before - await processes(pool))


async def processes(pool: Pool) -> set[int]:
    """The server process of each connection of a pool."""
    async with AsyncExitStack() as held:
        connections = [await held.enter_async_context(pool.connection()) for _ in range(POOL)]
        return {connection.info.backend_pid for connection in connections}


@pytest.mark.invariant("I9")
async def test_a_capture_that_is_given_up_at_any_moment(
    postgres: Kit, patient: PostgresPaymentStore, monitor: Monitor
) -> None:
    """Also where PostgreSQL drops the request to cancel, because it comes between two statements."""
    payment = await authorized(postgres)
    before = await postgres.contents()
    capture = CapturePayment(patient, capture_answer)
    async with postgres.store.lock(payment.payment_id):
        for number in range(MOMENTS):
            task = asyncio.create_task(capture(payment.payment_id, KEY, FULL))
            await asyncio.sleep(number * LONGEST_S / MOMENTS)
            task.cancel()
            assert await ended(task), f"not after {number * LONGEST_S / MOMENTS:.6f} s"
        assert await postgres.contents() == before
    await every_session_is_idle(monitor)
    await every_connection_works(postgres, monitor)


@pytest.mark.parametrize("again", [False, True], ids=["once", "at every step"])
async def test_a_capture_that_waits_for_a_connection(postgres: Kit, monitor: Monitor, again: bool) -> None:
    payment = await authorized(postgres)
    others = [await created(postgres) for _ in range(POOL)]
    before = await postgres.contents()
    async with AsyncExitStack() as held:
        for other in others:
            await held.enter_async_context(postgres.store.lock(other.payment_id))
        for _ in range(2 * POOL):
            cancellation = Cancellation(1, again)
            task = await asyncio.wait_for(cancellation.run(capture(postgres, payment)), LIMIT_S)
            assert (cancellation.happened, task.cancelled()) == (True, True)
    await every_session_is_idle(monitor)
    assert await postgres.contents() == before
    await every_connection_works(postgres, monitor)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("again", [False, True], ids=["once", "at every step"])
@pytest.mark.parametrize(
    "name", ["create", "get", "page", "attempts", "authorize", "fail", "expire", "ready"]
)
async def test_every_other_request(postgres: Kit, monitor: Monitor, name: str, again: bool) -> None:
    store = postgres.store

    async def prepare() -> Request:
        payment = await (created if name == "authorize" else authorized)(postgres)
        requests: dict[str, Callable[[], Request]] = {
            "create": lambda: CreatePayment(store)(uuid4(), FULL),
            "get": lambda: GetPayment(store)(payment.payment_id),
            "page": lambda: GetPayment(store).page(None, 10),
            "attempts": lambda: GetPayment(store).attempts(payment.payment_id, 0, 10),
            "authorize": lambda: AuthorizePayment(store)(payment.payment_id, LONG),
            "fail": lambda: FailPayment(store)(payment.payment_id, FailureReason.VOIDED),
            "expire": lambda: ExpirePayments(store)(10),
            "ready": store.ready,
        }
        return requests[name]()

    looks = await cancelled_everywhere(postgres, monitor, again, prepare)
    changes = [(before, after) for before, after in looks if before != after]
    assert len(changes) <= len(looks)
    if name in {"get", "page", "attempts", "ready", "expire"}:
        assert changes == []


@pytest.mark.parametrize("again", [False, True], ids=["once", "at every step"])
async def test_a_batch_expires_whole_or_not_at_all(postgres: Kit, monitor: Monitor, again: bool) -> None:
    async def prepare() -> Request:
        await postgres.set_clock(NOON)
        for _ in range(3):
            await authorized(postgres, SHORT)
        await postgres.set_clock(NOON + SECOND)
        return ExpirePayments(postgres.store)(100)

    looks = await cancelled_everywhere(postgres, monitor, again, prepare)
    for before, after in looks:
        moved = sum(after.payments[each] != before.payments[each] for each in before.payments)
        due = sum(
            payment.window_has_ended(NOON + SECOND) and payment.failed_at is None
            for payment in before.payments.values()
        )
        assert moved in {0, due}


@pytest.mark.invariant("I9")
async def test_a_connection_is_not_lost_while_it_is_given_back(
    postgres: PostgresKit, monitor: Monitor
) -> None:
    payment = await created(postgres)
    pool = postgres.pool
    leave = asyncio.Event()

    async def request() -> None:
        async with postgres.store.lock(payment.payment_id):
            await leave.wait()

    for _ in range(2 * POOL):
        task = asyncio.create_task(request())
        await asyncio.sleep(A_MOMENT_S)
        # One waits, and another is busy with the pool, just when the request gives its connection back.
        async with pool._lock:  # noqa: SLF001 - there is no other way to keep psycopg's pool busy
            waiting = asyncio.create_task(pool.getconn())
            leave.set()
            await asyncio.sleep(A_MOMENT_S)
            task.cancel()
            await asyncio.sleep(A_MOMENT_S)
        await asyncio.wait_for(asyncio.wait([task]), LIMIT_S)
        assert task.cancelled()
        await pool.give_back(await asyncio.wait_for(waiting, LIMIT_S))
        leave.clear()
    await every_connection_works(postgres, monitor)


class PoolThatDoesNotLook(Pool):
    """A pool that does not ask in what state a connection comes back."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(open=False)
        self.free: list[Connection] = []
        self.opened = pool

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - the pool's
        return self.free.pop() if self.free else await self.opened.getconn(timeout)

    async def give_back(self, connection: Connection) -> None:
        self.free.append(connection)


async def test_a_pool_that_gives_a_connection_back_inside_its_transaction_is_found(
    postgres: Kit, clocked_database: Database, monitor: Monitor
) -> None:
    """The seeded bug: what a request was cancelled in is left to the next."""
    settings = Settings(database_url=clocked_database.app_dsn, pool_min=1, pool_max=POOL)
    payment = await authorized(postgres)
    async with make_pool(settings) as pool:
        careless = PoolThatDoesNotLook(pool)
        for used, found in ((pool, False), (careless, True)):
            request = CapturePayment(postgres_store(used), capture_answer)
            await request((await authorized(postgres)).payment_id, KEY, FULL)  # prepares the statements
            # Cancelled in the round trip that locks: the transaction has begun, and nobody will end it.
            await Cancellation(1, again=False).run(request(payment.payment_id, KEY, FULL))
            await asyncio.sleep(A_MOMENT_S)
            left = await (await monitor.execute(SESSIONS)).fetchall()
            assert [state.startswith("idle in transaction") for state, _ in left] == [True] * found, used
        for connection in careless.free:
            await connection.close()
    await every_session_is_idle(monitor)


async def test_a_connection_in_pipeline_mode_is_not_used_again(
    postgres: PostgresKit, monitor: Monitor
) -> None:
    pool = postgres.pool
    for _ in range(2 * POOL):
        connection = await pool.getconn()
        connection.pgconn.enter_pipeline_mode()
        await pool.give_back(connection)
    await every_connection_works(postgres, monitor)


async def test_a_cancelled_waiter_in_memory_lets_the_next_one_through(memory: Kit) -> None:
    payment = await authorized(memory)
    async with memory.store.lock(payment.payment_id):
        cancellation = Cancellation(1, again=False)
        task = await asyncio.wait_for(cancellation.run(capture(memory, payment)), LIMIT_S)
        assert task.cancelled()
    await asyncio.wait_for(capture(memory, payment), LIMIT_S)
    await memory.set_clock(NOON + LONG.duration)
    late = await authorized(memory, SHORT)
    await memory.set_clock(2 * NOON)
    async with memory.store.lock_due(10) as due:
        assert [each.payment_id for each in due.payments] == [late.payment_id]
