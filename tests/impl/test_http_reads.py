"""Reading again: entity tags, 304, the link to the next page, and what nobody may keep."""

from __future__ import annotations

import pytest

from payments_core.entrypoints.http.resources import is_known
from tests.support.api import Api, problem
from tests.support.stores import NOON

pytestmark = pytest.mark.anyio


async def test_the_tag_of_a_payment_changes_with_the_payment_and_not_with_the_time(api: Api) -> None:
    path = await api.created()
    tags = [await tag_of(api, path)]
    await api.kit.set_clock(NOON + 1_000)
    assert await tag_of(api, path) == tags[0]
    await api.http.post(f"{path}/authorize", json={"capture_window_seconds": 60})
    tags.append(await tag_of(api, path))
    await api.capture(path)
    tags.append(await tag_of(api, path))
    assert len(set(tags)) == 3
    assert all(tag.startswith('W/"') for tag in tags)  # as_of differs, so the bytes do


async def test_the_tag_of_the_captures_stands_for_their_bytes(api: Api) -> None:
    path = await api.authorized()
    before = await tag_of(api, f"{path}/captures")
    await api.capture(path, cents=501)
    after = await tag_of(api, f"{path}/captures")
    assert before != after
    assert after.startswith('"')


async def test_the_tag_of_a_page(api: Api) -> None:
    await api.created()
    before = await tag_of(api, "/payments")
    assert await tag_of(api, "/payments") == before
    await api.created()
    assert await tag_of(api, "/payments") != before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("suffix", ["", "/captures"])
async def test_what_the_client_has_is_not_sent_again(api: Api, method: str, suffix: str) -> None:
    path = await api.authorized()
    tag = await tag_of(api, path + suffix)
    headers = {"If-None-Match": f'"another", {tag}'}
    same = await api.http.request(method, path + suffix, headers=headers)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await api.capture(path)
    changed = await api.http.request(method, path + suffix, headers=headers)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_a_payment_that_is_not_there_is_not_unchanged(api: Api) -> None:
    answer = await api.http.get(
        f"/payments/{'0' * 8}-0000-4000-8000-{'0' * 12}", headers={"If-None-Match": "*"}
    )
    problem(answer, 404, "payment_not_found")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ([], False),
        ([""], False),
        (["*"], True),
        (['"a"'], True),
        (['W/"a"'], True),
        (['"b", W/"a"'], True),
        (['"b"', '"a"'], True),
        (['"b"'], False),
        (["a"], False),
        (['"a'], False),
        (['"A"'], False),
        (['"aa"'], False),
    ],
)
def test_tags_are_compared_weakly(fields: list[str], known: bool) -> None:
    assert is_known('W/"a"', fields) is known
    assert is_known('"a"', fields) is known


@pytest.mark.invariant("I8")
async def test_nobody_on_the_way_keeps_a_look(api: Api) -> None:
    path = await api.created()
    for each in (path, f"{path}/captures", "/payments"):
        assert (await api.http.get(each)).headers["cache-control"] == "no-store"


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


async def tag_of(api: Api, path: str) -> str:
    answer = await api.http.get(path)
    assert answer.status_code == 200
    return answer.headers["etag"]
