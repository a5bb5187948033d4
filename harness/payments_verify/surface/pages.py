"""What is the same for everybody: the contract, its page, and the problem types, under each condition."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from typing import TypeAlias

from payments_verify.binding import Response
from payments_verify.surface.answers import TITLES, complaints, fields_of, object_in
from payments_verify.surface.witness import Witness
from payments_verify.surface.written import Fields

_FILE = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_TAG = re.compile(r'"[!#-~]+"')
_PAGES, _CONTRACT = ("/", "/docs"), "/openapi.json"
_HEALTH, _ANY_TAG = ("/healthz", "/readyz"), b'"a1"'
_FIELDS = frozenset(
    {
        *(
            "etag",
            "cache-control",
            "content-security-policy",
            "referrer-policy",
            "content-length",
            "content-type",
        ),
        *("x-request-id", "x-content-type-options"),
    }
)
_NO_CONTENT_OF = frozenset({"content-length", "content-type", "x-request-id"})
"""Fields of an answer's content, and of the request: an answer that has no content lacks the former."""
_WITH_A_PAGE = (
    b"text/html",
    b"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    b"application/json, text/html",
)
_WITHOUT = (
    *(b"*/*", b"", b"application/json", b"application/problem+json", b"text/*", b"text/plain", b"text/htm"),
    *(b"text/plain, */*;q=0.1", b"application/xhtml+xml", b"image/avif,image/webp,*/*"),
)
_TIMES = (b"Thu, 01 Jan 1970 00:00:00 GMT", b"Fri, 01 Jan 2100 00:00:00 GMT", b"yesterday", b"")
_RANGES = (b"bytes=0-0", b"bytes=0-", b"bytes=-1", b"bytes=0-1,3-4", b"bytes=99999999-", b"x=1-2")
_NAMES_OF_NOTHING = ("", "nothing", "AMOUNT_MISMATCH", "amount_mismatch.html", "..", "%2e%2e")
_OK, _NOT_MODIFIED, _NOT_FOUND = 200, 304, 404
_HTML = "text/html; charset=utf-8"
_TYPES = {
    "/": _HTML,
    "/docs": _HTML,
    _CONTRACT: "application/json",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""The media type of a page by its path, or of a file by its suffix: browsers take it for nothing else."""
_POLICY = {
    *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
    *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
}
"""Nothing but files of the service's own, in nobody's frame, and no script or style within a page."""

_Answer: TypeAlias = tuple[int, Mapping[str, str], bytes]


async def broken_pages(witness: Witness) -> str | None:
    """What is answered otherwise than it has to be; ``None`` if nothing.

    Args:
        witness: of the process.
    """
    told = await _wrong_constants(witness) or await _wrong_problems(witness)
    told = told or await _wrong_without_a_tag(witness) or await _found_in_vain(witness)
    return None if told is None else f"I8: GET {told}"


async def _wrong_constants(witness: Witness) -> str | None:
    """Pages and files, whatever is accepted; another one has another tag."""
    page = await witness.write("GET", _PAGES[0])
    tags: dict[str, bytes] = {}
    for path in (*_PAGES, _CONTRACT, *sorted(set(_FILE.findall(page.text)))):
        plain = _seen(answer := await witness.write("GET", path))
        if wrong := _wrong_content(path, answer):
            return f"{path}: {wrong}"
        if tags.setdefault(plain[1]["etag"], plain[2]) != plain[2]:
            return f"{path}: another page has the same tag, {plain[1]['etag']}"
        accepted = [(("Accept", each),) for each in (*_WITH_A_PAGE, *_WITHOUT)]
        if wrong := await _wrong_under_conditions(witness, path, plain, (), accepted):
            return wrong
    return None


def _wrong_content(path: str, answer: Response) -> str | None:
    status, fields, content = _seen(answer)
    if fields.keys() != _FIELDS or fields["x-content-type-options"] != "nosniff":
        return f"{status}, and the fields are {dict(fields)}"
    if status != _OK or fields.get("content-length") != f"{len(content)}":
        return f"{status}, and Content-Length is {fields.get('content-length')} of {len(content)} bytes"
    if not _TAG.fullmatch(fields.get("etag", "")) or fields.get("cache-control") != "no-cache":
        return f"it has to be asked for again each time, by its tag: {fields}"
    wanted = _TYPES.get(path) or _TYPES.get(path.rpartition(".")[2])
    if fields["content-type"] != wanted or not _is_closed(fields):
        return f"it is {wanted}, for nothing but its own files, and nobody is told of it: {fields}"
    if path == _CONTRACT and not _is_contract(content):
        return f"the contract is JSON that begins with its version: {fields} {content[:100]!r}"
    return None


def _is_closed(fields: Mapping[str, str]) -> bool:
    """Whether a page may use nothing but the service's own files, and tells nobody where it leads from."""
    policy = [each.strip() for each in fields.get("content-security-policy", "").split(";")]
    return sorted(policy) == sorted(_POLICY) and fields.get("referrer-policy") == "no-referrer"


def _is_contract(content: bytes) -> bool:
    document = object_in(content) or {}
    return str(document.get("openapi", "")).startswith("3.") and bool(document.get("paths"))


async def _wrong_problems(witness: Witness) -> str | None:
    """Each problem type leads to what is said of it: as JSON, or as a page to who names HTML."""
    for name, (status, title) in TITLES.items():
        path = f"/problems/{name}"
        plain = _seen(answer := await witness.write("GET", path))
        said = object_in(answer.content) or {}
        if (plain[0], said.get("status"), said.get("title")) != (_OK, status, title):
            return f"{path}: expected status {status} and title {title!r}, got {plain[0]} {answer.text}"
        if told := "; ".join(complaints("GET", path, answer, {"vary": "Accept"})):
            return f"{path}: {told}"
        for accepted in _WITHOUT:
            if wrong := await _unlike(witness, path, (("Accept", accepted),), plain):
                return wrong
        for accepted in _WITH_A_PAGE:
            fields: Fields = (("Accept", accepted),)
            page = await witness.write("GET", path, fields)
            seen = _seen(page)
            is_page = (seen[0], page.headers.get("content-type")) == (_OK, _HTML) and _is_closed(seen[1])
            if not is_page or page.headers.get("vary") != "Accept" or escape(title) not in page.text:
                return f"{path} with {_shown(fields)}: expected its page, got {seen}"
    return await _wrong_under_conditions(witness, path, seen, fields, ())


async def _wrong_without_a_tag(witness: Witness) -> str | None:
    """What nobody may keep is answered as a whole, whatever a client says that it has."""
    for path in (*_HEALTH, f"/problems/{next(iter(TITLES))}"):
        plain = _seen(await witness.write("GET", path))
        if plain[0] != _OK or "etag" in plain[1]:
            return f"{path}: expected {_OK} and no tag, got {plain}"
        for each in (*_naming(_ANY_TAG), *_not_naming(_ANY_TAG), *_conditions_of_others(_ANY_TAG)):
            if wrong := await _unlike(witness, path, each, plain):
                return wrong
    return None


async def _wrong_under_conditions(
    witness: Witness, path: str, plain: _Answer, fields: Fields, ignored: Sequence[Fields]
) -> str | None:
    """Who has it is told so; who has another one, or asks for a part or by a time, gets all of it."""
    tag = plain[1].get("etag", "").encode()
    if not tag:
        return f"{path} with {_shown(fields)}: it has no ETag: {dict(plain[1])}"
    known = {name: value for name, value in plain[1].items() if name not in _NO_CONTENT_OF}
    for each in _naming(tag):
        if wrong := await _unlike(witness, path, (*fields, *each), (_NOT_MODIFIED, known, b"")):
            return wrong
    for each in (*_not_naming(tag), *_conditions_of_others(tag), *ignored):
        if wrong := await _unlike(witness, path, (*fields, *each), plain):
            return wrong
    return None


def _naming(tag: bytes) -> Iterator[Fields]:
    for value in (
        tag,
        b"W/" + tag,
        b'"x", ' + tag,
        tag + b', "x"',
        b'"a,b",W/"c" , ' + tag,
        b" %b " % tag,
        b"*",
    ):
        yield (("If-None-Match", value),)
    yield (("If-None-Match", b'"x"'), ("If-None-Match", tag))
    yield (("If-None-Match", tag), ("If-Modified-Since", _TIMES[0]))
    yield (("If-None-Match", tag), ("Range", _RANGES[0]))


def _not_naming(tag: bytes) -> Iterator[Fields]:
    inside = tag.strip(b'"')
    others = (
        b"",
        inside[:-1],
        inside[1:],
        b"x" + inside,
        inside + b"x",
        inside.swapcase(),
        inside[::-1],
        b"*",
    )
    for each in (*others, inside[: len(inside) // 2], b"0" * len(inside)):
        if each != inside:
            yield (("If-None-Match", b'"%b"' % each),)
            yield (("If-None-Match", b'W/"%b", "x"' % each),)
    for value in (b"", inside, b"'%b'" % inside, b"x", b",", b'"'):
        yield (("If-None-Match", value),)
    yield (("If-None-Match", b'"x"'), ("If-Modified-Since", _TIMES[1]))


def _conditions_of_others(tag: bytes) -> Iterator[Fields]:
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        yield from (((name, each),) for each in _TIMES)
    yield from ((("Range", each),) for each in _RANGES)
    yield from ((("Range", _RANGES[0]), ("If-Range", each)) for each in (tag, b'"x"', _TIMES[1]))
    yield from ((("If-Match", each),) for each in (tag, b'"x"', b"*"))
    yield from ((("Accept-Encoding", each),) for each in (b"gzip, br, zstd", b"identity;q=0", b""))
    yield (("Accept-Language", b"de"),)
    yield (("Cookie", b"a=b"),)
    yield (("Cache-Control", b"no-cache"),)


async def _found_in_vain(witness: Witness) -> str | None:
    """What there is not is not found."""
    for folder in ("/problems/", "/static/"):
        for name in _NAMES_OF_NOTHING:
            answer = await witness.write("GET", folder + name)
            if answer.status_code != _NOT_FOUND:
                return f"{folder}{name}: expected {_NOT_FOUND}, got {answer.status_code} {answer.text[:200]}"
    return None


async def _unlike(witness: Witness, path: str, fields: Fields, expected: _Answer) -> str | None:
    """How an answer differs from what is expected: the status, any field, any byte. HEAD has no bytes."""
    status, wanted, content = expected
    for method in ("GET", "HEAD"):
        answer = await witness.write(method, path, fields)
        seen = answer.status_code, _without(fields_of(answer), {"x-request-id"})
        if seen != (status, _without(wanted, {"x-request-id"})):
            return f"{path} with {_shown(fields)}, {method}: expected {status} {dict(wanted)}, got {seen}"
        if method == "GET" and answer.content != content:
            return (
                f"{path} with {_shown(fields)}: {len(content)} bytes were expected, not {answer.text[:200]!r}"
            )
    return None


def _seen(answer: Response) -> _Answer:
    return answer.status_code, fields_of(answer), answer.content


def _without(fields: Mapping[str, str], names: Collection[str]) -> Mapping[str, str]:
    return {name: value for name, value in fields.items() if name not in names}


def _shown(fields: Fields) -> str:
    return ", ".join(f"{name}: {value!r}" for name, value in fields)
