"""The contract of single requests is tried, request by request; each part of it sees what it is there for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from uuid import UUID

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from payments_core.domain.values import IdempotencyKey
from payments_core.entrypoints.http import (
    access,
    authentication,
    observed,
    parsing,
    payments,
    problems,
    resources,
)
from payments_core.entrypoints.http.app import Application
from payments_core.entrypoints.tokens import Tokens, TokenScope
from payments_verify.payments.programs.run import run_machine
from payments_verify.surface.contract import made_again
from payments_verify.surface.written import requests
from payments_verify.systems import application, in_memory
from payments_verify.systems.memory_store import InMemoryPaymentStore

Break = Callable[[pytest.MonkeyPatch], object]


def told() -> str | None:
    async def run() -> str | None:
        async with in_memory() as system:
            assert system.surface is not None
            complaint = await system.surface.contract()
            assert (await system.surface.contract() is None) is (complaint is None)
            return complaint or await system.surface.counters()

    return asyncio.run(run())


def test_the_service_as_it_is() -> None:
    assert told() is None


def test_no_request_is_there_twice() -> None:
    asked = [str(each) for each in requests()]
    assert len(asked) == len(set(asked)) > 300


def patched(owner: object, name: str, value: object) -> Break:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def needed(path: str, method: str, scope: TokenScope) -> Break:
    scopes = {**access.NEEDED, path: {**access.NEEDED[path], method: scope}}
    return patched(access, "NEEDED", scopes)


def with_cut_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "IdempotencyKey", lambda text: IdempotencyKey(text[:255]))


_as_it_is = Application.__call__


async def with_head_of_anything(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
    async def found(message: Message) -> None:
        if scope["method"] == "HEAD" and message.get("status") == 404:
            message["status"] = 200
        await send(message)

    await _as_it_is(self, scope, receive, found)


async def for_any_origin(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """What a middleware does that is asked by browsers alone."""

    async def allowed(message: Message) -> None:
        if message["type"] == "http.response.start" and any(
            name == b"origin" for name, _ in scope["headers"]
        ):
            message["headers"] = [*message["headers"], (b"access-control-allow-origin", b"*")]
        await send(message)

    await _as_it_is(self, scope, receive, allowed)


def answered(body: bytes, media_type: bytes, where: Callable[[Scope, int], bool]) -> Break:
    """Some requests are answered with a body that is not what the contract says; the status stays."""

    async def answers(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
        instead = False

        async def other(message: Message) -> None:
            nonlocal instead
            if message["type"] == "http.response.start":
                instead = where(scope, message["status"])
                if instead:
                    fields = dict(message["headers"]) | {b"content-length": f"{len(body)}".encode()}
                    message["headers"] = [*(fields | {b"content-type": media_type}).items()]
            elif instead:
                message["body"] = body if scope["method"] != "HEAD" else b""
            await send(message)

        await _as_it_is(self, scope, receive, other)

    return patched(Application, "__call__", answers)


def is_malformed(scope: Scope, status: int) -> bool:
    return status == 400 and scope["method"] == "POST"


def is_of_problems(scope: Scope, status: int) -> bool:
    return status == 200 and scope["path"].startswith("/problems/")


async def without_a_tag(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
    async def untagged(message: Message) -> None:
        if scope["path"].startswith("/problems/") and "headers" in message:
            message["headers"] = [each for each in message["headers"] if each[0] != b"etag"]
        await send(message)

    await _as_it_is(self, scope, receive, untagged)


BROKEN: dict[str, tuple[Break, str]] = {
    "a field twice": (patched(parsing, "_require_distinct_fields", lambda _: None), "I1, I4, I11: POST"),
    "any media type": (patched(parsing, "_require_json", lambda _: None), "I11: POST"),
    "any size": (patched(parsing, "BODY_LIMIT", 2**30), "I11: POST"),
    "keys cut": (with_cut_keys, "I3, I4, I11: POST"),
    "any query": (patched(parsing, "_limit", lambda _: 5), "I8, I11: GET"),
    "reads that may be kept": (patched(payments, "read", resources.written), "I3, I8: GET"),
    "paths that need no token": (patched(authentication, "is_open", lambda _: True), "I2, I11: GET"),
    "readers write": (needed("/payments/{payment_id}/fail", "POST", TokenScope.READ), "I2, I11: POST"),
    "writers read": (needed("/payments/{payment_id}", "GET", TokenScope.WRITE), "I2, I11: GET"),
    "paths decoded": (patched(Application, "__call__", Starlette.__call__), "I8, I11: GET"),
    "any spelling of numbers": (patched(parsing, "_limit", int), "I8, I11: GET"),
    "any token": (patched(Tokens, "scopes_of", lambda *_: frozenset(TokenScope)), "I2, I11: GET"),
    "no id of a request": (patched(observed, "_request_id", lambda _: "x"), "I3: GET"),
    "HEAD of anything": (patched(Application, "__call__", with_head_of_anything), "I8, I11: HEAD"),
    "any origin": (patched(Application, "__call__", for_any_origin), "I8, I11: OPTIONS"),
    "another title": (
        patched(problems, "UNAUTHORIZED", replace(problems.UNAUTHORIZED, title="Who are you?")),
        "I11: GET /payments?limit=1 with Authorization: b'': problem unauthorized: expected status 401",
    ),
    "problems of another media type": (
        patched(problems, "MEDIA_TYPE", "application/json"),
        "I1, I4, I11: POST",
    ),
    "malformed bodies told of as text": (answered(b"No.", b"text/plain", is_malformed), "I1, I4, I11: POST"),
    "malformed bodies told of as a list": (
        answered(b"[]", b"application/problem+json", is_malformed),
        "I1, I4, I11: POST",
    ),
    "a contract that is text": (
        answered(b"openapi: 3.1.0", b"application/json", lambda scope, _: scope["path"] == "/openapi.json"),
        "I8: GET /openapi.json: the contract is JSON",
    ),
    "problem types told of in HTML alone": (
        answered(b"<p>", b"text/html; charset=utf-8", is_of_problems),
        "I8: GET /problems/http_404: expected status 404",
    ),
    "pages of problems without tags": (
        patched(Application, "__call__", without_a_tag),
        "I8: GET /problems/unavailable with Accept: b'application/json, text/html': it has no ETag",
    ),
    "creations told of as null": (
        answered(b"null", b"application/json", lambda _, status: status == 201),
        "I8, I9: PUT /payments/",
    ),
    "one id of a payment": (patched(payments, "uuid4", lambda: UUID(int=1)), "I10, I11: two POST"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_answered_otherwise_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks, begins = BROKEN[name]
    breaks(monkeypatch)
    complaint = told()
    assert complaint is not None
    assert complaint.startswith(begins)


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        (payments, "uuid4", "I10, I11: POST /payments at 2 processes: one finds a payment: 200 "),
        (observed, "_request_id", "I3: POST /payments at 2 processes: x-request-id is not another one"),
    ],
)
def test_what_comes_again_is_told(
    module: ModuleType, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = [UUID(int=1), UUID(int=2)] * 2  # the second process draws what the first has drawn
    fresh = (lambda: drawn.pop(0)) if name == "uuid4" else (lambda _: drawn.pop(0).hex)
    monkeypatch.setattr(module, name, fresh)
    store = InMemoryPaymentStore(lambda: 0)
    found = asyncio.run(made_again([application.witnessed(store) for _ in range(2)]))
    assert (found or "").startswith(told)


def test_the_machine_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_require_distinct_fields", lambda _: None)

    with asyncio.Runner() as runner:
        context = in_memory()
        system = runner.run(context.__aenter__())
        _, failure = run_machine(system, runner, examples=1, steps=1, seed=1)
        runner.run(context.__aexit__(None, None, None))
    assert failure is not None
    assert failure.breaks == {"I1", "I4", "I11"}
