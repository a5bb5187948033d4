"""What clients may take their time for, and when a process ends their connections: operations.md, Limits."""

from __future__ import annotations

from collections.abc import Iterator

from payments_verify.surface.exchange import Answer, Ended, Exchange, Pause, Step
from payments_verify.surface.raw import (
    BODY,
    CAPTURES,
    CHUNKED,
    JSON,
    NOBODY,
    ONE,
    UNKNOWN_PATH,
    chunks,
    found,
    head,
    with_length,
)

HEAD_S, BODY_S, IDLE_S, ENDING_S = 10.0, 30.0, 5.0, 2.0
_UNREAD_S = 20.0
_SOON_S = 1.0
"""What a limit may be missed by, in seconds."""
_PIECES = 8
_PIPELINED = 64
_BEGUN = head("GET", UNKNOWN_PATH).removesuffix(b"\r\n")
_MORE = b"X-More: 1\r\n\r\n"
READ = _BEGUN + _MORE
TOO_LATE = Answer(408, "request_timeout", closes=True)
CAPTURE = with_length("POST", CAPTURES, b"Idempotency-Key: k\r\n")
CAPTURED = Answer(201, to=("POST", CAPTURES))
_WITH_LENGTH = with_length("PUT", ONE).removesuffix(BODY)
_CHUNKED = head("PUT", ONE, JSON + CHUNKED) + chunks(BODY, len(BODY)).removesuffix(b"\r\n")
_LARGE = head("GET", "/openapi.json")


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
    in_time = (_WITH_LENGTH, *_slowly(BODY, BODY_S - _SOON_S), found())
    yield Exchange("I9", "a body that comes in time", in_time)
    begun = (_WITH_LENGTH, *_slowly(BODY[:-1], BODY_S - _SOON_S))
    yield Exchange("I9", "a body that comes too late", (*begun, Pause(2 * _SOON_S), TOO_LATE, Ended()))
    trailing = (_CHUNKED, *_slowly(b"X-Sum: 123", BODY_S - _SOON_S))
    yield Exchange("I9", "trailers that come in time", (*trailing, b"\r\n\r\n", found()))
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
