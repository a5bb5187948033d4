"""The HTTP contract over PostgreSQL: the whole way from the request to the row."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import postgres_app
from tests.support.api import Api, problem, running
from tests.support.postgres import Database
from tests.support.stores import NOON, stored

pytestmark = pytest.mark.anyio


async def test_a_payments_life(postgres_api: Api) -> None:
    api = postgres_api
    path = await api.authorized()
    early = await api.capture(path, "other amount", 501)
    problem(early, 422, "amount_mismatch")
    await api.kit.set_clock(NOON + 7)
    first = await api.capture(path)
    assert first.status_code == 201
    assert first.json()["captured_at"] == "2026-01-01T00:00:00.000008Z"
    problem(await api.capture(path, "second"), 409, "already_captured")
    await api.kit.set_clock(2 * NOON)
    for key, cents, answer in (("other amount", 501, early), ("key", 500, first)):
        again = await api.capture(path, key, cents)
        assert (again.status_code, again.content) == (answer.status_code, answer.content)
        assert again.headers["idempotent-replayed"] == "true"
    document = (await api.http.get(path)).json()
    assert (document["state"], document["captured_at"]) == ("captured", first.json()["captured_at"])
    attempts = (await api.http.get(f"{path}/captures")).json()["captures"]
    assert [each["idempotency_key"] for each in attempts] == ["other amount", "key", "second"]


async def test_creating_twice_listing_and_failing(postgres_api: Api) -> None:
    api = postgres_api
    path = await api.created()
    assert (await api.http.put(path, json={"amount_cents": 500})).status_code == 200
    problem(await api.http.put(path, json={"amount_cents": 501}), 409, "payment_id_conflict")
    problem(await api.fail(path), 409, "not_authorized")
    other = await api.authorized()
    assert (await api.fail(other)).json()["failure_reason"] == "voided"
    page = (await api.http.get("/payments?limit=1")).json()
    rest = (await api.http.get(f"/payments?after={page['next']}")).json()
    shown = {f"/payments/{each['id']}" for each in page["payments"] + rest["payments"]}
    assert shown == {path, other}
    assert rest["next"] is None


async def test_many_captures_at_once(postgres_api: Api) -> None:
    path = await postgres_api.authorized()
    answers = await asyncio.gather(*(postgres_api.capture(path, f"{n % 10}") for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 18
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 10


async def test_the_window_is_the_databases(postgres_api: Api) -> None:
    path = await postgres_api.authorized(1)
    await postgres_api.kit.set_clock(NOON + 1_000_000)
    problem(await postgres_api.capture(path), 409, "capture_window_expired")


async def test_the_application_as_it_is_wired(clocked_database: Database) -> None:
    app = postgres_app(Settings(database_url=clocked_database.app_dsn, pool_min=1, pool_max=2))
    transport = httpx.ASGITransport(app)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        assert (await http.get("/readyz")).status_code == 200
        made = await http.post("/payments", json={"amount_cents": 5})
        ids = {str(each) for each in stored(clocked_database.dsn).payments}
        assert made.json()["id"] in ids
    with capture_logs() as logs:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            problem(await http.get("/readyz"), 503, "unavailable")
    assert [log["error"] for log in logs if log["event"] != "request"] == ["PoolClosed"]


async def test_an_empty_database_is_not_ready(empty_database: Database) -> None:
    app = postgres_app(Settings(database_url=empty_database.dsn, pool_min=1))
    transport = httpx.ASGITransport(app)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        document = problem(await http.get("/readyz"), 503, "unavailable")
    assert "payments-core migrate" in document["detail"]
