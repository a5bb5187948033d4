"""Requests as bytes: how they are written, and where they stand on a connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from payments_verify.surface.exchange import Answer, Ended, Exchange, Step
from payments_verify.surface.written import PAYMENT, UNKNOWN

BODY = b'{"amount_cents": 500}'
ONE, CAPTURES, UNKNOWN_PATH = f"/payments/{PAYMENT}", f"/payments/{PAYMENT}/captures", f"/payments/{UNKNOWN}"
HOST = b"Host: {host}\r\n"
RIGHT = b"Authorization: {authorization}\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NO_HTTP = b"NO HTTP\r\n\r\n"
MALFORMED = Answer(400, "malformed_http")
NOBODY = Answer(404, "payment_not_found", ("GET", UNKNOWN_PATH))


def head(
    method: str, path: str, fields: bytes = b"", version: str = "1.1", first: bytes = HOST + RIGHT
) -> bytes:
    """A request's head: its first line, these fields, and more."""
    return f"{method} {path} HTTP/{version}\r\n".encode() + first + fields + b"\r\n"


def with_length(
    method: str, path: str, fields: bytes = b"", body: bytes = BODY, version: str = "1.1"
) -> bytes:
    """A request with a body, and its length."""
    length = b"Content-Length: %d\r\n" % len(body)
    return head(method, path, JSON + length + fields, version) + body


def chunks(body: bytes, size: int, trailers: bytes = b"") -> bytes:
    """A body in chunks of so many bytes."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


def found(method: str = "PUT", path: str = ONE) -> Answer:
    """The answer to a request of a payment that is there."""
    return Answer(200, to=(method, path))


READ = head("GET", UNKNOWN_PATH)


def served(breaks: str, what: str, sent: bytes, *answers: Answer) -> Exchange:
    """A request that leaves its connection open: the first on it, between two in one packet, before no HTTP.

    Args:
        breaks: the invariants that another answer breaks.
        what: it is, for people.
        sent: the request.
        answers: to it.
    """
    between: tuple[Step, ...] = (READ + sent + READ, NOBODY, *answers, NOBODY)
    end = closing(*answers, problem=MALFORMED.problem)
    return Exchange(breaks, what, (sent, *answers, *between, sent + NO_HTTP, *end))


def last(breaks: str, what: str, sent: bytes, *answers: Answer) -> Iterator[Exchange]:
    """A request whose answer ends the connection, though more has come; the arguments are as of `served`."""
    yield Exchange(breaks, what, (sent, *closing(*answers)))
    between = (READ + sent + READ, NOBODY, *closing(*answers))
    yield Exchange(breaks, f"{what}, between two in one packet", between)


def refused(breaks: str, what: str, sent: bytes) -> Iterator[Exchange]:
    """What is no HTTP, the first on its connection, and behind a request in one packet."""
    yield Exchange(breaks, what, (sent, *closing(MALFORMED)))
    behind = (READ + sent, *closing(NOBODY, problem=MALFORMED.problem))
    yield Exchange(breaks, f"{what}, behind a request in one packet", behind)


def closing(*answers: Answer, problem: str = "") -> Iterator[Step]:
    """The answers, of which the last says that the connection ends behind it, and the end.

    Args:
        answers: all of them.
        problem: what is counted as refused, and has no answer.
    """
    *others, final = answers
    yield from others
    yield replace(final, closes=True)
    yield Ended(problem=problem)
