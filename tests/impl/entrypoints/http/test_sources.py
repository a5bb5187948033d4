"""Where requests may come from: which hosts, which ends of a connection, which pages of a browser."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from payments_core.entrypoints.addresses import is_loopback
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import app_from_environment, guarded
from tests.support.stores import Kit

pytestmark = pytest.mark.anyio

TOKEN = "pay_token"
WITH_TOKENS = Settings(tokens=hashlib.sha256(TOKEN.encode()).hexdigest())
WITHOUT_TOKENS = Settings()
ANYBODY = Settings(allow_unauthenticated=True, allowed_hosts=" api, Payments.Example ")
LOCAL = ("127.0.0.1", 50_000)
AT = ("127.0.0.1", 8000)

Fields = list[tuple[bytes, bytes]]


def fields(**named: str | None) -> Fields:
    """The fields of a program on this machine, and those given; ``None`` leaves one out."""
    chosen: Mapping[str, str | None] = {"host": "127.0.0.1:8000", "content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in named.items()
    }
    return [(name.encode(), value.encode()) for name, value in chosen.items() if value is not None]


async def status(
    kit: Kit,
    settings: Settings,
    headers: Fields,
    method: str = "POST",
    is_for_this_machine: bool = False,
    **scope: Any,
) -> int:
    """The status of an answer; a payment is created with POST."""
    app = guarded(create_app(kit.store), settings, Metrics(), is_for_this_machine=is_for_this_machine)
    answered = await ask(app, headers, method, **scope)
    assert bool((await kit.contents()).payments) is (answered == 201)
    return answered


async def ask(app: ASGIApp, headers: Fields, method: str, **scope: Any) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"amount_cents": 5}', "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    request = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/payments",
        "raw_path": scope.get("path", "/payments").encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": LOCAL,
        "server": AT,
    } | scope
    await app(request, receive, send)
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]
    status: int = sent[0]["status"]
    return status


# ---- Host ---------------------------------------------------------------------------------------

ILLEGIBLE = [
    [],
    ["localhost", "localhost"],
    ["localhost", "evil.example"],
    [""],
    [" "],
    ["localhost:"],
    ["localhost:x"],
    ["localhost:123456"],
    ["127.0.0.1@evil.example"],
    ["evil.example/127.0.0.1"],
    ["localhost,evil.example"],
    ["localhost evil.example"],
    ["[::1"],
    ["::1"],
    ["http://localhost"],
]


@pytest.mark.parametrize(
    "settings", [WITH_TOKENS, WITHOUT_TOKENS, ANYBODY], ids=["tokens", "none", "anybody"]
)
@pytest.mark.parametrize("hosts", ILLEGIBLE, ids=str)
async def test_one_host_is_named_and_legible(memory: Kit, settings: Settings, hosts: list[str]) -> None:
    headers = fields(host=None, authorization=f"Bearer {TOKEN}") + [
        (b"host", each.encode()) for each in hosts
    ]
    assert await status(memory, settings, headers) == 400


async def test_a_client_of_http_1_0_may_name_none(memory: Kit) -> None:
    assert await status(memory, WITHOUT_TOKENS, fields(host=None), http_version="1.0") == 201


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.9.9.9:80", "[::1]:8000", "[::ffff:127.0.0.1]"]
)
async def test_without_tokens_this_machine_is_named_by_its_loopback(memory: Kit, host: str) -> None:
    assert await status(memory, WITHOUT_TOKENS, fields(host=host)) == 201


FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.",
    "api",
    "192.0.2.1",
    "0.0.0.0:8000",
    "[::]",
    "[::ffff:192.0.2.1]",
    "2130706433",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", FOREIGN)
async def test_without_tokens_no_other_host_is_answered_to(memory: Kit, host: str, method: str) -> None:
    assert await status(memory, WITHOUT_TOKENS, fields(host=host), method) == 421


async def test_a_foreign_host_is_no_matter_where_there_are_tokens(memory: Kit) -> None:
    headers = fields(
        host="payments.example", authorization=f"Bearer {TOKEN}", origin="https://payments.example"
    )
    assert (
        await status(memory, WITH_TOKENS, headers, client=("192.0.2.7", 1), server=("192.0.2.1", 80)) == 201
    )


async def test_the_name_that_it_was_bound_by_is_its_own(memory: Kit) -> None:
    settings = Settings(host="payments-host")
    assert await status(memory, settings, fields(host="payments-host:8000")) == 201


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("api:8000", 201),
        ("payments.example", 201),
        ("192.0.2.1", 201),
        ("[2001:db8::1]:80", 201),
        ("evil.example", 421),
    ],
)
async def test_who_serves_anybody_says_by_which_names(memory: Kit, host: str, answer: int) -> None:
    headers = fields(host=host)
    assert await status(memory, ANYBODY, headers, client=("192.0.2.7", 1), server=("192.0.2.1", 80)) == answer


# ---- the ends of a connection -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "answer"),
    [
        (("127.0.0.1", 1), ("127.0.0.1", 8000), 201),
        (("127.8.8.8", 1), ("127.0.0.1", 8000), 201),
        (("::1", 1), ("::1", 8000), 201),
        (("::ffff:127.0.0.1", 1), ("::ffff:127.0.0.1", 8000), 201),
        (None, ("/run/payments.sock", None), 201),
        (None, ("", None), 201),
        (("192.0.2.7", 1), ("192.0.2.1", 8000), 403),
        (("192.0.2.1", 1), ("192.0.2.1", 8000), 403),
        (("192.0.2.7", 1), ("127.0.0.1", 8000), 403),
        (("127.0.0.1", 1), ("192.0.2.1", 8000), 403),
        (("::ffff:192.0.2.7", 1), ("::ffff:192.0.2.1", 8000), 403),
        (("fe80::1%eth0", 1), ("fe80::2%eth0", 8000), 403),
        (("127.0.0.1", 1), ("0.0.0.0", 8000), 403),
        (("::1", 1), ("::", 8000), 403),
        (None, ("127.0.0.1", 8000), 403),
        (("127.0.0.1", 1), None, 403),
        (None, None, 403),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("settings", "is_for_this_machine"),
    [(WITHOUT_TOKENS, False), (WITHOUT_TOKENS, True), (ANYBODY, True)],
    ids=["none", "for this machine", "for anybody, and this machine"],
)
async def test_without_tokens_both_ends_are_this_machine(
    memory: Kit, settings: Settings, is_for_this_machine: bool, client: object, server: object, answer: int
) -> None:
    ends: dict[str, Any] = {"client": client, "server": server}
    for method in ("POST",) if answer == 201 else ("POST", "GET"):
        assert await status(memory, settings, fields(), method, is_for_this_machine, **ends) == answer


async def test_whoever_starts_it_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "PAYMENTS_HOST": "0.0.0.0"}.items():
        monkeypatch.setenv(name, value)
    threshold = gc.get_threshold()
    try:
        app = app_from_environment()
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
    assert await ask(app, fields(), "GET", client=("192.0.2.7", 1), server=("192.0.2.1", 8000)) == 403
    assert await ask(app, fields(host="evil.example"), "GET") == 421
    assert await ask(app, fields(), "GET", path="/healthz") == 200


async def test_what_is_for_this_machine_is_so_with_tokens_too(memory: Kit) -> None:
    headers = fields(authorization=f"Bearer {TOKEN}")
    elsewhere: dict[str, Any] = {"client": ("192.0.2.7", 1), "server": ("192.0.2.1", 80)}
    assert await status(memory, WITH_TOKENS, headers, is_for_this_machine=True, **elsewhere) == 403
    assert await status(memory, WITH_TOKENS, headers, is_for_this_machine=True) == 201
    assert await status(memory, WITH_TOKENS, headers, **elsewhere) == 201


@pytest.mark.parametrize(
    "name", ["", "payments.invalid", "localhost.localdomain", "127.1", "::ffff:0:127.0.0.1", "0x7f000001"]
)
def test_a_name_is_no_loopback_address(name: str) -> None:
    assert not is_loopback(name)


# ---- pages of other origins ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:8000", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
    ids=str,
)
async def test_programs_and_its_own_pages_are_served(memory: Kit, named: dict[str, str]) -> None:
    assert await status(memory, WITHOUT_TOKENS, fields(**named)) == 201


ACROSS = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1:8001"},
    {"origin": "http://127.0.0.1"},
    {"origin": "https://127.0.0.1:8000"},
    {"origin": "http://localhost:8000"},
    {"origin": "http://127.0.0.1:8000.evil.example"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "anything"},
    {"origin": "http://127.0.0.1:8000", "sec_fetch_site": "cross-site"},
    {"origin": "http://evil.example", "sec_fetch_site": "same-origin"},
]


@pytest.mark.parametrize("settings", [WITHOUT_TOKENS, ANYBODY], ids=["none", "anybody"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("named", ACROSS, ids=str)
async def test_without_tokens_pages_of_other_origins_are_not(
    memory: Kit, settings: Settings, method: str, named: dict[str, str]
) -> None:
    assert await status(memory, settings, fields(**named), method) == 403


async def test_a_second_field_does_not_hide_the_first(memory: Kit) -> None:
    for name, first, second in (
        (b"origin", b"http://evil.example", b"http://127.0.0.1:8000"),
        (b"sec-fetch-site", b"cross-site", b"none"),
    ):
        for pair in ([first, second], [second, first]):
            headers = fields() + [(name, each) for each in pair]
            assert await status(memory, WITHOUT_TOKENS, headers) == 403


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/problems/overloaded", "/healthz"])
async def test_other_sites_may_link_to_what_is_the_same_for_everybody(memory: Kit, path: str) -> None:
    assert await status(memory, WITHOUT_TOKENS, fields(sec_fetch_site="cross-site"), "GET", path=path) == 200


# ---- bodies -------------------------------------------------------------------------------------

SIMPLE = [
    None,
    "text/plain",
    "text/plain;application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
]


@pytest.mark.parametrize(
    "settings", [WITH_TOKENS, WITHOUT_TOKENS, ANYBODY], ids=["tokens", "none", "anybody"]
)
@pytest.mark.parametrize("content_type", SIMPLE)
async def test_what_a_browser_sends_without_asking_is_no_command(
    memory: Kit, settings: Settings, content_type: str | None
) -> None:
    headers = fields(content_type=content_type, authorization=f"Bearer {TOKEN}")
    assert await status(memory, settings, headers) == 415


async def test_two_types_are_none(memory: Kit) -> None:
    for second in ("text/plain", "application/json"):
        headers = [*fields(), (b"content-type", second.encode())]
        assert await status(memory, WITHOUT_TOKENS, headers) == 415
