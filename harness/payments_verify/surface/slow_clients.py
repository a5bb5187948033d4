"""What clients may take their time for, and when a process ends their connections: operations.md, Limits."""

from __future__ import annotations

from collections.abc import Iterator

from payments_verify.surface.exchange import Answer, Ended, Exchange, Pause, Step
from payments_verify.surface.written import PAYMENT, UNKNOWN

HEAD_S, BODY_S, IDLE_S, ENDING_S = 10.0, 30.0, 5.0, 2.0
_UNREAD_S = 20.0
_SOON_S = 1.0
"""What a limit may be missed by, in seconds."""
_PIECES = 8
_PIPELINED = 64
_FIELDS = b"Host: {host}\r\nAuthorization: {authorization}\r\n"
_READ_PATH, _PUT_PATH = f"/payments/{UNKNOWN}", f"/payments/{PAYMENT}"
_CAPTURES_PATH = f"{_PUT_PATH}/captures"
_BEGUN = f"GET {_READ_PATH} HTTP/1.1\r\n".encode() + _FIELDS
_MORE = b"X-More: 1\r\n\r\n"
READ = _BEGUN + _MORE
NOBODY = Answer(404, "payment_not_found", ("GET", _READ_PATH))
TOO_LATE = Answer(408, "request_timeout", closes=True)
_BODY = b'{"amount_cents": 500}'
CAPTURE = (
    f"POST {_CAPTURES_PATH} HTTP/1.1\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\n".encode()
)
CAPTURE += _FIELDS + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY
CAPTURED = Answer(201, to=("POST", _CAPTURES_PATH))
_PUT = f"PUT {_PUT_PATH} HTTP/1.1\r\nContent-Type: application/json\r\n".encode() + _FIELDS
_WITH_LENGTH = _PUT + b"Content-Length: %d\r\n\r\n" % len(_BODY)
_CHUNKED = _PUT + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(_BODY), _BODY)
_FOUND = Answer(200, to=("PUT", _PUT_PATH))
_LARGE = b"GET /openapi.json HTTP/1.1\r\n" + _FIELDS + b"\r\n"


def slow_exchanges(large: int) -> Iterator[Exchange]:
    """All of them.

    Args:
        large: how many bytes ``/openapi.json`` has.
    """
    late = HEAD_S + _SOON_S
    yield Exchange("I9", "a head that comes in time", (_BEGUN, *_slowly(_MORE, HEAD_S - _SOON_S), NOBODY))
    begun = (_BEGUN, *_slowly(_MORE[:-1], HEAD_S - _SOON_S))
    yield Exchange("I9", "a head that comes too late", (*begun, Pause(2 * _SOON_S), TOO_LATE, Ended()))
    yield Exchange("I9", "a client that connects and says nothing", (Pause(late), Ended()))
    both = (READ + READ[:9], NOBODY, Pause(late), TOO_LATE, Ended())
    yield Exchange("I9", "the head of a second request that comes too late", both)
    in_time = (_WITH_LENGTH, *_slowly(_BODY, BODY_S - _SOON_S), _FOUND)
    yield Exchange("I9", "a body that comes in time", in_time)
    begun = (_WITH_LENGTH, *_slowly(_BODY[:-1], BODY_S - _SOON_S))
    yield Exchange("I9", "a body that comes too late", (*begun, Pause(2 * _SOON_S), TOO_LATE, Ended()))
    trailing = (_CHUNKED, *_slowly(b"X-Sum: 123", BODY_S - _SOON_S))
    yield Exchange("I9", "trailers that come in time", (*trailing, b"\r\n\r\n", _FOUND))
    yield Exchange("I9", "trailers that come too late", (*trailing, Pause(2 * _SOON_S), TOO_LATE, Ended()))
    again = (READ, NOBODY, Pause(IDLE_S - _SOON_S), READ, NOBODY, Pause(IDLE_S + _SOON_S), Ended())
    yield Exchange("I9", "a client that says nothing more", again)
    half = large * _PIPELINED // 2
    unread = (_LARGE * _PIPELINED, Pause(_UNREAD_S / 2), Pause(_UNREAD_S / 2 + _SOON_S), Ended(most=half))
    yield Exchange("I9", "answers that are not read", unread)


def _slowly(sent: bytes, seconds: float) -> Iterator[Step]:
    """The bytes in pieces, the first at once and the last after so many seconds."""
    size = -(-len(sent) // _PIECES)
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    yield pieces[0]
    for each in pieces[1:]:
        yield Pause(seconds / (len(pieces) - 1))
        yield each
