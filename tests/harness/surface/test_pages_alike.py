"""Pages that are the same for everybody: each answer to a condition that is another one is told."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from payments_core.entrypoints.http import pages
from payments_core.entrypoints.http.contract.descriptions import BY_NAME
from payments_core.entrypoints.http.resources import read
from payments_verify.surface.answers import TITLES
from payments_verify.surface.pages import broken_pages
from payments_verify.systems.application import witnessed
from payments_verify.systems.memory_store import InMemoryPaymentStore

Static = Callable[..., Response]
PROBLEMS = Path(__file__).parents[3] / "specs" / "problems"


def told() -> str | None:
    return asyncio.run(broken_pages(witnessed(InMemoryPaymentStore(lambda: 1_900_000_000_000_000))))


def test_the_service_as_it_is() -> None:
    assert told() is None


def test_every_problem_type_is_looked_at() -> None:
    assert TITLES.keys() == BY_NAME.keys() == {each.stem for each in PROBLEMS.glob("[a-z]*.md")}


_static, _is_known, _read = pages.static, pages.is_known, read


def by_time(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    """Who names a time has it."""
    if "if-modified-since" in request.headers:
        return Response(
            status_code=304, headers={"ETag": _static(request, content, media_type).headers["etag"]}
        )
    return _static(request, content, media_type, **headers)


def in_parts(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    if "range" in request.headers:
        return Response(content[:1], 206, headers, media_type=media_type)
    return _static(request, content, media_type, **headers)


def without_fields(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    answer = _static(request, content, media_type, **headers)
    return (
        Response(status_code=304, headers={"ETag": answer.headers["etag"]})
        if answer.status_code == 304
        else answer
    )


def that_may_be_kept(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    return _static(request, content, media_type, **headers, **{"Cache-Control": "max-age=60"})


def of_another_type(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    return _static(request, content, media_type.replace("css", "plain"), **headers)


def with_scripts(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    policy = pages.CONTENT_SECURITY_POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'")
    return _static(request, content, media_type, **headers, **{"Content-Security-Policy": policy})


@pytest.mark.parametrize(
    ("static", "begins"),
    [
        (by_time, "I8: GET / with .*If-Modified-Since: "),
        (in_parts, "I8: GET / with .*Range: "),
        (without_fields, "I8: GET / with If-None-Match: .* expected 304"),
        (of_another_type, "I8: GET /static/style.css: it is text/css; charset=utf-8, for nothing but"),
        (with_scripts, "I8: GET /: it is text/html; charset=utf-8, for nothing but its own files"),
        (that_may_be_kept, "I8: GET /: it has to be asked for again each time"),
    ],
)
def test_a_page_that_is_served_otherwise(
    static: Static, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "static", static)
    assert re.match(begins, told() or "")


def test_two_pages_of_one_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "hashlib", SimpleNamespace(blake2b=lambda *_, **__: hashlib.blake2b(b"")))
    assert re.match("I8: GET /openapi.json: another page has the same tag", told() or "")


@pytest.mark.parametrize(
    "is_known",
    [
        lambda _, fields: bool(fields),
        lambda _tag, fields: any('"' in each for each in fields),
        lambda tag, fields: any(tag.strip('"') in each for each in fields),
        lambda tag, fields: any(tag.lower() in each.lower() for each in fields) or "*" in fields,
        lambda tag, fields: tag in fields,
        lambda tag, fields: _is_known(tag, fields[:1]),
        lambda *_: False,
    ],
    ids=["any field", "any tag", "within another", "whatever case", "alone", "the first field", "never"],
)
def test_a_tag_that_is_compared_otherwise(
    is_known: Callable[[str, list[str]], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "is_known", is_known)
    assert re.match("I8: GET / with If-None-Match: ", told() or "")


@pytest.mark.parametrize("html", ["*/*", "application/json", "text/"])
def test_a_page_for_whoever_does_not_name_it(html: str, monkeypatch: pytest.MonkeyPatch) -> None:
    as_it_is = Request.headers.fget  # type: ignore[attr-defined]

    def headers(request: Request) -> object:
        found = as_it_is(request)
        if html not in found.get("accept", ""):
            return found
        return type(found)({**found, "accept": "text/html"})

    monkeypatch.setattr(Request, "headers", property(headers))
    assert re.match("I8: GET /problems/.* with Accept: ", told() or "")


def test_a_description_that_says_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(iter(BY_NAME.values()))
    monkeypatch.setattr(pages, "BY_NAME", dict.fromkeys(BY_NAME, first) | {"nothing": first})
    assert re.match("I8: GET /problems/.*: expected status", told() or "")


def test_what_is_not_there_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(iter(BY_NAME.values()))
    monkeypatch.setattr(pages, "BY_NAME", {**BY_NAME, "nothing": first})
    assert re.match("I8: GET /problems/nothing: expected 404, got 200", told() or "")
