"""Payments over HTTP: created, read, listed, authorized, failed, with every status."""

from __future__ import annotations

import base64
from uuid import UUID, uuid4

import pytest

from tests.support.api import Api, problem
from tests.support.stores import NOON

pytestmark = pytest.mark.anyio

NOON_TEXT = "2026-01-01T00:00:00.000001Z"
ONE_HOUR_LATER = "2026-01-01T01:00:00.000001Z"
PENDING = {
    "state": "pending",
    "amount_cents": 500,
    "created_at": NOON_TEXT,
    "authorized_at": None,
    "capture_expires_at": None,
    "captured_at": None,
    "captured_amount_cents": None,
    "failed_at": None,
    "failure_reason": None,
    "as_of": NOON_TEXT,
}
AUTHORIZED = PENDING | {
    "state": "authorized",
    "authorized_at": NOON_TEXT,
    "capture_expires_at": ONE_HOUR_LATER,
}


# ---- create -------------------------------------------------------------------------------------


async def test_post_creates_under_a_new_id(api: Api) -> None:
    answers = [await api.http.post("/payments", json={"amount_cents": 500}) for _ in range(2)]
    documents = [answer.json() for answer in answers]
    for answer, document in zip(answers, documents, strict=True):
        assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
        payment_id = document.pop("id")
        assert str(UUID(payment_id)) == payment_id
        assert answer.headers["location"] == f"/payments/{payment_id}"
        assert document == PENDING
        assert (await api.http.get(answer.headers["location"])).json() == PENDING | {"id": payment_id}
    assert answers[0].headers["location"] != answers[1].headers["location"]


async def test_put_creates_once(api: Api) -> None:
    payment_id = uuid4()
    path = f"/payments/{payment_id}"
    first = await api.http.put(path, json={"amount_cents": 500})
    again = await api.http.put(path, json={"amount_cents": 500})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == PENDING | {"id": str(payment_id)}
    assert first.headers["location"] == path
    assert "location" not in again.headers


async def test_put_finds_the_payment_as_it_has_become(api: Api) -> None:
    path = await api.authorized()
    again = await api.http.put(path, json={"amount_cents": 500})
    assert (again.status_code, again.json()["state"]) == (200, "authorized")


async def test_put_with_another_amount_is_a_conflict(api: Api) -> None:
    path = await api.created()
    before = await api.kit.contents()
    answer = await api.http.put(path, json={"amount_cents": 501})
    problem(answer, 409, "payment_id_conflict")
    assert await api.kit.contents() == before


@pytest.mark.parametrize("cents", [1, 999_999_999_999])
async def test_the_smallest_and_the_largest_amount(api: Api, cents: int) -> None:
    path = await api.created(cents)
    assert (await api.http.get(path)).json()["amount_cents"] == cents


@pytest.mark.parametrize(
    "body", [b'{"amount_cents":500}', b' {\n "amount_cents" :\t500 } ', b'{"amount\\u005fcents": 500}']
)
async def test_the_value_counts_not_the_spelling(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.http.put(f"/payments/{uuid4()}", content=body, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
async def test_content_types_of_json(api: Api, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await api.http.put(f"/payments/{uuid4()}", content=b'{"amount_cents":5}', headers=headers)
    assert answer.status_code == 201


async def test_the_case_of_an_id_makes_no_difference(api: Api) -> None:
    payment_id = uuid4()
    answer = await api.http.put(f"/payments/{str(payment_id).upper()}", json={"amount_cents": 5})
    assert answer.json()["id"] == str(payment_id)
    assert answer.headers["location"] == f"/payments/{payment_id}"
    assert (await api.http.get(f"/payments/{payment_id}")).status_code == 200


# ---- read and list ------------------------------------------------------------------------------


async def test_a_look_says_when_it_was(api: Api) -> None:
    path = await api.created()
    await api.kit.set_clock(NOON + 999_999)
    answer = await api.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["as_of"] == "2026-01-01T00:00:01.000000Z"


async def test_the_list_is_paged_by_a_cursor(api: Api) -> None:
    paths = []
    for number in range(5):
        await api.kit.set_clock(NOON + number)
        paths.append(await api.created())
    seen: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        document = (await api.http.get(f"/payments{query}")).json()
        assert document["as_of"] == "2026-01-01T00:00:00.000005Z"
        seen += [f"/payments/{each['id']}" for each in document["payments"]]
        query = f"?limit=2&after={document['next']}"
    assert document["next"] is None
    assert seen == paths


async def test_a_page_has_fifty_payments_unless_asked_otherwise(api: Api) -> None:
    for _ in range(201):
        await api.created()
    for query, count in (("", 50), ("?limit=1", 1), ("?limit=200", 200)):
        document = (await api.http.get(f"/payments{query}")).json()
        assert len(document["payments"]) == count
        assert base64.urlsafe_b64decode(document["next"])
    assert set(document["payments"][0]) == set(PENDING) - {"as_of"} | {"id"}


async def test_an_empty_list(api: Api) -> None:
    assert (await api.http.get("/payments")).json() == {"payments": [], "as_of": NOON_TEXT, "next": None}


# ---- authorize and fail -------------------------------------------------------------------------


async def test_authorizing(api: Api) -> None:
    path = await api.created()
    answer = await api.http.post(f"{path}/authorize", json={"capture_window_seconds": 3600})
    assert answer.status_code == 200
    assert answer.json() == AUTHORIZED | {"id": path.removeprefix("/payments/")}
    assert answer.json() == (await api.http.get(path)).json()


@pytest.mark.parametrize(
    ("seconds", "end"), [(1, "2026-01-01T00:00:01.000001Z"), (31 * 86_400, "2026-02-01T00:00:00.000001Z")]
)
async def test_the_shortest_and_the_longest_window(api: Api, seconds: int, end: str) -> None:
    path = await api.created()
    answer = await api.http.post(f"{path}/authorize", json={"capture_window_seconds": seconds})
    assert answer.json()["capture_expires_at"] == end


@pytest.mark.parametrize("reason", ["declined", "voided"])
async def test_failing(api: Api, reason: str) -> None:
    path = await api.authorized()
    answer = await api.fail(path, reason)
    assert answer.status_code == 200
    expected = AUTHORIZED | {"state": "failed", "failed_at": NOON_TEXT, "failure_reason": reason}
    assert answer.json() == expected | {"id": path.removeprefix("/payments/")}
    assert answer.json() == (await api.http.get(path)).json()


async def test_what_the_state_refuses(api: Api) -> None:
    pending, authorized = await api.created(), await api.authorized()
    captured, failed = await api.authorized(), await api.authorized()
    await api.capture(captured)
    await api.fail(failed)
    before = await api.kit.contents()
    window = {"capture_window_seconds": 1}
    for path, name in (
        (authorized, "already_authorized"),
        (captured, "already_captured"),
        (failed, "payment_failed"),
    ):
        problem(await api.http.post(f"{path}/authorize", json=window), 409, name)
    for path, name in (
        (pending, "not_authorized"),
        (captured, "already_captured"),
        (failed, "payment_failed"),
    ):
        problem(await api.fail(path), 409, name)
    assert await api.kit.contents() == before


# ---- no such payment ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("GET", "", None),
        ("GET", "/captures", None),
        ("POST", "/captures", {"amount_cents": 500}),
        ("POST", "/authorize", {"capture_window_seconds": 1}),
        ("POST", "/fail", {"reason": "voided"}),
    ],
)
async def test_no_such_payment(api: Api, method: str, suffix: str, body: object) -> None:
    answer = await api.http.request(
        method, f"/payments/{uuid4()}{suffix}", json=body, headers={"Idempotency-Key": "key"}
    )
    problem(answer, 404, "payment_not_found")
    contents = await api.kit.contents()
    assert (contents.payments, contents.attempts) == ({}, {})
