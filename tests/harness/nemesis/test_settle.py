"""What is left behind is seen: an open transaction, a lock, a request in flight, a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import psycopg
import pytest
from psycopg import sql

from payments_verify.binding.http import HttpAnswer
from payments_verify.nemesis import settle
from payments_verify.nemesis.deployment import POOL_MAX, Deployment
from payments_verify.systems import SERVICE_LOGIN
from tests.support.postgres import Database

Connection = psycopg.AsyncConnection[Any]


class Cluster:
    """Stands for a deployment and its cluster: only the way to the database is asked for."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.cluster = self

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            yield connection


@asynccontextmanager
async def service_session(dsn: str) -> AsyncIterator[Connection]:
    """A session that belongs to the service's login."""
    async with await psycopg.AsyncConnection.connect(dsn, user=SERVICE_LOGIN, autocommit=True) as connection:
        yield connection


class Service:
    """A service of which it is known how many connections it can use, and what it says to be at work on."""

    def __init__(self, dsn: str, usable: int, in_flight: float = 1) -> None:
        self.dsn = dsn
        self.free = asyncio.Semaphore(usable)
        self.in_flight = in_flight

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            return httpx.Response(200, text=f"payments_http_requests_in_flight {self.in_flight}\n")
        payment = request.url.path.split("/")[2]
        async with self.free, service_session(self.dsn) as connection:
            await connection.execute("SELECT FROM payments WHERE payment_id = %s", [payment])
            return httpx.Response(404)


@pytest.fixture
def dsn(database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settle, "SETTLE_LIMIT_S", 0.5)
    monkeypatch.setattr(settle, "SERVE_LIMIT_S", 3.0)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE_LOGIN]).fetchone()
        password = psycopg.conninfo.conninfo_to_dict(database.dsn)["password"]
        login = sql.Identifier(SERVICE_LOGIN)
        if known is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(login))
        connection.execute(
            sql.SQL("ALTER ROLE {} SUPERUSER PASSWORD {}").format(login, sql.Literal(password))
        )
    return database.dsn


def left(dsn: str, service: Service, *statements: str) -> list[str]:
    """What is found while a session of the service has come to the end of these statements."""

    async def run() -> list[str]:
        async with (
            service_session(dsn) as session,
            httpx.AsyncClient(transport=httpx.MockTransport(service.answer), base_url="http://s") as http,
        ):
            for statement in statements:
                await session.execute(statement.encode())
            return await settle.left_behind(cast("Deployment", Cluster(dsn)), [http])

    return asyncio.run(run())


def test_nothing_is_left(dsn: str) -> None:
    assert left(dsn, Service(dsn, POOL_MAX), "SELECT 1") == []


def test_an_open_transaction(dsn: str) -> None:
    transaction, lock = left(dsn, Service(dsn, POOL_MAX), "BEGIN", "SELECT 1")
    assert "1 sessions are in a transaction" in transaction
    assert "locks are held" in lock  # that of the transaction itself


def test_a_lock(dsn: str) -> None:
    (found,) = left(dsn, Service(dsn, POOL_MAX), "SELECT pg_advisory_lock(1)")
    assert "1 locks are held" in found


def test_a_request_in_flight(dsn: str) -> None:
    (found,) = left(dsn, Service(dsn, POOL_MAX, in_flight=2))
    assert "2 requests in flight" in found


def test_a_connection_that_is_lost(dsn: str) -> None:
    (found,) = left(dsn, Service(dsn, POOL_MAX - 1))
    assert f"of {POOL_MAX} connections" in found
    assert f"only {POOL_MAX - 1} can be used" in found


def serves(*answers: httpx.Response | None) -> float | None:
    """How long processes are waited for, of which each gives one answer again and again, or none."""

    def transport(answer: httpx.Response | None) -> httpx.MockTransport:
        def handle(_request: httpx.Request) -> httpx.Response:
            if answer is None:
                raise httpx.ConnectError("refused")
            return answer

        return httpx.MockTransport(handle)

    async def run() -> float | None:
        clients = [httpx.AsyncClient(transport=transport(each), base_url="http://s") for each in answers]
        return await settle.serve_again(clients)

    return asyncio.run(run())


def test_it_serves_only_if_every_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "SERVE_LIMIT_S", 0.2)
    made, unavailable = httpx.Response(201), httpx.Response(503)
    assert serves(made, made) is not None
    assert serves(made, unavailable) is None
    assert serves(None, made) is None


def test_a_kept_connection_that_the_server_ends_is_no_lost_one() -> None:
    asked: list[str] = []

    class Idle:
        async def request(self, _method: str, path: str, /, **_asked: object) -> HttpAnswer:
            asked.append(path)
            if len(asked) == 1:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            return HttpAnswer(404, {}, b"{}")

    asyncio.run(settle.wait_in_line(Idle()))
    assert len(asked) == 2
