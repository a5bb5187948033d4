"""Reads: the link to the next page, and what nobody may keep."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.wiring import exposition
from tests.support.api import Api, problem
from tests.support.stores import NOON

pytestmark = pytest.mark.anyio


async def test_what_a_client_may_not_keep_has_no_tag_to_ask_again_by(api: Api) -> None:
    path = await api.authorized()
    for each in (path, f"{path}/captures", "/payments", "/problems/not_authorized"):
        answer = await api.http.get(each, headers={"If-None-Match": "*"})
        assert (answer.status_code, "etag" in answer.headers) == (200, False)


@pytest.mark.invariant("I8")
async def test_nobody_on_the_way_keeps_a_look(api: Api) -> None:
    path = await api.created()
    for each in (path, f"{path}/captures", "/payments"):
        assert (await api.http.get(each)).headers["cache-control"] == "no-store"


@pytest.mark.invariant("I8")
async def test_nobody_on_the_way_keeps_a_refusal_or_whether_it_is_ready(api: Api) -> None:
    path, unknown = await api.created(), f"/payments/{uuid4()}"
    for each in (unknown, f"{unknown}/captures", "/nowhere", "/payments?limit=no", "/readyz", "/healthz"):
        assert (await api.http.get(each)).headers.get("cache-control") == "no-store"
    for moved in (f"{path}/authorize", f"{path}/captures", f"{path}/fail"):
        refused = await api.http.post(moved, json=[])
        assert (refused.status_code, refused.headers.get("cache-control")) in {
            (400, "no-store"),  # without a key
            (422, "no-store"),
        }


@pytest.mark.invariant("I3")
async def test_a_stored_answer_is_as_it_was(api: Api) -> None:
    path = await api.created()
    for _ in range(2):
        refused = await api.http.post(
            f"{path}/captures", json={"amount_cents": 500}, headers={"Idempotency-Key": "k"}
        )
        assert (refused.status_code, "cache-control" in refused.headers) == (409, False)


async def test_nobody_on_the_way_keeps_the_metrics() -> None:
    transport = httpx.ASGITransport(Starlette(routes=[exposition(Metrics())]))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        answer = await http.get("/metrics")
    assert answer.headers.get("cache-control") == "no-store"


async def test_a_page_links_to_the_next(api: Api) -> None:
    paths = []
    for number in range(3):
        await api.kit.set_clock(NOON + number)
        paths.append(await api.created())
    first = await api.http.get("/payments?limit=2")
    assert set(first.links) == {"next"}
    assert first.links["next"]["url"] == f"/payments?limit=2&after={first.json()['next']}"
    second = await api.http.get(first.links["next"]["url"])
    assert [f"/payments/{each['id']}" for each in second.json()["payments"]] == paths[2:]
    assert "link" not in second.headers


async def test_the_answer_is_json_whatever_is_accepted(api: Api) -> None:
    path = await api.created()
    answer = await api.http.get(path, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br", 415), ("identity", 200), ("", 200)])
async def test_a_body_is_sent_as_it_is(api: Api, encoding: str, status: int) -> None:
    path = await api.created()
    answer = await api.http.put(path, json={"amount_cents": 500}, headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    if status == 415:
        problem(answer, 415, "unsupported_media_type")
