"""Requests as bytes on a connection of their own: what a client's library never sends, or always hides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from payments_verify.surface.exchange import Answer, Exchange, Server, first_wrong
from payments_verify.surface.samples import Metrics, metrics_of, rejected
from payments_verify.surface.witness import Witness
from payments_verify.surface.written import PAYMENT, UNKNOWN

_MOST_FIELDS, _HEAD_LIMIT, _BODY_LIMIT = 100, 16 * 1024, 16 * 1024
_FIELD_OVERHEAD = 4
_COUNTED = ("malformed_http", "head_too_large", "unsupported_transfer_coding")
_BODY = b'{"amount_cents": 500}'
_ONE, _CAPTURES, _NOBODY = f"/payments/{PAYMENT}", f"/payments/{PAYMENT}/captures", f"/payments/{UNKNOWN}"
_FIELDS = b"Host: {host}\r\nAuthorization: {authorization}\r\n"
_JSON = b"Content-Type: application/json\r\n"
_CHUNKED = _JSON + b"Transfer-Encoding: chunked\r\n"


async def broken_on_the_wire(witness: Witness, server: Server, ids: Mapping[str, str]) -> str | None:
    """What a process answers otherwise than it has to; ``None`` if nothing. None of it changes anything.

    Args:
        witness: of the process; it counts what was answered.
        server: where the process listens.
        ids: the payments that stand for the placeholders of paths.
    """
    host = f"{server.host}:{server.port}"
    meant = {"{host}": host, "{authorization}": server.authorization, **ids}
    asked = list(exchanges(len(host + server.authorization)))
    before = await metrics_of(witness.http)
    wrong = await first_wrong(witness, server, asked, meant)
    return wrong or _miscounted(asked, before, await metrics_of(witness.http))


def _miscounted(asked: Iterable[Exchange], before: Metrics, after: Metrics) -> str | None:
    """Whether what was refused for its form is counted so, wherever it was refused."""
    answers = [step for each in asked for step in each.steps if isinstance(step, Answer)]
    was, now = rejected(before), rejected(after)
    for problem in _COUNTED:
        refused = sum(each.problem == problem for each in answers)
        if (counted := now.get(problem, 0) - was.get(problem, 0)) != refused:
            return f"I12: {refused} requests were refused as {problem}, and {counted:g} are counted"
    return None


def exchanges(known: int) -> Iterator[Exchange]:
    """All of them.

    Args:
        known: the bytes of the host and the authorization.
    """
    yield from _framed()
    yield from _targets()
    yield from _sequences()
    yield from _at_the_limits(known)


def _head(method: str, path: str, fields: bytes = b"", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\n".encode() + _FIELDS + fields + b"\r\n"


def _with_length(method: str, path: str, fields: bytes = b"", body: bytes = _BODY) -> bytes:
    return _head(method, path, b"%bContent-Length: %d\r\n%b" % (_JSON, len(body), fields)) + body


def _chunks(body: bytes, size: int, trailers: bytes = b"") -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


def _found(method: str = "PUT", path: str = _ONE) -> Answer:
    return Answer(200, to=(method, path))


def _framed() -> Iterator[Exchange]:
    put = _head("PUT", _ONE, _CHUNKED)
    too_large = Answer(413, "body_too_large", ("PUT", _ONE))
    long = _BODY + b" " * (_BODY_LIMIT + 1 - len(_BODY))
    yield Exchange("I4, I11", "a body in chunks", (put + _chunks(_BODY, 7), _found()))
    yield Exchange(
        "I4, I11", "a body of the most bytes, in chunks", (put + _chunks(long[:-1], 4096), _found())
    )
    yield Exchange("I11", "a body of more, in chunks", (put + _chunks(long, 4096), too_large))
    asked = _head("PUT", _ONE, _JSON + b"Content-Length: %d\r\nExpect: 100-continue\r\n" % len(_BODY))
    yield Exchange(
        "I9", "a body that waits to be asked for", (asked, Answer(100, has_body=False), _BODY, _found())
    )
    missing = Answer(400, "idempotency_key_missing", ("POST", _CAPTURES))
    keyed = _head("POST", _CAPTURES, _CHUNKED) + _chunks(b"{}", 9, b"Idempotency-Key: k\r\n")
    yield Exchange("I4, I11", "a key behind the body", (keyed, missing))
    named = _with_length("POST", _CAPTURES, b"iDEMPOTENCY-kEY: k\r\n", b"{}")
    invalid = Answer(422, "invalid_request", ("POST", _CAPTURES))
    yield Exchange("I3, I4", "a key whose field is written in other letters", (named, invalid))
    coded = _head("PUT", _ONE, _JSON + b"Transfer-Encoding: gzip, chunked\r\n") + _chunks(_BODY, 99)
    yield Exchange("I4, I11", "a coding that is unknown", (coded, Answer(501, "unsupported_transfer_coding")))
    for what, fields in (
        ("two lengths", b"Content-Length: 21\r\nContent-Length: 2\r\n"),
        ("a length and chunks", b"Content-Length: 21\r\nTransfer-Encoding: chunked\r\n"),
        ("a length with a sign", b"Content-Length: +21\r\n"),
        ("a space behind a field's name", b"Content-Length : 21\r\n"),
    ):
        sent = _head("PUT", _ONE, _JSON + fields) + _chunks(_BODY, 99)
        yield Exchange("I4, I11", what, (sent, Answer(400, "malformed_http")))
    upgraded = _with_length("PUT", _ONE, b"Connection: Upgrade\r\nUpgrade: h2c\r\n")
    yield Exchange("I9", "an offer of another protocol", (upgraded, _found()))


def _targets() -> Iterator[Exchange]:
    read = _found("GET")
    yield Exchange("I8, I9", "a whole URL", (_head("GET", f"http://{{host}}{_ONE}"), read))
    yield Exchange("I8, I9", "HTTP/1.0", (_head("GET", _ONE, version="1.0"), read))


def _sequences() -> Iterator[Exchange]:
    """Nothing of a request is left on the connection for the next."""
    read, put = _head("GET", _ONE), _with_length("PUT", _ONE)
    head = Answer(200, to=("HEAD", _ONE), has_body=False)
    nobody = Answer(404, "payment_not_found", ("GET", _NOBODY))
    pieces = [put[start : start + 40] for start in range(0, len(put), 40)]
    yield Exchange("I9", "a request in pieces", (*pieces, _found()))
    sent = _head("HEAD", _ONE) + read + _head("GET", _NOBODY) + read
    yield Exchange("I8", "requests in one packet", (sent, head, _found("GET"), nobody, _found("GET")))
    refused = Answer(422, "invalid_request", ("PUT", _ONE))
    sent = put + _with_length("PUT", _ONE, body=b"{}") + put
    yield Exchange("I4, I11", "bodies in one packet", (sent, _found(), refused, _found()))
    keyed = _with_length("POST", _CAPTURES, b"Idempotency-Key: k\r\n", b"{}")
    bare = _with_length("POST", _CAPTURES, body=b"{}")
    invalid = Answer(422, "invalid_request", ("POST", _CAPTURES))
    missing = Answer(400, "idempotency_key_missing", ("POST", _CAPTURES))
    yield Exchange("I4, I11", "a key, and then none", (keyed, invalid, bare, missing))


def _at_the_limits(known: int) -> Iterator[Exchange]:
    too_large = Answer(431, "head_too_large")
    others = _MOST_FIELDS - 2  # beside the host and the authorization
    for fields, answer in ((others, _found("GET")), (others + 1, too_large)):
        sent = _head("GET", _ONE, b"".join(b"x-%d: 1\r\n" % number for number in range(fields)))
        yield Exchange("I9, I11", f"{fields + 2} fields", (sent, answer))
    left = _HEAD_LIMIT - known - len("Host" + "Authorization") - 2 * _FIELD_OVERHEAD
    for size in (left, left + 1):
        path = "/payments/".ljust(size, "x")
        known_size = Answer(400, "invalid_payment_id", ("GET", path))
        answer = known_size if size == left else too_large
        yield Exchange("I9, I11", f"a target of {size} bytes", (_head("GET", path), answer))
