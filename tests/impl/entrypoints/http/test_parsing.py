"""Whatever is wrong with a request ends as a 4xx that says so, and leaves nothing behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.support.api import Api, problem
from tests.support.bad_input import BAD_REQUESTS, BODY_LIMIT, GOOD, BadRequest, names

pytestmark = pytest.mark.anyio

AS_JSON = {"Content-Type": "application/json"}


async def refused(api: Api, path: str, bad: BadRequest) -> None:
    """Send the request and check its answer."""
    answer = await api.http.request(
        bad.method, bad.path.replace("{payment}", path), content=bad.content, headers=bad.headers
    )
    document = problem(answer, bad.status, bad.problem)
    assert bad.says in document["detail"]
    assert "idempotent-replayed" not in answer.headers
    assert "location" not in answer.headers


async def prepared(api: Api) -> str:
    """The path of an authorized payment, for which one capture was refused."""
    path = await api.authorized()
    await api.capture(path, "refused", 501)
    return path


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=names(BAD_REQUESTS))
async def test_a_bad_request_is_refused_and_leaves_nothing(api: Api, bad: BadRequest) -> None:
    path = await prepared(api)
    before = await api.kit.contents()
    await refused(api, path, bad)
    assert await api.kit.contents() == before


async def test_all_of_them_over_postgresql(postgres_api: Api) -> None:
    path = await prepared(postgres_api)
    before = await postgres_api.kit.contents()
    for bad in BAD_REQUESTS:
        await refused(postgres_api, path, bad)
    assert await postgres_api.kit.contents() == before
    assert (await postgres_api.capture(path)).status_code == 201


def test_every_bad_request_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(names(BAD_REQUESTS)).items() if count > 1] == []


@dataclass
class Chunks:
    """A body in pieces, so that no Content-Length is sent; counts what was taken."""

    pieces: int
    taken: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.pieces):
            self.taken += 1
            yield b" " * 1024


async def test_a_body_of_unknown_length_is_not_read_to_its_end(api: Api) -> None:
    before = await api.kit.contents()
    body = Chunks(pieces=10_000)
    answer = await api.http.post("/payments", content=body, headers=AS_JSON)
    problem(answer, 413, "body_too_large")
    assert "content-length" not in answer.request.headers
    assert await api.kit.contents() == before


async def test_the_largest_body(api: Api) -> None:
    content = GOOD + b" " * (BODY_LIMIT - len(GOOD))
    assert (await api.http.post("/payments", content=content, headers=AS_JSON)).status_code == 201


async def test_a_good_request_after_the_bad_ones(api: Api) -> None:
    path = await prepared(api)
    for bad in BAD_REQUESTS[::10]:
        await refused(api, path, bad)
    answer: httpx.Response = await api.capture(path, "new-key")
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers
