"""Where a request ends: its length, its chunks and their trailers, its fields. See operations.md, Limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from payments_verify.surface.exchange import Answer, Ended, Exchange
from payments_verify.surface.raw import (
    BODY,
    CAPTURES,
    CHUNKED,
    JSON,
    NO_HTTP,
    NOBODY,
    ONE,
    READ,
    chunks,
    found,
    head,
    last,
    refused,
    served,
    with_length,
)

_BODY_LIMIT, _PASSED_OVER = 16 * 1024, 1024 * 1024
_BREAKS = "I4, I11"
_LENGTH = b"Content-Length: 21\r\n"
_OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
_WEBSOCKET = b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n"
_IN_CHUNKS = chunks(BODY, 7)
_READ_AS_IT_IS: Mapping[str, tuple[bytes, bytes]] = {
    "a body of a length": (_LENGTH, BODY),
    "a length with zeros before it": (b"Content-Length: 000021\r\n", BODY),
    "a length with spaces behind it": (b"Content-Length: 21 \t\r\n", BODY),
    "a body with empty lines": (b"Content-Length: 33\r\n", BODY.replace(b" ", b"\r\n\r\n" * 3 + b" ")),
    "a length beside fields that are like those of chunks": (
        _LENGTH + b"Transfer_Encoding: chunked\r\nTE: chunked\r\nX-Transfer-Encoding: chunked\r\n",
        BODY,
    ),
    "chunks beside a field that is like a length": (CHUNKED + b"Content_Length: 2\r\n", _IN_CHUNKS),
    "a body in chunks": (CHUNKED, _IN_CHUNKS),
    "chunks in other letters": (b"tRANSFER-eNCODING:\tChunked \r\n", _IN_CHUNKS),
    "sizes with zeros before them, and in capitals": (
        CHUNKED,
        b"00A\r\n%b\r\n00000000000000000000B\r\n%b\r\n000\r\n\r\n" % (BODY[:10], BODY[10:]),
    ),
    "chunks with extensions": (CHUNKED, b'15;a;b=c;d="e f"\r\n%b\r\n0;z\r\n\r\n' % BODY),
    "an offer of h2c": (_OFFER + _LENGTH, BODY),
    "an offer of h2c, and chunks": (_OFFER + CHUNKED, _IN_CHUNKS),
    "an offer of a websocket": (_WEBSOCKET + _LENGTH, BODY),
    "an offer without its Connection": (b"Upgrade: h2c\r\n" + CHUNKED, _IN_CHUNKS),
    "trailers": (CHUNKED, chunks(BODY, 99, b"X-Sum: 1\r\n" * 101)),
    "trailers that would be fields": (
        CHUNKED,
        chunks(
            BODY,
            99,
            b"Host: example.com\r\nAuthorization: x\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n",
        ),
    ),
    "trailers with an offer": (CHUNKED, chunks(BODY, 99, _OFFER)),
}
"""A creation of what is there, by its fields and what follows them."""

_IN_DOUBT: Mapping[str, tuple[bytes, bytes]] = {
    "two lengths": (_LENGTH + b"Content-Length: 2\r\n", BODY),
    "a length twice": (_LENGTH * 2, BODY),
    "lengths in a list": (b"Content-Length: 21, 21\r\n", BODY),
    "a length and chunks": (_LENGTH + CHUNKED, _IN_CHUNKS),
    "chunks and a length": (CHUNKED + _LENGTH, _IN_CHUNKS),
    "a length with a sign": (b"Content-Length: +21\r\n", BODY),
    "a length below zero": (b"Content-Length: -21\r\n", BODY),
    "a length that is hexadecimal": (b"Content-Length: 0x15\r\n", BODY),
    "a length with an underscore": (b"Content-Length: 2_1\r\n", BODY),
    "a length with a fraction": (b"Content-Length: 21.0\r\n", BODY),
    "a length in other digits": (b"Content-Length: \xd9\xa2\xd9\xa1\r\n", BODY),
    "a length with a space in it": (b"Content-Length: 2 1\r\n", BODY),
    "a length that is empty": (b"Content-Length:\r\n", BODY),
    "a length beyond 64 bits": (b"Content-Length: 18446744073709551637\r\n", BODY),  # 2^64 + 21
    "a length on a line of its own": (b"Content-Length:\r\n 21\r\n", BODY),
    "a space behind a field's name": (b"Content-Length : 21\r\n", BODY),
    "chunks, and a space behind the name": (b"Transfer-Encoding : chunked\r\n" + _LENGTH, BODY),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n", _IN_CHUNKS),
    "chunked in two fields": (CHUNKED * 2, _IN_CHUNKS),
    "chunked, and not last": (b"Transfer-Encoding: chunked, gzip\r\n", _IN_CHUNKS),
    "a coding and a length": (b"Transfer-Encoding: gzip\r\n" + _LENGTH, BODY),
    "no coding and a length": (b"Transfer-Encoding: identity\r\n" + _LENGTH, BODY),
    "a coding that is like chunked": (b"Transfer-Encoding: xchunked\r\n", _IN_CHUNKS),
    "a coding in quotes": (b'Transfer-Encoding: "chunked"\r\n', _IN_CHUNKS),
    "a coding behind a control character": (b"Transfer-Encoding: \x0bchunked\r\n", _IN_CHUNKS),
}
_NO_CHUNKS: Mapping[str, bytes] = {
    "a size with a sign": b"+15\r\n%b\r\n0\r\n\r\n",
    "a size below zero": b"-15\r\n%b\r\n0\r\n\r\n",
    "a size in 0x": b"0x15\r\n%b\r\n0\r\n\r\n",
    "a size with an underscore": b"1_5\r\n%b\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000015\r\n%b\r\n0\r\n\r\n",
    "a space before a size": b" 15\r\n%b\r\n0\r\n\r\n",
    "a space behind a size": b"15 \r\n%b\r\n0\r\n\r\n",
    "no size": b"\r\n%b\r\n0\r\n\r\n",
    "a size that is too small": b"14\r\n%b\r\n0\r\n\r\n",
    "a size that ends in LF": b"15\n%b\r\n0\r\n\r\n",
    "a chunk that ends in LF": b"15\r\n%b\n0\r\n\r\n",
    "a body that ends in LF": b"15\r\n%b\r\n0\r\n\n",
    "an extension with a line feed": b"15;a\nb\r\n%b\r\n0\r\n\r\n",
    "a trailer that is a length": b"15\r\n%b\r\n0\r\nContent-Length: 5\r\n\r\n",
    "a trailer on two lines": b"15\r\n%b\r\n0\r\nX: y\r\n z\r\n\r\n",
    "a trailer without a colon": b"15\r\n%b\r\n0\r\nX\r\n\r\n",
}
"""What follows a head that says chunks; ``%b`` stands for the body."""

_NO_FIELDS: Mapping[str, bytes] = {
    "a field on two lines": b"X-More: a\r\n b\r\n",
    "a line that ends in LF": b"X-More: a\nX-Less: b\r\n",
    "a carriage return in a value": b"X-More: a\rX-Less: b\r\n",
    "a NUL in a value": b"X-More: a\x00b\r\n",
    "a control character in a value": b"X-More: a\x01b\r\n",
    "a NUL in a name": b"X-\x00: a\r\n",
    "a name that is not ASCII": b"X-\xc3\xa9: a\r\n",
    "a name with a space": b"X More: a\r\n",
    "a name with a bracket": b"X(: a\r\n",
    "a tab behind a name": b"X-More\t: a\r\n",
    "no name": b": a\r\n",
    "no colon": b"X-More\r\n",
}


def framed() -> Iterator[Exchange]:
    """Requests with bodies, each where it stands alone, among others, and before what is no HTTP."""
    for what, (fields, body) in _READ_AS_IT_IS.items():
        yield served(_BREAKS, what, head("PUT", ONE, JSON + fields) + body, found())
    for what, (fields, body) in _IN_DOUBT.items():
        yield from refused(_BREAKS, what, head("PUT", ONE, JSON + fields) + body)
    for what, form in _NO_CHUNKS.items():
        yield from refused(_BREAKS, what, head("PUT", ONE, JSON + CHUNKED) + form % BODY)
    for what, fields in _NO_FIELDS.items():
        yield from refused("I11", what, head("GET", ONE, fields))
    yield from _of_the_old_version()
    yield from _coded()
    yield from _keyed()
    yield from _without_use()
    yield from _large()


def _of_the_old_version() -> Iterator[Exchange]:
    """HTTP/1.0 knows lengths, and no chunks."""
    sent = with_length("PUT", ONE, version="1.0")
    yield from last(_BREAKS, "a body in HTTP/1.0", sent, found())
    for what, fields in (
        ("chunks", CHUNKED),
        ("chunks and a length", CHUNKED + _LENGTH),
        ("chunks on a connection to be kept", CHUNKED + b"Connection: keep-alive\r\n"),
        ("chunks and an offer", CHUNKED + _OFFER),
        ("a coding", b"Transfer-Encoding: gzip, chunked\r\n"),
    ):
        sent = head("PUT", ONE, JSON + fields, version="1.0") + _IN_CHUNKS
        yield from refused(_BREAKS, f"{what} in HTTP/1.0", sent)


def _coded() -> Iterator[Exchange]:
    unknown = Answer(501, "unsupported_transfer_coding")
    for what, fields in (
        ("a coding that is unknown", b"Transfer-Encoding: gzip, chunked\r\n"),
        ("a coding in a field before", b"Transfer-Encoding: gzip\r\n" + CHUNKED),
    ):
        yield from last(_BREAKS, what, head("PUT", ONE, JSON + fields) + chunks(BODY, 99), unknown)
    sent = head("PUT", ONE, JSON + CHUNKED) + chunks(BODY, 99, b"Connection: close\r\n")
    yield from last("I9, I11", "a trailer that says close", sent, found())


def _keyed() -> Iterator[Exchange]:
    """A key is a field of its own request."""
    missing = Answer(400, "idempotency_key_missing", ("POST", CAPTURES))
    keyed = head("POST", CAPTURES, JSON + CHUNKED) + chunks(b"{}", 9, b"Idempotency-Key: k\r\n")
    yield served(_BREAKS, "a key behind the body", keyed, missing)
    like = with_length("POST", CAPTURES, b"Idempotency_Key: k\r\nX-Idempotency-Key: k\r\n", b"{}")
    yield served(_BREAKS, "fields that are like a key", like, missing)
    invalid = Answer(422, "invalid_request", ("POST", CAPTURES))
    named = with_length("POST", CAPTURES, b"iDEMPOTENCY-kEY: k\r\n", b"{}")
    yield served("I3, I4", "a key whose field is written in other letters", named, invalid)
    twice = Answer(400, "idempotency_key_malformed", ("POST", CAPTURES))
    sent = with_length("POST", CAPTURES, b"Idempotency-Key: k\r\nIDEMPOTENCY-KEY: k\r\n", b"{}")
    yield served("I3, I4", "a key in two fields", sent, twice)


def _without_use() -> Iterator[Exchange]:
    """A body that no method wants is read, and is no request of its own."""
    hidden = b"DELETE /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    allow = (("allow", "GET, HEAD, OPTIONS, PUT"),)
    for method, answer in (
        ("GET", found("GET")),
        ("HEAD", Answer(200, to=("HEAD", ONE), has_body=False)),
        ("OPTIONS", Answer(204, to=("OPTIONS", ONE), has_body=False)),
        ("DELETE", Answer(405, "http_405", ("DELETE", ONE), shows=allow)),
    ):
        yield served(_BREAKS, f"{method} with a body", with_length(method, ONE, body=hidden), answer)
        sent = head(method, ONE, CHUNKED) + chunks(hidden, 99)
        yield served(_BREAKS, f"{method} with a body in chunks", sent, answer)
    nothing = Answer(400, "malformed_json", ("PUT", ONE))
    yield served(_BREAKS, "a creation without a length", head("PUT", ONE, JSON), nothing)


def _large() -> Iterator[Exchange]:
    put = head("PUT", ONE, JSON + CHUNKED)
    too_large = Answer(413, "body_too_large", ("PUT", ONE))
    long = BODY + b" " * (_BODY_LIMIT + 1 - len(BODY))
    exact = put + chunks(long[:-1], 4096)
    yield Exchange(_BREAKS, "a body of the most bytes, in chunks", (exact, found()))
    yield served("I11", "a body of more, in chunks", put + chunks(long, 4096), too_large)
    length = _PASSED_OVER - 2 * len(put)
    begun = head("PUT", ONE, JSON + b"Content-Length: %d\r\n" % length) + long
    rest = b" " * (length - len(long)) + READ
    yield Exchange("I9, I11", "the rest of a body that was refused", (begun, too_large, rest, NOBODY))
    begun = head("PUT", ONE, JSON + b"Content-Length: %d\r\n" % (2 * _PASSED_OVER)) + long
    rest = b" " * (_PASSED_OVER - len(long))
    ended = Ended(problem="body_too_large")
    yield Exchange("I9, I11", "too long a rest of a body that was refused", (begun, too_large, rest, ended))
    begun = put + b"%x\r\n%b" % (len(long), long)
    ended = Ended(problem="malformed_http")
    steps = (begun, too_large, NO_HTTP, ended)
    yield Exchange("I6, I11", "what is no HTTP within a body that was refused", steps)
