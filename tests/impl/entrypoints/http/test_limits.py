"""Limits on requests: at once, in time, in size; and what a request that meets one leaves behind."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from payments_core.entrypoints.http.limits import MAX_FIELDS, MAX_HEAD_BYTES, Deadline
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.api import problem
from tests.support.guarded import authorized, capture, guarded_over
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import Server, invoke, serving
from tests.support.stores import NOON, Kit

LIMIT_S = 30.0


# ---- how many at once ---------------------------------------------------------------------------


@pytest.mark.anyio
async def test_those_beyond_the_bound_are_refused_at_once(memory: Kit) -> None:
    async with guarded_over(memory.store, Settings(max_requests=3)) as service:
        path = await authorized(service)
        async with memory.store.lock(UUID(path.removeprefix("/payments/"))):
            waiting = [asyncio.create_task(capture(service, path, f"{n}")) for n in range(3)]
            await asyncio.sleep(0.05)
            assert service.metric("payments_http_requests_in_flight") == 3
            began = time.monotonic()
            for _ in range(20):
                answer = await capture(service, path, "late")
                problem(answer, 503, "overloaded")
                assert answer.headers["retry-after"] == "1"
            assert time.monotonic() - began < LIMIT_S
            for open_path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/problems/overloaded"):
                assert (await service.http.get(open_path)).status_code == 200
        statuses = sorted([each.status_code for each in await asyncio.gather(*waiting)])
        assert statuses == [201, 409, 409]
        assert (await capture(service, path, "late")).status_code == 409
        assert service.metric('payments_http_requests_rejected_total{reason="overloaded"}') == 20
        assert service.metric("payments_http_requests_in_flight") == 0
    assert len((await memory.contents()).attempts) == 4


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_or_fails_makes_room(memory: Kit) -> None:
    class Failing(InMemoryPaymentStore):
        async def get(self, _payment_id: UUID) -> None:
            raise RuntimeError("broken")

    async with guarded_over(Failing(lambda: NOON), Settings(max_requests=1)) as service:
        for _ in range(3):
            problem(await service.http.get(f"/payments/{uuid4()}"), 500, "internal_error")
    async with guarded_over(memory.store, Settings(max_requests=1)) as service:
        path = await authorized(service)
        async with memory.store.lock(UUID(path.removeprefix("/payments/"))):
            waiting = asyncio.create_task(capture(service, path, "key"))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert (await capture(service, path, "key")).status_code == 201


# ---- how long -----------------------------------------------------------------------------------


@pytest.mark.invariant("I9")
@pytest.mark.anyio
async def test_a_request_beyond_its_deadline_stores_nothing_and_holds_nothing(
    clocked_database: Database, postgres: Kit
) -> None:
    settings = Settings(
        database_url=clocked_database.app_dsn, pool_max=2, request_timeout_s=0.5, lock_timeout_ms=450
    )
    quick = Settings(request_timeout_s=0.2, lock_timeout_ms=100)
    async with (
        make_pool(settings) as pool,
        guarded_over(postgres.store) as other,
        guarded_over(postgres_store(pool), quick) as service,
    ):
        path = await authorized(other)
        before = await postgres.contents()
        async with postgres.store.lock(UUID(path.removeprefix("/payments/"))):
            for number in range(6):
                late = await capture(service, path, f"{number}")
                problem(late, 503, "deadline_exceeded")
                assert late.headers["retry-after"] == "1"
        assert await postgres.contents() == before
        async with asyncio.timeout(LIMIT_S):
            while idle_in_transaction(clocked_database):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        assert (await capture(other, path, "0")).status_code == 201
        assert service.metric('payments_http_requests_rejected_total{reason="deadline"}') == 6


def idle_in_transaction(database: Database) -> int:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'payments-core' AND state <> 'idle'"
        ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


async def receive() -> dict[str, object]:
    return {"type": "http.request"}


@pytest.mark.anyio
async def test_an_answer_that_has_begun_is_finished() -> None:
    sent: list[str] = []

    async def slow(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"whole"})  # type: ignore[operator]

    async def send(message: object) -> None:
        sent.append(message["type"])  # type: ignore[index]

    rejected: list[str] = []
    await Deadline(slow, 0.05, rejected.append)({"type": "http"}, receive, send)
    assert (sent, rejected) == (["http.response.start", "http.response.body"], [])


@pytest.mark.anyio
async def test_a_timeout_of_the_inside_is_no_deadline() -> None:
    async def failing(*_: object) -> None:
        raise TimeoutError("of something else")

    async def send(_message: object) -> None:
        raise AssertionError

    with pytest.raises(TimeoutError, match="something else"):
        await Deadline(failing, 5, lambda _: None)({"type": "http"}, receive, send)


class Requests:
    """Requests that take as long as each is told, behind one deadline."""

    def __init__(self, seconds: float) -> None:
        self.deadline = Deadline(self._serve, seconds, lambda _: None)
        self.ended: dict[str, tuple[int, float]] = {}

    async def _serve(self, scope: Any, _receive: object, send: Any) -> None:
        await asyncio.sleep(scope["takes"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(self, name: str, takes: float) -> None:
        """One request; its status, and how long it took in seconds."""
        began = time.monotonic()

        async def answered(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.ended[name] = message["status"], time.monotonic() - began

        await self.deadline({"type": "http", "takes": takes}, receive, answered)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": used}) for used in (False, True)])
async def test_requests_that_overlap_are_each_due_in_their_time() -> None:
    requests = Requests(0.3)
    running = []
    for number in range(6):
        takes = 0.01 if number % 2 else 10.0
        running.append(asyncio.create_task(requests.send(f"{number}", takes)))
        await asyncio.sleep(0.05)
    await asyncio.wait_for(asyncio.gather(*running), LIMIT_S)
    assert [requests.ended[f"{number}"][0] for number in range(6)] == [503, 200] * 3
    assert all(seconds >= 0.29 for status, seconds in requests.ended.values() if status == 503)


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_is_not_answered_when_its_time_is_up() -> None:
    requests = Requests(0.05)
    running = [asyncio.create_task(requests.send(f"{number}", 10)) for number in range(3)]
    await asyncio.sleep(0)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    await asyncio.sleep(0.1)
    assert all(task.cancelled() for task in running)
    assert requests.ended == {}


def test_a_deadline_serves_one_loop_after_another() -> None:
    requests = Requests(0.05)
    for number in range(2):
        asyncio.run(requests.send(f"{number}", 10))
    assert [status for status, _ in requests.ended.values()] == [503, 503]


@pytest.mark.anyio
async def test_an_answer_that_begins_as_the_deadline_comes_is_finished() -> None:
    sent: list[str] = []

    async def served(_scope: object, _receive: object, send: Any) -> None:
        time.sleep(0.06)  # noqa: ASYNC251 - at the loop's next turn the request is over
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"whole"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await Deadline(served, 0.05, lambda _: None)({"type": "http"}, receive, send)
    assert sent == ["http.response.start", "http.response.body"]


def test_a_lock_timeout_beyond_the_deadline_is_refused() -> None:
    ended = invoke(["serve"], {"PAYMENTS_LOCK_TIMEOUT_MS": "2000", "PAYMENTS_REQUEST_TIMEOUT_S": "2"})
    assert ended.exit_code == 2
    assert "PAYMENTS_LOCK_TIMEOUT_MS (2000) must be less than PAYMENTS_REQUEST_TIMEOUT_S (2)" in ended.stderr


# ---- how large ----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_head_has_a_limit(memory: Kit) -> None:
    async with guarded_over(memory.store) as service:
        path = await authorized(service)
        room = MAX_HEAD_BYTES - 1024
        assert (await service.http.get(path, headers={"X-Large": "x" * room})).status_code == 200
        for large in (
            service.http.get(path, headers={"X-Large": "x" * MAX_HEAD_BYTES}),
            service.http.get(path, headers=[(f"X-{n}", "x") for n in range(MAX_FIELDS + 1)]),
            service.http.get("/payments", params={"after": "x" * MAX_HEAD_BYTES}),
        ):
            problem(await large, 431, "head_too_large")
        assert service.metric('payments_http_requests_rejected_total{reason="head_too_large"}') == 3


@pytest.fixture(scope="module")
def server(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), DATABASE_URL=shared_database.dsn) as running:
        yield running


@pytest.mark.parametrize(
    "endless",
    [b"GET /payments HTTP/1.1\r\nX-Large: ", b"GET /payments?after=", b"GET /healthz HTTP/1.1\r\n"],
    ids=["field", "target", "fields"],
)
def test_a_head_without_an_end_is_cut_off(server: Server, endless: bytes) -> None:
    chunk = b"X-Some: some\r\n" * 64 if endless.endswith(b"\r\n") else b"x" * 1024
    received, sent = b"", 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
        try:
            connection.sendall(endless)
            while sent < 1000:
                sent += 1
                connection.sendall(chunk)
                time.sleep(0.001)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while more := connection.recv(65_536):
                received += more
        except ConnectionResetError:
            pass
    assert sent < 1000, "it took in as much as it was sent"
    if received:
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert b"\r\nx-content-type-options: nosniff\r\n" in head
        assert json.loads(body)["type"] == "/problems/head_too_large"


def test_several_requests_on_one_connection_have_a_limit_each(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=LIMIT_S, **DIRECT) as http:
        for _ in range(5):
            assert http.get("/payments", headers={"X-Large": "x" * 10_000}).status_code == 200
            answer = http.post("/payments", json={"amount_cents": 5}, headers={"X-Large": "x" * 10_000})
            assert answer.status_code == 201
        as_json = {"Content-Type": "application/json"}
        assert http.post("/payments", content=b" " * 100_000, headers=as_json).status_code == 413


def test_a_client_that_never_finishes_its_head_is_dropped(server: Server) -> None:
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) for _ in range(2)]
    connections[1].sendall(b"GET /healthz HTTP/1.1\r\n")
    for connection, answer in zip(connections, (b"", b"HTTP/1.1 408 "), strict=True):
        with connection:
            assert connection.recv(13) == answer
