"""Requests one after the other on a connection: how long it lasts, and what is told between them."""

from __future__ import annotations

from collections.abc import Iterator

from payments_verify.surface.exchange import Answer, Ended, Exchange, Step
from payments_verify.surface.raw import (
    BODY,
    CAPTURES,
    CHUNKED,
    HOST,
    JSON,
    MALFORMED,
    NO_HTTP,
    NOBODY,
    ONE,
    READ,
    RIGHT,
    UNKNOWN_PATH,
    chunks,
    closing,
    found,
    head,
    last,
    served,
    with_length,
)

_MOST_AT_ONCE = 65
"""One that is worked on, and those that are taken in meanwhile."""
_NO_BODIES = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/problems/unavailable", "/")
_GO_ON = Answer(100, has_body=False)


def in_order() -> Iterator[Exchange]:
    """All of them, to a process with tokens."""
    steps = (READ * 2 + NO_HTTP, *closing(NOBODY, NOBODY, problem=MALFORMED.problem))
    yield Exchange("I6, I11", "what is no HTTP behind requests that came whole", steps)
    steps = (READ, NOBODY, NO_HTTP, *closing(MALFORMED))
    yield Exchange("I6, I11", "what is no HTTP behind an answer", steps)
    yield from _sequences()
    yield from _heads()
    yield from _kept()
    yield from _asked_for()


def _sequences() -> Iterator[Exchange]:
    """Nothing of a request is left on the connection for the next."""
    read, put = head("GET", ONE), with_length("PUT", ONE)
    known = Answer(200, to=("HEAD", ONE), has_body=False)
    pieces = [put[start : start + 40] for start in range(0, len(put), 40)]
    yield Exchange("I9", "a request in pieces", (*pieces, found()))
    line, rest = b"PUT /nowhere HTTP/1.1\r\n", JSON + CHUNKED + b"\r\n" + chunks(BODY, 20)
    singly = (*_bytes_of(line), HOST + RIGHT, *_bytes_of(rest))  # but for what stands for something else
    steps: tuple[Step, ...] = (*singly, Answer(404, "http_404"), READ, NOBODY)
    yield Exchange("I9", "a request byte by byte", steps)
    sent = head("HEAD", ONE) + read + READ + read
    yield Exchange("I8", "requests in one packet", (sent, known, found("GET"), NOBODY, found("GET")))
    refused = Answer(422, "invalid_request", ("PUT", ONE))
    sent = put + with_length("PUT", ONE, body=b"{}") + put
    yield Exchange("I4, I11", "bodies in one packet", (sent, found(), refused, found()))
    keyed = with_length("POST", CAPTURES, b"Idempotency-Key: k\r\n", b"{}")
    bare = with_length("POST", CAPTURES, body=b"{}")
    invalid = Answer(422, "invalid_request", ("POST", CAPTURES))
    missing = Answer(400, "idempotency_key_missing", ("POST", CAPTURES))
    yield Exchange("I4, I11", "a key, and then none", (keyed, invalid, bare, missing))
    yield Exchange("I4, I11", "a key, and then none, in one packet", (keyed + bare, invalid, missing))
    most = [NOBODY] * _MOST_AT_ONCE
    yield Exchange("I9, I11", "as many as are taken in, in one packet", (READ * _MOST_AT_ONCE, *most))
    steps = (READ * (_MOST_AT_ONCE + 1), *most, Ended(problem=MALFORMED.problem))
    yield Exchange("I9, I11", "more than are taken in, in one packet", steps)


def _bytes_of(sent: bytes) -> Iterator[bytes]:
    return (bytes([each]) for each in sent)


def _heads() -> Iterator[Exchange]:
    """No body follows a head that was asked for, whatever the answer is."""
    for path, status in (
        *((path, 200) for path in (*_NO_BODIES, CAPTURES, "/payments?limit=1")),
        *((UNKNOWN_PATH, 404), ("/nowhere", 404), ("/payments/1", 400), ("/payments?limit=0", 422)),
        (f"{ONE}/fail", 405),
    ):
        answer = Answer(status, to=("HEAD", path), has_body=False)
        yield Exchange("I8, I11", f"HEAD {path}", (head("HEAD", path) + READ, answer, NOBODY))


def _kept() -> Iterator[Exchange]:
    """A connection lasts in HTTP/1.1, unless the client says otherwise."""
    for said in ("keep-alive", "closed", "x", "close-not", "te, x"):
        sent = head("GET", ONE, f"Connection: {said}\r\n".encode())
        yield served("I9, I11", f"Connection: {said}", sent, found("GET"))
    for said in ("close", "CLOSE", "x, Close", "keep-alive, close", "x\r\nConnection: close"):
        fields = f"Connection: {said}\r\n".encode()
        yield from last("I9, I11", f"Connection: {said!r}", head("GET", ONE, fields), found("GET"))
    sent = with_length("PUT", ONE, b"Connection: close\r\n")
    yield from last("I9, I11", "a body, and Connection: close", sent, found())
    offer = with_length("PUT", ONE, b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n")
    yield from last("I9, I11", "an offer, and Connection: close", offer, found())
    for said in ("", "Connection: keep-alive\r\n"):
        sent = head("GET", ONE, said.encode(), version="1.0")
        yield from last("I9, I11", f"HTTP/1.0, {said!r}", sent, found("GET"))


def _asked_for() -> Iterator[Exchange]:
    """A body that waits to be asked for is asked for in its turn, whatever the answer will be; not in 1.0."""
    allow = (("allow", "GET, HEAD, OPTIONS, PUT"),)
    expecting = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(BODY)
    to = ("PUT", ONE)
    steps: tuple[Step, ...]
    for what, sent, answer in (
        ("is served", head("PUT", ONE, JSON + expecting), found()),
        ("is written otherwise", head("PUT", ONE, JSON + expecting.replace(b"c", b"C")), found()),
        ("has spaces", head("PUT", ONE, JSON + expecting.replace(b"\r\n", b" \r\n")), found()),
        ("is of no media type", head("PUT", ONE, expecting), Answer(415, "unsupported_media_type", to)),
        ("is for nothing", head("PUT", "/nowhere", JSON + expecting), Answer(404, "http_404")),
        (
            "is of another method",
            head("DELETE", ONE, expecting),
            Answer(405, "http_405", ("DELETE", ONE), shows=allow),
        ),
        (
            "is for no host",
            head("PUT", ONE, JSON + expecting, first=RIGHT),
            Answer(400, "invalid_host"),
        ),
        (
            "comes with an offer",
            head("PUT", ONE, JSON + expecting + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            found(),
        ),
    ):
        steps = (sent, _GO_ON, BODY + READ, answer, NOBODY)
        yield Exchange("I9, I11", f"a body that waits to be asked for, and {what}", steps)
        behind = (READ + sent, NOBODY, _GO_ON, BODY, answer)
        yield Exchange("I9, I11", f"one that waits behind another request, and {what}", behind)
    in_chunks = head("PUT", ONE, JSON + CHUNKED + b"Expect: 100-continue\r\n")
    steps = (in_chunks, _GO_ON, chunks(BODY, 7) + READ, found(), NOBODY)
    yield Exchange("I9, I11", "a body in chunks that waits to be asked for", steps)
    old = head("PUT", ONE, JSON + expecting, "1.0", HOST + RIGHT)
    steps = (old, BODY, *closing(found()))
    yield Exchange("I9, I11", "a body that would wait, in HTTP/1.0", steps)
    steps = (READ + old + BODY, *closing(NOBODY, found()))
    yield Exchange("I9, I11", "a body that would wait, in HTTP/1.0, behind another request", steps)
