"""What stands in a path is one segment of it, or one value of its query, whatever characters it has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import msgspec
import pytest

from payments_verify.binding import Binding, BoundClient, Http, Names, default_text, parse
from payments_verify.binding.coverage import traits_of
from payments_verify.payments.inputs.classes import ALIKE_KEYS, classes_of, keys_of
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems import in_memory

PAYMENT = "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11"
BY_HEADER = 'request = "POST /payments/{payment}/captures"\nheaders = { Idempotency-Key = "{key}" }'
KEYS = [key for keys in ALIKE_KEYS.values() for key in keys]


def with_keys_in(request: str) -> Binding:
    text = default_text().replace(BY_HEADER, f'request = "{request}"').replace('"quoted text"', '"text"', 1)
    return parse(text, "mine.toml")


def targets_of(binding: Binding, keys: list[str]) -> list[str]:
    """The targets of captures as they go over the wire."""
    sent: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.raw_path.decode())
        return httpx.Response(503)

    http = httpx.AsyncClient(transport=httpx.MockTransport(note), base_url="http://service")
    client = BoundClient(http, binding)

    async def run() -> None:
        for key in keys:
            await client.send(Invocation("capture", {"payment": PAYMENT, "key": key, "amount": 1}))

    asyncio.run(run())
    return sent


def test_a_key_is_one_segment_of_a_path() -> None:
    sent = targets_of(with_keys_in("PUT /payments/{payment}/captures/{key}"), KEYS)
    for key, target in zip(KEYS, sent, strict=True):
        *before, last = target.split("/")
        assert (before, unquote(last)) == (["", "payments", PAYMENT, "captures"], key)
        assert not {"?", "#"} & set(last)


def test_a_key_is_one_value_of_a_query() -> None:
    sent = targets_of(with_keys_in("PUT /payments/{payment}?key={key}&more=1"), KEYS)
    for key, target in zip(KEYS, sent, strict=True):
        assert parse_qsl(urlsplit(target).query) == [("key", key), ("more", "1")]


def test_what_a_service_has_named_is_one_segment() -> None:
    text = (
        default_text().replace('chosen_by = "client"', 'chosen_by = "service"').replace('"uuid"', '"text"', 1)
    )
    text = text.replace("[commands.create]", '[commands.create]\nid = "id"', 1)
    text = text.replace('"GET /payments/{payment}"', '"GET /shops/{shop}/payments/{payment}"')
    text += '\n[[setup]]\nrequest = "POST /shops"\nsave = { shop = "id" }\n'
    names = Names(payments={PAYMENT: "shops/1?a=b%20c"}, saved={"shop": "s/1 #"})
    client = BoundClient(httpx.AsyncClient(), parse(text, "mine.toml"), names)
    asked = Invocation("read", {"payment": PAYMENT})
    assert client.requests.write(asked)[1] == "/shops/s%2F1%20%23/payments/shops%2F1%3Fa%3Db%2520c"
    page = httpx.Response(200, json={"captures": [], "next": "a/b=="})
    following = client.requests.write_next_page(asked, page)
    assert following == ("GET", "/payments/shops%2F1%3Fa%3Db%2520c/captures?after=a%2Fb%3D%3D")


@pytest.mark.parametrize(
    ("request_", "taken"),
    [
        ("PUT /payments/{payment}/captures/{key}", False),
        ("PUT /payments/{payment}/captures/{key}/now", False),
        ("PUT /payments/{payment}/captures/{key}?now=1", False),
        ("PUT /payments/{payment}/captures/k-{key}", True),
        ("PUT /payments/{payment}/captures?key={key}", True),
    ],
)
def test_a_key_that_is_a_dot_segment_is_not_sent(request_: str, taken: bool) -> None:
    traits = traits_of(with_keys_in(request_), moves_clock=True)
    assert [traits.takes_key(key) for key in (".", "..")] == [taken, taken]
    assert all(map(traits.takes_key, ("...", ".a", "k1", "a.")))


@pytest.mark.parametrize("keys", ["(?i)[a-k]([0-9 -~]*)", r"k1|1|(.)\1|.{2,9}"])
def test_what_a_key_looks_like_stays_so_where_it_is_a_segment(keys: str) -> None:
    binding = with_keys_in("PUT /payments/{payment}/captures/{key}")
    limits = msgspec.structs.replace(binding.limits, keys=keys)
    traits = traits_of(msgspec.structs.replace(binding, limits=limits), moves_clock=True)
    sent = [key for key in (*KEYS, ".", "..", "aa") if traits.takes_key(key)]
    assert sent == [key for key in (*KEYS, "aa") if re.fullmatch(keys, key)]


class KeyedByPath(httpx.AsyncBaseTransport):
    """Takes captures whose key is the last segment of the path to our own service."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, headers = request.url.raw_path.decode(), dict[str, str]()
        if request.method == "PUT" and "/captures/" in path:
            path, _, key = path.rpartition("/")
            headers["Idempotency-Key"] = msgspec.json.encode(unquote(key)).decode()
            answer = await self._http.request(
                "POST", path, headers=headers, json=msgspec.json.decode(request.content)
            )
        else:
            body = msgspec.json.decode(request.content) if request.content else None
            answer = await self._http.request(request.method, path, headers=headers, json=body)
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


@asynccontextmanager
async def keyed_by_path(binding: Binding) -> AsyncIterator[ServiceUnderTest]:
    async with in_memory() as service:
        (first, *_) = service.clients
        assert isinstance(first, BoundClient)
        http = httpx.AsyncClient(transport=KeyedByPath(first.http), base_url="http://service")
        yield replace(
            service,
            clients=(BoundClient(http, binding),),
            traits=traits_of(binding, moves_clock=True),
            surface=None,
        )


def test_a_service_that_has_keys_in_its_paths_is_not_accused() -> None:
    binding = with_keys_in("PUT /payments/{payment}/captures/{key}")
    found = machine_check("ours", lambda: keyed_by_path(binding), examples=3, steps=10, seed=1)
    assert found.verdict == "holds", found.counterexample
    traits = traits_of(binding, moves_clock=True)
    assert "keys: paths and queries" in classes_of(traits)
    assert len(keys_of(traits, "keys: paths and queries")) == 6
