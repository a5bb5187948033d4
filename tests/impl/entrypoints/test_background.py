"""What runs beside requests goes on after any fault, and `/readyz` and a metric say so where it does not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import CoroutineType
from typing import Any, cast
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.application.use_cases import AuthorizePayment, CreatePayment
from payments_core.domain.values import Amount, CaptureWindow
from payments_core.entrypoints import sweeper as sweeper_module
from payments_core.entrypoints.background import Background
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.sweeper import Sweeper
from payments_core.entrypoints.wiring import make_pool, postgres_app, postgres_store
from payments_verify.nemesis.network import Network
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.whole.unreadiness import end
from tests.support.api import problem, running
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

LIMIT_S = 60
NAMES = {"pool", "readiness_pool", "sweeper"}


@asynccontextmanager
async def served(dsn: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = postgres_app(Settings(database_url=dsn, pool_min=1, pool_max=2, **settings))
    async with (
        asyncio.timeout(LIMIT_S),
        running(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        yield http


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.02)


async def running_now(http: httpx.AsyncClient) -> dict[str, bool]:
    lines = (await http.get("/metrics")).text.splitlines()
    found = [line.split('"') for line in lines if line.startswith("payments_background_task_running{")]
    return {name: value.strip("} ") == "1.0" for _, name, value in found}


def tasks_beside(tasks: set[asyncio.Task[Any]]) -> dict[str, list[asyncio.Task[Any]]]:
    """The tasks that have begun since, by what `/metrics` calls them."""
    found: dict[str, list[asyncio.Task[Any]]] = {name: [] for name in NAMES}
    pools = sorted(
        {task.get_name().rpartition("-worker")[0] for task in asyncio.all_tasks() - tasks} - {""},
        key=lambda name: int(name.rpartition("-")[2]),
    )
    for task in asyncio.all_tasks() - tasks:
        name = task.get_name()
        if name == "sweeper":
            found["sweeper"].append(task)
        elif name.startswith(tuple(pools)):
            of_requests = name.startswith(f"{pools[0]}-")
            found["pool" if of_requests else "readiness_pool"].append(task)
    return found


@pytest.mark.parametrize("name", sorted(NAMES))
async def test_a_task_that_has_ended_is_told_of(database: Database, name: str) -> None:
    before = asyncio.all_tasks()
    async with served(database.app_dsn, sweep_interval_s=60) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert await running_now(http) == dict.fromkeys(NAMES, True)
        for task in tasks_beside(before)[name]:
            await end(task)
            break  # one is enough
        document = problem(await http.get("/readyz"), 503, "unavailable")
        assert f"({name})" in document["detail"]
        assert await running_now(http) == {**dict.fromkeys(NAMES, True), name: False}


async def test_every_task_of_the_process_is_watched(database: Database) -> None:
    before = asyncio.all_tasks()
    async with served(database.app_dsn, sweep_interval_s=60) as http:
        await http.get("/readyz")
        await asyncio.sleep(0.1)  # what a request has begun has ended
        known = [task for tasks in tasks_beside(before).values() for task in tasks]
        own = {
            task
            for task in asyncio.all_tasks() - before
            if "/payments_core/"
            in str(inspect.getsourcefile(cast("CoroutineType[Any, Any, Any]", task.get_coro()).cr_code))
        }
        others = {task.get_name() for task in own.difference(known)}
        assert own, "the sweeper is one of them"
        assert not others, "a task that is not watched may end unseen: watch it in wiring.py"


async def test_without_a_sweeper_none_is_missed(database: Database) -> None:
    async with served(database.app_dsn) as http:
        assert await running_now(http) == {"pool": True, "readiness_pool": True}
        assert (await http.get("/readyz")).status_code == 200


def sweeping(
    store: InMemoryPaymentStore,
    *,
    batch: int = 10,
    limit_s: float = 1,
    expired: Callable[[int], None] = lambda _: None,
    swept: Callable[[], None] = lambda: None,
) -> Sweeper:
    return Sweeper(store, 0.01, batch, limit_s, expired, swept)


async def test_a_sweeper_that_stands_still_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper_module, "_GIVING_UP_S", 0.05)
    told: list[tuple[str, bool]] = []
    background = Background(lambda name, runs: told.append((name, runs)))
    free = asyncio.Event()

    class Standing(InMemoryPaymentStore):
        @asynccontextmanager
        async def lock_due(self, limit: int) -> AsyncIterator[Any]:
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    continue  # whoever gives it up is not heard
            async with super().lock_due(limit) as due:
                yield due

    async with asyncio.timeout(LIMIT_S):
        sweeper = sweeping(Standing(lambda: 0), limit_s=0.05)
        async with sweeper.running() as task:
            background.watch("sweeper", [task], sweeper.is_late)
            assert background.stopped() == []
            await until(lambda: background.stopped() == ["sweeper"])
            free.set()
            await until(lambda: not background.stopped())
            background.forget()
    assert told == [("sweeper", True), ("sweeper", False), ("sweeper", True)]


async def raises_once(where: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many sweeps come to their end after something at ``where`` has raised."""
    ended, raised = 0, False
    enough = asyncio.Event()

    def raise_once(*_: object, **__: object) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise OSError(28, "No space left on device")

    def swept() -> None:
        nonlocal ended
        if where == "metrics":
            raise_once()
        ended += 1
        if ended == 3:
            enough.set()

    class Failing(InMemoryPaymentStore):
        @asynccontextmanager
        async def lock_due(self, limit: int) -> AsyncIterator[Any]:
            if where == "store":
                raise_once()
            async with super().lock_due(limit) as due:
                yield due

    if where == "log":
        monkeypatch.setattr(sweeper_module._log, "info", raise_once, raising=False)  # noqa: SLF001 - its log fails
    async with asyncio.timeout(LIMIT_S), sweeping(Failing(lambda: 0), swept=swept).running():
        await enough.wait()
    assert raised
    return ended


@pytest.mark.parametrize("where", ["store", "metrics", "log"])
async def test_the_sweeper_goes_on_after_whatever_was_raised(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await raises_once(where, monkeypatch) >= 3


async def test_a_batch_that_is_too_large_for_its_limit_becomes_smaller() -> None:
    asked: list[int] = []
    enough = asyncio.Event()

    class Slow(InMemoryPaymentStore):
        @asynccontextmanager
        async def lock_due(self, limit: int) -> AsyncIterator[Any]:
            asked.append(limit)
            if limit > 2:
                await asyncio.sleep(LIMIT_S)
            async with super().lock_due(limit) as due:
                yield due

    async with asyncio.timeout(LIMIT_S):
        async with sweeping(Slow(lambda: 0), batch=9, limit_s=0.05, swept=enough.set).running():
            await enough.wait()
    assert asked[:3] == [9, 4, 2]


async def test_what_a_sweep_expired_before_it_failed_is_counted() -> None:
    counted: list[int] = []
    batches = 0
    enough = asyncio.Event()

    class Failing(InMemoryPaymentStore):
        @asynccontextmanager
        async def lock_due(self, limit: int) -> AsyncIterator[Any]:
            nonlocal batches
            batches += 1
            if batches == 2:
                raise OSError
            async with super().lock_due(limit) as due:
                yield due

    now = 0
    store = Failing(lambda: now)
    for payment in (uuid4() for _ in range(3)):
        await CreatePayment(store)(payment, Amount(5))
        await AuthorizePayment(store)(payment, CaptureWindow(1))
    now = 1
    async with (
        asyncio.timeout(LIMIT_S),
        sweeping(store, batch=2, expired=counted.append, swept=enough.set).running(),
    ):
        await enough.wait()
    assert sum(counted) == 3


async def test_a_sweeper_whose_cancellation_is_lost_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper_module, "_GIVING_UP_S", 0.05)
    found = asyncio.Event()

    class Losing(InMemoryPaymentStore):
        @asynccontextmanager
        async def lock_due(self, limit: int) -> AsyncIterator[Any]:
            if not found.is_set():
                found.set()
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(LIMIT_S)
            async with super().lock_due(limit) as due:
                yield due

    async with asyncio.timeout(LIMIT_S / 2):
        async with sweeping(Losing(lambda: 0), limit_s=LIMIT_S).running() as task:
            await found.wait()
    assert task.cancelled()


# ---- recovery within the time of specs/operations.md ----------------------------------------------


async def due_payment(dsn: str) -> Callable[[], bool]:
    """Make a payment that is due; whether it has expired."""
    payment = uuid4()
    settings = Settings(database_url=dsn, pool_min=1, pool_max=1)
    async with make_pool(settings) as pool:
        store = postgres_store(pool, settings)
        await CreatePayment(store)(payment, Amount(5))
        await AuthorizePayment(store)(payment, CaptureWindow(1))  # 1 µs

    def has_expired() -> bool:
        with psycopg.connect(dsn) as connection:
            row = connection.execute(
                "SELECT failure_reason FROM payments WHERE payment_id = %s", [payment]
            ).fetchone()
        return row == ("expired",)

    return has_expired


def shut(network: Network) -> None:
    network.open = False
    network.cut_all()


async def end_sessions(owner: psycopg.Connection[Any]) -> None:
    owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("fault", ["shut", "silent", "sessions ended", "no right to write"])
async def test_what_is_due_expires_soon_after_a_fault(database: Database, fault: str) -> None:
    interval_s, request_s = 0.2, 1.0
    port = int(conninfo_to_dict(database.dsn)["port"] or 0)
    async with Network.between(("127.0.0.1", port)) as network:
        dsn = make_conninfo(database.app_dsn, port=network.port, sslmode="disable")
        settings = {"sweep_interval_s": interval_s, "request_timeout_s": request_s, "lock_timeout_ms": 500}
        with psycopg.connect(database.dsn, autocommit=True) as owner:
            async with served(dsn, **settings) as http:
                match fault:
                    case "shut":
                        shut(network)
                    case "silent":
                        network.deaden()
                    case "sessions ended":
                        await end_sessions(owner)
                    case _:
                        owner.execute("REVOKE UPDATE ON payments FROM payments_app")
                        owner.execute("REVOKE UPDATE (state) ON payments FROM payments_app")
                has_expired = await due_payment(database.dsn) if fault != "no right to write" else None
                await asyncio.sleep(3 * interval_s)
                if has_expired is None:
                    owner.execute("GRANT UPDATE ON payments TO payments_app")
                    has_expired = await due_payment(database.dsn)
                network.open = True
                loop = asyncio.get_running_loop()
                repaired = loop.time()
                await until(has_expired)
                assert loop.time() - repaired < 1.2 * interval_s + request_s + 12
                assert (await running_now(http))["sweeper"]
