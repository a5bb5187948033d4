"""Captures over HTTP: the answer, the same answer again, and the key in its spellings."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.api import Api, problem
from tests.support.stores import NOON

pytestmark = pytest.mark.anyio

NOON_TEXT = "2026-01-01T00:00:00.000001Z"


@pytest.mark.invariant("I3")
async def test_capturing_and_asking_again(api: Api) -> None:
    path = await api.authorized()
    first = await api.capture(path)
    assert (first.status_code, first.headers["content-type"]) == (201, "application/json")
    assert first.json() == {
        "payment_id": path.removeprefix("/payments/"),
        "outcome": "captured",
        "amount_cents": 500,
        "captured_at": NOON_TEXT,
    }
    assert "idempotent-replayed" not in first.headers
    await api.kit.set_clock(2 * NOON)
    again = await api.capture(path)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    without = {name: value for name, value in again.headers.items() if name != "idempotent-replayed"}
    assert without == dict(first.headers)
    payment = (await api.http.get(path)).json()
    assert (payment["state"], payment["captured_at"]) == ("captured", NOON_TEXT)
    assert payment["captured_amount_cents"] == 500


@pytest.mark.invariant("I3")
async def test_refused_captures_are_answered_again_as_well(api: Api) -> None:
    pending, captured = await api.created(), await api.authorized()
    failed, authorized = await api.authorized(), await api.authorized(1)
    await api.capture(captured, "first")
    await api.fail(failed)
    refusals = [
        (pending, "k", 500, 409, "not_authorized"),
        (captured, "k", 500, 409, "already_captured"),
        (failed, "k", 500, 409, "payment_failed"),
        (authorized, "k", 501, 422, "amount_mismatch"),
    ]
    firsts = []
    for path, key, cents, status, name in refusals:
        answer = await api.capture(path, key, cents)
        document = problem(answer, status, name)
        assert document["payment_id"] == path.removeprefix("/payments/")
        assert document["decided_at"] == NOON_TEXT
        firsts.append(answer)
    await api.kit.set_clock(NOON + 1_000_000)
    late = await api.capture(authorized, "late")
    problem(late, 409, "capture_window_expired")
    for (path, key, cents, *_), first in zip(refusals, firsts, strict=True):
        again = await api.capture(path, key, cents)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.invariant("I4")
async def test_a_key_for_another_request(api: Api) -> None:
    path = await api.authorized()
    await api.capture(path, cents=501)
    before = await api.kit.contents()
    answer = await api.capture(path, cents=500)
    problem(answer, 422, "idempotency_key_reused")
    assert "idempotent-replayed" not in answer.headers
    assert await api.kit.contents() == before


@pytest.mark.invariant("I4")
async def test_requests_are_compared_by_value(api: Api) -> None:
    path = await api.authorized()
    headers = {"Idempotency-Key": "key", "Content-Type": "application/json"}
    first = await api.http.post(f"{path}/captures", content=b'{"amount_cents":500}', headers=headers)
    again = await api.http.post(
        f"{path}/captures", content=b'{ "amount\\u005fcents" : 500 }\n', headers=headers
    )
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


async def test_the_stored_attempts(api: Api) -> None:
    path = await api.authorized()
    assert (await api.http.get(f"{path}/captures")).json() == {"captures": [], "next": None}
    await api.capture(path, "b", 501)
    await api.capture(path, "a", 500)
    document = (await api.http.get(f"{path}/captures")).json()
    assert document == {
        "captures": [
            {
                "idempotency_key": "b",
                "amount_cents": 501,
                "outcome": "amount_mismatch",
                "status": 422,
                "decided_at": NOON_TEXT,
            },
            {
                "idempotency_key": "a",
                "amount_cents": 500,
                "outcome": "captured",
                "status": 201,
                "decided_at": NOON_TEXT,
            },
        ],
        "next": None,
    }


async def test_the_stored_attempts_come_in_pages(api: Api) -> None:
    path = await api.authorized()
    keys = [f"{(number * 7) % 60}" for number in range(60)]
    for key in keys:
        await api.capture(path, key, 501)
    first = await api.http.get(f"{path}/captures")
    assert [each["idempotency_key"] for each in first.json()["captures"]] == keys[:50]
    following = first.json()["next"]
    assert first.headers["link"] == f'<{path}/captures?limit=50&after={following}>; rel="next"'
    last = await api.http.get(f"{path}/captures?after={following}&limit=200")
    assert [each["idempotency_key"] for each in last.json()["captures"]] == keys[50:]
    assert (last.json()["next"], "link" in last.headers) == (None, False)
    whole = await api.http.get(f"{path}/captures?limit=200")
    assert whole.json()["captures"] == first.json()["captures"] + last.json()["captures"]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=x", "limit=+5", "before=1", "after=1&after=2"),
        *("after=", "after=-1", "after=1.0", "after=2147483648", "after=%C2%B2"),
    ],
)
async def test_a_page_of_attempts_that_cannot_be(api: Api, query: str) -> None:
    path = await api.authorized()
    problem(await api.http.get(f"{path}/captures?{query}"), 422, "invalid_query")


@pytest.mark.invariant("I1")
async def test_ten_captures_at_once(api: Api) -> None:
    path = await api.authorized()
    answers = await asyncio.gather(*(api.capture(path, f"{n}") for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


# ---- the key ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("abc", '"abc"'),
        ('a"b', r'"a\"b"'),
        (r"a\b", r'"a\\b"'),
        ("a b", '"a b"'),
        (" abc\t ", "abc"),
        (' "abc" ', "abc"),
        ("k" * 255, '"' + "k" * 255 + '"'),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", '"!#$%&\'()*+,-./:;<=>?@[]^_`{|}~"'),
    ],
)
async def test_two_spellings_of_one_key(api: Api, one: str, other: str) -> None:
    path = await api.authorized()
    first, again = await api.capture(path, one), await api.capture(path, other)
    assert first.status_code == 201
    assert (again.content, again.headers.get("idempotent-replayed")) == (first.content, "true")


@pytest.mark.parametrize("other", ["Key", "ke", "keys", '" key"', '"key "', '"key\\""'])
async def test_case_and_quoted_spaces_make_another_key(api: Api, other: str) -> None:
    path = await api.authorized()
    await api.capture(path, "key")
    answer = await api.capture(path, other)
    problem(answer, 409, "already_captured")
    assert "idempotent-replayed" not in answer.headers


async def test_a_key_is_shown_as_it_is(api: Api) -> None:
    path = await api.authorized()
    await api.capture(path, r'" a\"b\\c "')
    (shown,) = (await api.http.get(f"{path}/captures")).json()["captures"]
    assert shown["idempotency_key"] == r' a"b\c '
