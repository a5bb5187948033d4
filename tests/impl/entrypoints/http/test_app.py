"""Routing, health, and errors that no route handles: always a problem document with a stable type."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout
from structlog.testing import capture_logs

from payments_core.entrypoints.http.app import create_app
from payments_core.infrastructure.postgres.pool import PoolExhausted
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.api import Api, problem
from tests.support.stores import NOON

pytestmark = pytest.mark.anyio

ONE = "/payments/00000000-0000-4000-8000-000000000001"
METHODS = {
    "/payments": {"GET", "HEAD", "OPTIONS", "POST"},
    ONE: {"GET", "HEAD", "OPTIONS", "PUT"},
    f"{ONE}/authorize": {"OPTIONS", "POST"},
    f"{ONE}/captures": {"GET", "HEAD", "OPTIONS", "POST"},
    f"{ONE}/fail": {"OPTIONS", "POST"},
    "/healthz": {"GET", "HEAD", "OPTIONS"},
    "/readyz": {"GET", "HEAD", "OPTIONS"},
    "/": {"GET", "HEAD", "OPTIONS"},
    "/docs": {"GET", "HEAD", "OPTIONS"},
    "/openapi.json": {"GET", "HEAD", "OPTIONS"},
    "/problems/not_authorized": {"GET", "HEAD", "OPTIONS"},
    "/static/style.css": {"GET", "HEAD", "OPTIONS"},
}
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@pytest.mark.parametrize("path", METHODS)
async def test_other_methods_are_not_allowed(api: Api, path: str) -> None:
    before = await api.kit.contents()
    for method in EVERY_METHOD:
        answer = await api.http.request(method, path)
        if method == "OPTIONS":
            assert (answer.status_code, answer.content) == (204, b"")
            assert set(answer.headers["allow"].split(", ")) == METHODS[path]
        elif method in METHODS[path]:
            assert answer.status_code != 405
        else:
            assert answer.status_code == 405
            if method != "HEAD":
                problem(answer, 405, "http_405")
            assert set(answer.headers["allow"].split(", ")) == METHODS[path]
    assert await api.kit.contents() == before


@pytest.mark.parametrize(
    "path",
    [
        *("/payment", "/payments/", f"{ONE}/", f"{ONE}/captures/", f"{ONE}/capture"),
        *(f"{ONE}/captures/1", f"/v1{ONE}", "/PAYMENTS", "/healthz/", "/problems/", "/%00"),
        *("/docs/", "/static/", "/static/../pages.py", "/static/css/style.css"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_no_such_route(api: Api, method: str, path: str) -> None:
    answer = await api.http.request(method, path, content=b'{"amount_cents": 5}')
    problem(answer, 404, "http_404")
    assert (await api.kit.contents()).payments == {}


@pytest.mark.parametrize("path", ["/payments%0A", "/%70ayments", "/healthz%0A", f"{ONE}/captures%0A"])
async def test_a_path_is_not_decoded(api: Api, path: str) -> None:
    problem(await api.http.options(path), 404, "http_404")


async def test_a_line_feed_ends_no_path_where_the_server_has_decoded_it() -> None:
    app = create_app(InMemoryPaymentStore(lambda: NOON))

    async def decoded(scope: Any, receive: Any, send: Any) -> None:
        del scope["raw_path"]
        await app(scope, receive, send)

    transport = httpx.ASGITransport(decoded)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        problem(await http.get("/payments%0A"), 404, "http_404")
        assert (await http.get("/payments")).status_code == 200


async def test_head_answers_as_get_does(api: Api) -> None:
    path = await api.authorized()
    pages = ("/", "/docs", "/openapi.json", "/static/style.css", "/problems/not_authorized")
    for each in ("/payments", path, f"{path}/captures", "/healthz", "/readyz", *pages):
        get, head = await api.http.get(each), await api.http.head(each)
        assert (head.status_code, dict(head.headers)) == (get.status_code, dict(get.headers))


async def test_health(api: Api) -> None:
    alive, ready = await api.http.get("/healthz"), await api.http.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


# ---- a store that fails -------------------------------------------------------------------------


class FailingStore(InMemoryPaymentStore):
    """A store whose every method fails in the same way."""

    def __init__(self, error: Exception) -> None:
        super().__init__(lambda: NOON)
        self.error = error

    async def create(self, *_arguments: Any) -> Any:
        raise self.error

    async def get(self, *_arguments: Any) -> Any:
        raise self.error

    async def page(self, *_arguments: Any) -> Any:
        raise self.error

    async def attempts(self, *_arguments: Any) -> Any:
        raise self.error

    def lock(self, *_arguments: Any) -> Any:
        raise self.error

    async def ready(self) -> bool:
        raise self.error


Requests = list[Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]]
REQUESTS: Requests = [
    lambda http: http.post("/payments", json={"amount_cents": 5}),
    lambda http: http.put(ONE, json={"amount_cents": 5}),
    lambda http: http.get(ONE),
    lambda http: http.get("/payments"),
    lambda http: http.get(f"{ONE}/captures"),
    lambda http: http.post(f"{ONE}/authorize", json={"capture_window_seconds": 5}),
    lambda http: http.post(f"{ONE}/fail", json={"reason": "voided"}),
    lambda http: http.post(f"{ONE}/captures", json={"amount_cents": 5}, headers={"Idempotency-Key": "key"}),
    lambda http: http.get("/readyz"),
]


async def answers(error: Exception) -> list[httpx.Response]:
    transport = httpx.ASGITransport(create_app(FailingStore(error)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as http:
        assert (await http.get("/healthz")).status_code == 200
        return [await request(http) for request in REQUESTS]


REACHED = {psycopg.errors.QueryCanceled, PoolExhausted}


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection refused at 10.0.0.7"),
        psycopg.errors.AdminShutdown("terminating"),
        psycopg.errors.IdleInTransactionSessionTimeout("idle"),
        psycopg.errors.TransactionTimeout("long"),
        psycopg.errors.ReadOnlySqlTransaction("a standby"),
        psycopg.errors.QueryCanceled("statement timeout"),
        PoolTimeout("no connection"),
        PoolExhausted("all are in use"),
        PoolClosed("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_cannot_be_reached(error: Exception) -> None:
    with capture_logs() as logs:
        refused = await answers(error)
    assert [(log["log_level"], log["error"]) for log in logs] == [("warning", type(error).__name__)] * 9
    for answer in refused:
        document = problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert str(error) not in document["detail"]
        assert ("cannot be reached" in document["detail"]) == (type(error) not in REACHED)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.LockNotAvailable("lock timeout"),
        psycopg.errors.DeadlockDetected("deadlock"),
        psycopg.errors.SerializationFailure("could not serialize"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_payment_that_others_hold(error: Exception) -> None:
    with capture_logs() as logs:
        refused = await answers(error)
    assert [(log["event"], log["error"]) for log in logs] == [("payment busy", type(error).__name__)] * 9
    for answer in refused:
        problem(answer, 503, "payment_busy")
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("error", [RuntimeError("secret"), psycopg.errors.CheckViolation("secret")])
async def test_a_failure_of_our_own_tells_nothing_of_the_inside(error: Exception) -> None:
    with capture_logs() as logs:
        failed = await answers(error)
    assert [(log["log_level"], log["exc_info"]) for log in logs] == [("error", error)] * 9
    for answer in failed:
        problem(answer, 500, "internal_error")
        assert b"secret" not in answer.content


async def test_a_database_that_lacks_migrations() -> None:
    class Unmigrated(InMemoryPaymentStore):
        async def ready(self) -> bool:
            return False

    transport = httpx.ASGITransport(create_app(Unmigrated(lambda: NOON)))
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as http:
        document = problem(await http.get("/readyz"), 503, "unavailable")
    assert "payments-core migrate" in document["detail"]


# ---- lifespan -----------------------------------------------------------------------------------


async def test_the_lifespan_is_entered_and_left() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        seen.append("entered")
        yield
        seen.append("left")

    app = create_app(InMemoryPaymentStore(lambda: NOON), lifespan)
    async with app.router.lifespan_context(app):
        assert seen == ["entered"]
    assert seen == ["entered", "left"]
    async with app.router.lifespan_context(create_app(InMemoryPaymentStore(lambda: NOON))):
        pass


async def test_problem_documents_have_their_members_once(api: Api) -> None:
    answer = await api.http.get("/nowhere")
    pairs = json.loads(answer.content, object_pairs_hook=list)
    assert [name for name, _ in pairs] == ["type", "title", "status", "detail"]


def test_no_error_is_answered_in_a_thread() -> None:
    handlers = create_app(InMemoryPaymentStore(lambda: NOON)).exception_handlers
    assert handlers
    assert [handler for handler in handlers.values() if not inspect.iscoroutinefunction(handler)] == []
