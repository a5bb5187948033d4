"""What is answered otherwise the next time, or to a field that means nothing, is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from payments_core.entrypoints.http import problems, resources
from payments_core.entrypoints.http.app import Application
from payments_core.entrypoints.http.observed import REQUEST_ID
from payments_verify.surface import asked_again
from payments_verify.surface.answers import problem_of
from payments_verify.surface.asked_again import wrong_when_asked_again
from payments_verify.systems.application import OwnTokens, witnessed
from payments_verify.systems.memory_store import InMemoryPaymentStore

Headers = list[tuple[bytes, bytes]]
_as_it_is = Application.__call__


def found() -> str:
    made = OwnTokens.make()
    witness = witnessed(InMemoryPaymentStore(lambda: 0), made_tokens=made)
    return asyncio.run(wrong_when_asked_again(witness, made.of_scope)) or ""


def answering(change: Callable[[dict[bytes, bytes], Headers], Headers]) -> Any:
    """An application that changes the fields of answers by those of their requests."""

    async def call(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = change(dict(scope["headers"]), list(message["headers"]))
            await send(message)

        await _as_it_is(self, scope, receive, changed)

    return call


def as_plain_json(asked: dict[bytes, bytes], answered: Headers) -> Headers:
    if asked.get(b"accept") != b"application/json":
        return answered
    return [(name, value.replace(b"problem+", b"")) for name, value in answered]


def in_a_language(asked: dict[bytes, bytes], answered: Headers) -> Headers:
    return [*answered, (b"content-language", b"de")] if b"accept-language" in asked else answered


async def by_another_method(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
    scope["method"] = dict(scope["headers"]).get(b"x-http-method-override", b"").decode() or scope["method"]
    await _as_it_is(self, scope, receive, send)


class Kept(Response):
    """A refusal that is made once; what is added to an answer is added to it for good."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.raw_headers.append((b"x-request-id", scope[REQUEST_ID].encode()))
        await super().__call__(scope, receive, send)


def test_the_service_as_it_is() -> None:
    assert not found()


def test_each_kind_is_answered_as_it_says() -> None:
    """One that is not is passed over, and looked at no further."""
    made = OwnTokens.make()
    witness = witnessed(InMemoryPaymentStore(lambda: 0), made_tokens=made)

    async def main() -> None:
        paths = await asked_again._made(witness)  # noqa: SLF001
        kinds = asked_again._kinds(*paths), asked_again._refusals(paths[0], made.of_scope)  # noqa: SLF001
        for kind in chain(*kinds):
            answer = await asked_again._asked(witness, kind, ())  # noqa: SLF001
            assert (answer.status_code, problem_of(answer)) == (kind.status, kind.problem), kind

    asyncio.run(main())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (answering(as_plain_json), "asked for again, Accept: b'application/json'"),
        (answering(in_a_language), "asked for again, Accept-Language: b"),
        (by_another_method, "asked for again, X-HTTP-Method-Override: b"),
    ],
    ids=["problems as plain JSON", "answers in a language", "another method"],
)
def test_what_a_field_changes_is_found(monkeypatch: pytest.MonkeyPatch, call: Any, told: str) -> None:
    monkeypatch.setattr(Application, "__call__", call)
    assert found().startswith("I3: POST /payments/")
    assert told in found()


def test_a_refusal_that_is_made_once_and_added_to_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(problems.document(problems.INSUFFICIENT_SCOPE, "another token"), 403)
    monkeypatch.setattr(resources, "_insufficient", lambda _: kept)
    told = found()
    assert told.startswith("I11: GET /payments/")
    assert "X-Request-ID is '0.again', and the answer has '0.again, 0.again'" in told
