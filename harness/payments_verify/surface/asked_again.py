"""Each kind of answer, asked for again: with another id each time, and with fields that mean nothing here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from payments_verify.binding import Response
from payments_verify.payments.observed.observations import BrokenContractError
from payments_verify.surface.answers import PER_REQUEST, fields_of, problem_of
from payments_verify.surface.witness import Witness
from payments_verify.surface.written import BODY_LIMIT, JSON, Fields, Written

_RIGHT, _OTHER = 500, 501
_BODY = b'{"amount_cents": 500}'
_WINDOW = b'{"capture_window_seconds": 86400}'
_AS_OF = re.compile(rb'"as_of":"[^"]*"')
_IGNORED: Mapping[str, tuple[bytes, ...]] = {
    "Accept": (
        *(b"application/json", b"application/problem+json", b"text/html", b"*/*", b"application/*", b""),
        *(b"text/html;q=1, */*;q=0", b"application/json;q=0", b"application/xml, text/plain;q=0.5", b"x"),
        b"application/json, application/problem+json;q=0.9",
    ),
    "Accept-Charset": (b"utf-16",),
    "Accept-Encoding": (b"gzip, br, zstd", b"identity;q=0", b"*"),
    "Accept-Language": (b"de", b"fr-CH, fr;q=0.9, *;q=0.5"),
    "Access-Control-Request-Method": (b"DELETE",),
    "Cache-Control": (b"no-cache", b"only-if-cached", b"max-age=60"),
    "Content-Language": (b"de",),
    "Content-Location": (b"/nowhere",),
    "Content-MD5": (b"x",),
    "Cookie": (b"a=b",),
    "Date": (b"Thu, 01 Jan 1970 00:00:00 GMT",),
    "Digest": (b"sha-256=x",),
    "DNT": (b"1",),
    "Expect": (b"100-continue", b"x"),
    "Forwarded": (b"for=192.0.2.1;proto=https;host=elsewhere",),
    "From": (b"a@example.com",),
    "If-Match": (b'"x"', b"*"),
    "If-Modified-Since": (b"Fri, 01 Jan 2100 00:00:00 GMT",),
    "If-None-Match": (b"*", b'"x"'),
    "If-Unmodified-Since": (b"Thu, 01 Jan 1970 00:00:00 GMT",),
    "Max-Forwards": (b"0",),
    "Origin": (b"https://example.com", b"null"),
    "Pragma": (b"no-cache",),
    "Prefer": (b"return=minimal", b"respond-async", b"return=representation, wait=1"),
    "Priority": (b"u=0",),
    "Range": (b"bytes=0-1",),
    "Referer": (b"https://example.com/",),
    "Sec-Fetch-Site": (b"cross-site",),
    "TE": (b"trailers", b"gzip"),
    "Traceparent": (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
    "User-Agent": (b"curl/8.5.0", b"Mozilla/5.0 (X11; Linux x86_64)", b"ELB-HealthChecker/2.0", b""),
    "Via": (b"1.0 elsewhere",),
    "X-Api-Version": (b"1",),
    "X-Correlation-ID": (b"c",),
    "X-Debug": (b"1",),
    "X-Forwarded-For": (b"192.0.2.1",),
    "X-Forwarded-Host": (b"elsewhere",),
    "X-Forwarded-Prefix": (b"/elsewhere",),
    "X-Forwarded-Proto": (b"https",),
    "X-HTTP-Method-Override": (b"DELETE", b"GET"),
    "X-Idempotency-Key": (b"another",),
    "X-Original-URL": (b"/nowhere",),
    "X-Real-IP": (b"192.0.2.1",),
    "X-Requested-With": (b"XMLHttpRequest",),
}
"""Fields that a framework, a middleware, a server or a program may act upon, and that mean nothing here."""

_TYPES: Sequence[Fields] = tuple((("Accept", each),) for each in _IGNORED["Accept"])
_OTHERS: Sequence[Fields] = tuple(
    ((name, each),) for name, values in _IGNORED.items() for each in values if name != "Accept"
)
_SHARES = 4
"""Of so many kinds that follow each other one is asked for with each of the other fields."""


@dataclass(frozen=True)
class _Kind(Written):
    """A request of which nothing comes but its answer, which is the same each time.

    Attributes:
        token: what stands in ``Authorization``, where it is not that of every request.
        amount: of a capture that was decided under its key before.
    """

    token: bytes | None = None
    amount: int | None = None


async def wrong_when_asked_again(witness: Witness, tokens: Mapping[str, str]) -> str | None:
    """What is answered otherwise the next time, or to another id or field; ``None`` if nothing.

    Args:
        witness: of the process.
        tokens: a token of each scope alone, by the scope's name; none if the process asks for no tokens.
    """
    paths = await _made(witness)
    for number, kind in enumerate((*_kinds(*paths), *_refusals(paths[0], tokens))):
        beside = ((), *_TYPES, *_OTHERS[number % _SHARES :: _SHARES], ())
        if (wrong := await _wrong_again(witness, kind, beside)) is not None:
            return wrong
    return None


async def _wrong_again(witness: Witness, kind: _Kind, asked: Sequence[Fields]) -> str | None:
    plain, told = None, ""
    try:
        for number, beside in enumerate(asked):
            told = "".join(f", {name}: {value!r}" for name, value in beside)
            given = f"{number}.again"
            answer = await _asked(witness, kind, (*beside, ("X-Request-ID", given.encode())))
            seen, named = _seen(answer), answer.headers.get("x-request-id")
            if named != given:
                return f"I11: {_shown(kind, told)}: X-Request-ID is {given!r}, and the answer has {named!r}"
            plain = plain or seen
            if plain[:2] != (kind.status, kind.problem):
                return None  # what is wrong the first time breaks other invariants, and others tell it
            if seen != plain:
                return f"{kind.breaks}: {_shown(kind, told)}: the answer was {plain} before, and is {seen}"
    except BrokenContractError as error:
        return f"{kind.breaks}: {_shown(kind, told)}: {error}"
    return None


async def _made(witness: Witness) -> tuple[str, str, str, str]:
    """The paths of a payment to capture, of one that is authorized, of one that is pending, and of none."""
    captured, authorized, pending, unknown = (f"/payments/{uuid4()}" for _ in range(4))
    for path in (captured, authorized, pending):
        await witness.write("PUT", path, JSON, _BODY)
    for path in (captured, authorized):
        await witness.write("POST", f"{path}/authorize", JSON, _WINDOW)
    return captured, authorized, pending, unknown


def _kinds(captured: str, authorized: str, pending: str, unknown: str) -> Iterator[_Kind]:
    """Captures that are decided once, with a refusal for each payment, and what leaves a payment as it is."""
    decided: tuple[tuple[str, bytes, int, int, str], ...] = (
        (authorized, b"other", _OTHER, 422, "amount_mismatch"),
        (captured, b"right", _RIGHT, 201, ""),
        (captured, b"late", _RIGHT, 409, "already_captured"),
        (pending, b"early", _RIGHT, 409, "not_authorized"),
        (captured, b"right", _OTHER, 422, "idempotency_key_reused"),
    )
    for path, key, amount, status, problem in decided:
        fields = (("Idempotency-Key", key),)
        breaks = "I3, I4" if problem == "idempotency_key_reused" else "I3"
        yield _Kind(breaks, "POST", f"{path}/captures", status, problem, fields, amount=amount)
    captures, keyed = f"{captured}/captures", (*JSON, ("Idempotency-Key", b"again"))
    for path in (captured, captures, f"{captures}?limit=1", "/payments?limit=1", "/healthz"):
        yield _Kind("I8", "GET", path, 200)
    yield _Kind("I8", "OPTIONS", captured, 204)
    yield _Kind("I8", "DELETE", captured, 405, "http_405")
    for path, status, problem in (
        (unknown, 404, "payment_not_found"),
        ("/nowhere", 404, "http_404"),
        ("/payments/1", 400, "invalid_payment_id"),
        ("/payments?limit=0", 422, "invalid_query"),
    ):
        yield _Kind("I8, I11", "GET", path, status, problem)
    yield _Kind("I11", "PUT", captured, 200, "", JSON, _BODY)
    yield _Kind("I11", "PUT", captured, 409, "payment_id_conflict", JSON, b'{"amount_cents": 1}')
    yield _Kind("I11", "POST", f"{captured}/authorize", 409, "already_captured", JSON, _WINDOW)
    yield _Kind("I11", "POST", f"{captured}/fail", 409, "already_captured", JSON, b'{"reason": "voided"}')
    yield _Kind("I11", "POST", captures, 400, "idempotency_key_missing", JSON, _BODY)
    yield _Kind("I11", "POST", captures, 400, "malformed_json", keyed, b"{")
    yield _Kind("I11", "POST", captures, 422, "invalid_request", keyed, b"{}")
    yield _Kind("I11", "POST", captures, 415, "unsupported_media_type", keyed[1:], _BODY)
    yield _Kind("I11", "POST", captures, 413, "body_too_large", keyed, b" " * (BODY_LIMIT + 1))
    yield _Kind("I4, I11", "POST", f"{unknown}/captures", 404, "payment_not_found", keyed, _BODY)


def _refusals(path: str, tokens: Mapping[str, str]) -> Iterator[_Kind]:
    """What is refused before its route is looked for, and for want of a right."""
    yield _Kind("I11", "GET", "/nowhere", 400, "invalid_host", (("Host", b"payments"),) * 2)
    yield _Kind("I11", "GET", "/nowhere", 431, "head_too_large", (("X-Many", b"1"),) * 101)
    coded = (("Transfer-Encoding", b"gzip"),)
    yield _Kind("I11", "GET", "/nowhere", 501, "unsupported_transfer_coding", coded)
    if tokens:
        for token in (b"", b"Bearer unknown"):
            yield _Kind("I11", "GET", path, 401, "unauthorized", token=token)
        for method, name in (("GET", "write"), ("PUT", "read"), ("PUT", "metrics")):
            of_another = f"Bearer {tokens[name]}".encode()
            yield _Kind("I11", method, path, 403, "insufficient_scope", token=of_another)


async def _asked(witness: Witness, kind: _Kind, beside: Fields) -> Response:
    fields = (*kind.fields, *beside)
    if kind.amount is None:
        return await witness.write(kind.method, kind.path, fields, kind.body, token=kind.token)
    headers = {name: value.decode() for name, value in fields}
    return await witness.request(kind.method, kind.path, headers=headers, json={"amount_cents": kind.amount})


def _seen(answer: Response) -> tuple[int, str, Mapping[str, str], bytes]:
    """Status, problem type, fields and body, but for what is another each time by right."""
    fields = {name: value for name, value in fields_of(answer).items() if name not in PER_REQUEST}
    return answer.status_code, problem_of(answer), fields, _AS_OF.sub(b"", answer.content)


def _shown(kind: _Kind, told: str) -> str:
    fields = "".join(f", {name}: {value!r}" for name, value in kind.fields[:2])
    return f"{kind.method} {kind.path}{fields}, asked for again{told}"
