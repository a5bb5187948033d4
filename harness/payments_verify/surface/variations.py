"""Requests with one thing wrong in a right value, or two things at once, and the answer to each.

A list of wrong values has those that somebody thought of. Here a right value is cut, doubled and written over
at each of its places, and numbers lie at each end of a type. A plain reading of the same bytes says what the
answer has to be: no answer is written out, and none of these requests changes anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from payments_model import MAX_AMOUNT
from payments_verify.surface.written import (
    BODY_LIMIT,
    JSON,
    NO_AMOUNTS,
    OF_ANOTHER_SHAPE,
    PAYMENT,
    PENDING,
    TWICE,
    UNKNOWN,
    Fields,
    Written,
)

ENDS = sorted({2**power + more for power in (7, 8, 15, 16, 31, 32, 53, 63, 64) for more in (-1, 0, 1)})
"""Where the types of numbers end, and beside it."""

_MOST_IN_A_PAGE, _LAST_PLACE, _MOST_SECONDS = 200, 2**31 - 1, 31 * 86_400
_CAPTURES = f"/payments/{PAYMENT}/captures"
_RIGHT = b'{"amount_cents": 500}'
_ID = "0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e"


def _each(single: bytes) -> tuple[bytes, ...]:
    return tuple(single[at : at + 1] for at in range(len(single)))


_IN_JSON = (
    *_each(b"\x00\x1f\x7f\x80\xc3\xff \n\x0c\"'\\{}[],:01-+._"),
    *("１".encode(), b"\xc2\xa0", b"e1", b"//"),
)
_IN_A_KEY = (
    *_each(b'\x00\x1f\x7f\x80\xa0\xff \t\r\n";,\\:=+'),
    *(b";v=2", b"; q", b", k", b'"k"', b'\\"', b"(k)", b"?1", b"%20", "ｋ".encode(), b"k" * 255),
)
_IN_AN_ID = (
    *_each(b"0Fg-.{}(~_"),
    *(b"--", b"%20", b"%00", b"%0A", b"%30", b"%2D", b"%EF%BC%90", b"urn:uuid:"),
)
_IN_A_TYPE = (*_each(b"x/*,= \t\x00\xff"), b"+json", b", a/b", "ｊ".encode())
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
_BARE = re.compile(rb"[!#-~][ -~]{0,254}")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def variations() -> Iterator[Written]:
    """All of them, each once."""
    yield from dict.fromkeys((*_bodies(), *_numbers(), *_keys(), *_ids(), *_media_types(), *_faults()))


def varied(right: bytes, noise: Sequence[bytes]) -> Iterator[bytes]:
    """What a right value may have become, each once: cut, doubled, or with noise in it; it is none of them.

    Each piece of noise is before, behind and within it, and there is one in each of its places.
    """
    places = range(len(right))
    found = [right[:at] for at in places] + [right[at + 1 :] for at in places]
    for at in places:
        found += [right[:at] + right[at + 1 :], right[: at + 1] + right[at:]]
        each = noise[at % len(noise)]
        found += [right[:at] + each + right[at:], right[:at] + each + right[at + 1 :]]
    middle = len(right) // 2
    for each in noise:
        found += [each + right, right + each, right[:middle] + each + right[middle:]]
        found.append(right[:middle] + each + right[middle + 1 :])
    yield from dict.fromkeys(each for each in found if each != right)


@dataclass(frozen=True)
class _Body:
    """A body as it has to be, and what is answered to one of another value that is right as well.

    Attributes:
        field: the name of its one field.
        right: a value, as JSON.
        refused: status and problem of a request of any other value that may be.
    """

    method: str
    path: str
    field: str
    right: bytes
    refused: tuple[int, str]
    fields: Fields = JSON

    def written(self, body: bytes) -> Written:
        """The request with this body, and its answer."""
        status, problem = self._answer(body)
        breaks = "I1, I4, I11" if self.field == "amount_cents" else "I2, I5, I11"
        return Written(breaks, self.method, self.path, status, problem, self.fields, body)

    def of_value(self, value: bytes) -> Written:
        """The same for a body with this value."""
        return self.written(b'{"%b": %b}' % (self.field.encode(), value))

    def _answer(self, body: bytes) -> tuple[int, str]:
        try:
            document = json.loads(body.decode(), object_pairs_hook=list, parse_constant=_no_constant)
        except ValueError:
            return 400, "malformed_json"
        except RecursionError:  # too deep to look into: whatever it is, it is not this
            return 422, "invalid_request"
        if not (isinstance(document, list) and len(document) == 1 and isinstance(document[0], tuple)):
            return 422, "invalid_request"
        name, value = document[0]
        if name != self.field or not self._may_be(value):
            return 422, "invalid_request"
        return (200, "") if self.method == "PUT" and value == int(self.right) else self.refused

    def _may_be(self, value: object) -> bool:
        if self.field == "reason":
            return value in ("declined", "voided")
        most = MAX_AMOUNT if self.field == "amount_cents" else _MOST_SECONDS
        return type(value) is int and 1 <= value <= most


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_PUT = _Body("PUT", f"/payments/{PAYMENT}", "amount_cents", b"500", (409, "payment_id_conflict"))
_AUTHORIZE = _Body(
    *("POST", f"/payments/{PAYMENT}/authorize", "capture_window_seconds", b"60"), (409, "already_authorized")
)
_FAIL = _Body("POST", f"/payments/{PENDING}/fail", "reason", b'"voided"', (409, "not_authorized"))
_KEY: Fields = (("Idempotency-Key", b"varied"),)
_CAPTURE = _Body(
    *("POST", f"/payments/{UNKNOWN}/captures", "amount_cents", b"500"),
    (404, "payment_not_found"),
    (*JSON, *_KEY),
)


def _bodies() -> Iterator[Written]:
    for body in (_PUT, _AUTHORIZE, _FAIL):
        right = b'{"%b": %b}' % (body.field.encode(), body.right)
        for each in varied(right, _IN_JSON):
            yield body.written(each)
    for deep in (b"[%b]", b'{"amount_cents": %b}'):
        yield _CAPTURE.written(_nested(deep, BODY_LIMIT // len(deep)))
    # Behind a wrong value there is something wrong with the text, or nothing.
    wrong = [each.replace(b"%s", _RIGHT) for each in (*OF_ANOTHER_SHAPE, *TWICE)]
    wrong += [b'{"amount_cents": %b}' % each for each in NO_AMOUNTS]
    for each in wrong:
        for text in (
            each,
            each[:-1],
            each + b",",
            each + b"}",
            each[:-1] + b",}",
            each[:-1] + b"\xff" + each[-1:],
        ):
            yield _CAPTURE.written(text)


def _nested(within: bytes, times: int) -> bytes:
    begin, end = within.split(b"%b")
    return begin * times + end * times


def _numbers() -> Iterator[Written]:
    """Each number at the ends of types, and at its own."""
    for body, most in ((_PUT, MAX_AMOUNT), (_CAPTURE, MAX_AMOUNT), (_AUTHORIZE, _MOST_SECONDS)):
        for number in (*ENDS, 0, 1, most - 1, most, most + 1):
            yield body.of_value(b"%d" % number)
            yield body.of_value(b"-%d" % number)
    for path, name, least, most in (
        ("/payments", "limit", 1, _MOST_IN_A_PAGE),
        (_CAPTURES, "limit", 1, _MOST_IN_A_PAGE),
        (_CAPTURES, "after", 0, _LAST_PLACE),
    ):
        for number in (*ENDS, 0, 1, most - 1, most, most + 1, *(-each for each in ENDS)):
            answer = (200, "") if least <= number <= most else (422, "invalid_query")
            yield Written("I8, I9", "GET", f"{path}?{name}={number}", *answer)


def _keys() -> Iterator[Written]:
    """A key that is none is told before the body is; one that may be is not."""
    keys = [key for right in (b"key-1", b'"key 1"', b'"a\\"b\\\\"') for key in varied(right, _IN_A_KEY)]
    keys += [b'"%b"' % (letter * length) for letter in (b"k", b'\\"', b"\\\\") for length in (255, 256)]
    for key in keys:
        fields: Fields = (*JSON, ("Idempotency-Key", key))
        yield Written("I3, I4, I11", "POST", _CAPTURES, *_answer_to_key(key), fields, b"{}")


def _answer_to_key(value: bytes) -> tuple[int, str]:
    text = value.strip(b" \t")
    is_key = _QUOTED.fullmatch(text) or _BARE.fullmatch(text)
    return (422, "invalid_request") if is_key else (400, "idempotency_key_malformed")


def _ids() -> Iterator[Written]:
    for each in (*varied(_ID.encode(), _IN_AN_ID), *_ids_of_each_version()):
        answer = (404, "payment_not_found") if _UUID.fullmatch(each) else (400, "invalid_payment_id")
        if each:
            yield Written("I8, I11", "GET", f"/payments/{each.decode()}", *answer)


def _ids_of_each_version() -> Iterator[bytes]:
    """Ids with each digit where UUIDs say their version and their variant; and the least and the greatest."""
    for digit in "0123456789abcdef":
        yield f"{_ID[:14]}{digit}{_ID[15:]}".encode()
        yield f"{_ID[:19]}{digit}{_ID[20:]}".encode()
        yield re.sub("[0-9a-f]", digit, _ID).encode()


def _media_types() -> Iterator[Written]:
    for each in varied(JSON[0][1], _IN_A_TYPE):
        is_right = each.strip(b" \t").lower() == JSON[0][1]
        answer = (200, "") if is_right else (415, "unsupported_media_type")
        yield Written("I11", "PUT", f"/payments/{PAYMENT}", *answer, (("Content-Type", each),), _RIGHT)


@dataclass(frozen=True)
class _Sent:
    """A capture of a payment that there is not, which is right in all else."""

    path: str = _CAPTURE.path
    key: Fields = _KEY
    media_type: Fields = JSON
    body: bytes = _RIGHT


_FAULTS: Sequence[tuple[int, str, Callable[[_Sent], _Sent]]] = (
    (400, "invalid_payment_id", lambda sent: replace(sent, path="/payments/1/captures")),
    (400, "idempotency_key_missing", lambda sent: replace(sent, key=())),
    (400, "idempotency_key_malformed", lambda sent: replace(sent, key=(("Idempotency-Key", b'"'),))),
    (415, "unsupported_media_type", lambda sent: replace(sent, media_type=())),
    (413, "body_too_large", lambda sent: replace(sent, body=b"{" + b" " * BODY_LIMIT)),
    (400, "malformed_json", lambda sent: replace(sent, body=b'{"amount_cents": 0')),
    (422, "invalid_request", lambda sent: replace(sent, body=b"{}")),
    (404, "payment_not_found", lambda sent: sent),
)
"""What may be wrong with a capture, in the order in which it is told."""


def _faults() -> Iterator[Written]:
    """Of two things that are wrong with a request the first is told."""
    for (status, problem, first), (_, _, second) in combinations(_FAULTS, 2):
        sent = first(second(_Sent()))
        fields = (*sent.media_type, *sent.key)
        yield Written("I4, I11", "POST", sent.path, status, problem, fields, sent.body)
    for query in ("limit=0&after=x", "after=x&limit=0", "more=1&limit=0", "limit=1&limit=x", "after=&more="):
        yield Written("I8, I11", "GET", f"/payments?{query}", 422, "invalid_query")
        yield Written("I8, I11", "GET", f"/payments/{UNKNOWN}/captures?{query}", 422, "invalid_query")
        yield Written("I8, I11", "GET", f"/payments/1/captures?{query}", 400, "invalid_payment_id")
