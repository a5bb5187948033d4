"""What clients may take their time for, and when a process ends their connections: operations.md, Limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
PUT = with_length("PUT", ONE)
_WITH_LENGTH = PUT.removesuffix(BODY)
_IN_CHUNKS = head("PUT", ONE, JSON + CHUNKED)
_WHOLE_CHUNKS = chunks(BODY, 5, b"X-Sum: 123\r\n")
TRAILING = _IN_CHUNKS + chunks(BODY, len(BODY), b"X-Sum: 123\r\n")
_LARGE = head("GET", "/openapi.json")
_REFUSED_BODY = with_length("PUT", ONE, body=b" " * 30_000)


def slow_exchanges(large: int) -> Iterator[Exchange]:
    """All of them.

    Args:
        large: how many bytes ``/openapi.json`` has.
    """
    of_trailers = TRAILING.index(b"X-Sum")
    lines, nobody, put = b"\r\n" * 9, (NOBODY,), (found(),)
    for what, before, begun, rest, limit_s, answers in (
        ("a head", (), _BEGUN, _MORE, HEAD_S, nobody),
        ("a head behind empty lines", (), b"\r\n", lines, HEAD_S, (READ, NOBODY)),
        ("a head behind an answer and empty lines", (READ, NOBODY), b"\r\n", lines, HEAD_S, (READ, NOBODY)),
        ("the head of a second request", (READ, NOBODY), _BEGUN, _MORE, HEAD_S, nobody),
        ("a head in the packet of another request", (), READ + _BEGUN, _MORE, HEAD_S, nobody),
        ("a body", (), _WITH_LENGTH, BODY, BODY_S, put),
        ("the body of a second request", (READ, NOBODY), _WITH_LENGTH, BODY, BODY_S, put),
        ("a body in chunks", (), _IN_CHUNKS, _WHOLE_CHUNKS, BODY_S, put),
        ("trailers", (), TRAILING[:of_trailers], TRAILING[of_trailers:], BODY_S, put),
    ):
        first = (NOBODY,) if begun.startswith(READ) else ()
        yield from _paced(what, (*before, begun, *first), rest, limit_s, answers)
    silent = (Pause(HEAD_S - _SOON_S), Pause(2 * _SOON_S), Ended())
    yield Exchange("I9", "a client that connects and says nothing", silent)
    again = (READ, NOBODY, Pause(IDLE_S - _SOON_S), READ, NOBODY, Pause(IDLE_S + _SOON_S), Ended())
    yield Exchange("I9", "a client that says nothing more", again)
    refused = Answer(413, "body_too_large", ("PUT", ONE))
    cut = (_REFUSED_BODY[:-9], refused, *_slowly(_REFUSED_BODY[-9:-1], BODY_S - _SOON_S))
    late = (*cut, Pause(2 * _SOON_S), Ended(problem=TOO_LATE.problem))
    yield Exchange("I9", "the rest of a refused body that comes too late", late)
    half = large * _PIPELINED // 2
    unread = (_LARGE * _PIPELINED, Pause(_UNREAD_S / 2), Pause(_UNREAD_S / 2 + _SOON_S), Ended(most=half))
    yield Exchange("I9", "answers that are not read", unread)


def _paced(
    what: str, before: Sequence[Step], rest: bytes, limit_s: float, answers: Sequence[Step]
) -> Iterator[Exchange]:
    """What has so many seconds to come: in time, in pieces that take too long, and a byte shortly before."""
    in_time = limit_s - _SOON_S
    yield Exchange("I9", f"{what} that comes in time", (*before, *_slowly(rest, in_time), *answers))
    end = (Pause(2 * _SOON_S), TOO_LATE, Ended())
    slowly = (*before, *_slowly(rest[:-1], in_time), *end)
    yield Exchange("I9", f"{what} that comes too late, in pieces", slowly)
    before_the_limit = (*before, rest[:1], Pause(in_time), rest[1:2], *end)
    yield Exchange(
        "I9", f"{what} that comes too late, with a byte shortly before the limit", before_the_limit
    )


def ends_by_time(exchanges: Iterable[Exchange]) -> Mapping[str, int]:
    """How often each limit in time ends a connection, by the reason that is counted."""
    steps = [step for each in exchanges for step in each.steps]
    late = sum(step == TOO_LATE or step == Ended(problem=TOO_LATE.problem) for step in steps)
    return {TOO_LATE.problem: late, "unread_answer": sum(isinstance(s, Ended) and s.most > 0 for s in steps)}


def _slowly(sent: bytes, seconds: float) -> Iterator[Step]:
    """The bytes in pieces, the first at once and the last after so many seconds."""
    size = -(-len(sent) // _PIECES)
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    yield pieces[0]
    for each in pieces[1:]:
        yield Pause(seconds / (len(pieces) - 1))
        yield each
