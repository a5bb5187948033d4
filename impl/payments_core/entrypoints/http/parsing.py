"""From an HTTP request to values the use cases take. Whatever is wrong ends as a 4xx that says so."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import Request

from payments_core.application.dto import Cursor
from payments_core.domain.errors import InvalidValue
from payments_core.domain.payment import FailureReason
from payments_core.domain.values import (
    MAX_AMOUNT_CENTS,
    MAX_WINDOW,
    MIN_AMOUNT_CENTS,
    SECOND,
    Amount,
    CaptureWindow,
    IdempotencyKey,
)
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.problems import ProblemRaised

AmountCents = Annotated[
    int,
    msgspec.Meta(
        ge=MIN_AMOUNT_CENTS,
        le=MAX_AMOUNT_CENTS,
        description="An amount in cents: `1000`, not `1000.0`.",
        examples=[1000],
    ),
]
WindowSeconds = Annotated[
    int,
    msgspec.Meta(
        ge=1, le=MAX_WINDOW // SECOND, description="The capture window in whole seconds.", examples=[600]
    ),
]

MAX_PAGE = 200
DEFAULT_PAGE = 50
BODY_LIMIT = 16 * 1024
"""Bytes of a body at most."""
_UNCHANGED = "after is the value of next from an earlier page, unchanged"
_LAST_PLACE = 2**31 - 1  # of a PostgreSQL integer
_CURSOR_LENGTH = 24  # bytes: an instant and a UUID
_NO_LETTERS = frozenset("+/=")
"""Taken by the decoder, and in no cursor: the letters that `altchars` replaces, and the padding."""
_LATEST = (datetime.max.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TYPE = re.compile(  # who names another charset has a body that others read otherwise
    rb'[ \t]*application/json[ \t]*(;(?![ \t]*charset=(?!"?utf-8"?[ \t]*(;|$)))[^;]*)*', re.IGNORECASE
)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


class AmountRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a creation or a capture: an amount, in cents."""

    amount_cents: AmountCents

    @property
    def amount(self) -> Amount:
        """The amount, as the domain's value."""
        return Amount(self.amount_cents)


class AuthorizeRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of an authorization: for how many seconds the payment may be captured."""

    capture_window_seconds: WindowSeconds

    @property
    def window(self) -> CaptureWindow:
        """The window, as the domain's value."""
        return CaptureWindow(self.capture_window_seconds * SECOND)


class FailReason(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a failure: why. Expiry is the sweeper's, not a caller's."""

    reason: Literal["declined", "voided"]

    @property
    def failure_reason(self) -> FailureReason:
        """The reason, as the domain's value."""
        return FailureReason(self.reason)


Body = TypeVar("Body", bound=msgspec.Struct)
Place = TypeVar("Place")


def payment_id(request: Request) -> UUID:
    """The payment id in the path.

    Raises:
        ProblemRaised: unless it is a UUID in its usual form of 36 characters.
    """
    text = request.path_params["payment_id"]
    if not _UUID.fullmatch(text):
        raise ProblemRaised(
            problems.INVALID_PAYMENT_ID,
            "a payment id is a UUID, 36 characters such as 0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e",
        )
    return UUID(text)


def idempotency_key(request: Request) -> IdempotencyKey:
    """The key in the ``Idempotency-Key`` header, bare or as a quoted string (RFC 8941, section 3.3.3).

    Spaces and tabs around the field's value are no part of it (RFC 9110, section 5.5), unless within quotes.

    Raises:
        ProblemRaised: if the header is missing, repeated, or no key.
    """
    found = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not found:
        raise ProblemRaised(
            problems.KEY_MISSING, "send an Idempotency-Key header, a new key for each new capture"
        )
    if len(found) > 1:
        raise ProblemRaised(problems.KEY_MALFORMED, "send the Idempotency-Key header once")
    text = found[0].decode("latin-1").strip(" \t")  # not every HTTP parser does
    if text.startswith('"'):
        quoted = _QUOTED_KEY.fullmatch(text)
        if quoted is None:
            raise ProblemRaised(
                problems.KEY_MALFORMED, 'a key that begins with a quote is a quoted string: "my-key"'
            )
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        return IdempotencyKey(text)
    except InvalidValue as error:
        raise ProblemRaised(problems.KEY_MALFORMED, str(error)) from error


async def body(request: Request, shape: type[Body]) -> Body:
    """The request's JSON body, parsed strictly into ``shape``.

    Raises:
        ProblemRaised: if it is not JSON, too large, or not of that shape.
    """
    _require_json(request)
    raw = await _read_limited(request)
    if not raw:
        raise ProblemRaised(problems.MALFORMED_JSON, "the body is empty; send a JSON object")
    try:
        parsed = msgspec.json.decode(raw, type=shape, strict=True)
    except msgspec.ValidationError as error:
        _require_syntax(raw)  # a value is looked at before it is seen whether the text goes on as JSON does
        raise ProblemRaised(problems.INVALID_REQUEST, str(error)) from error
    except _NOT_JSON as error:
        raise ProblemRaised(problems.MALFORMED_JSON, f"the body is not JSON: {error}") from error
    # Of a field that is given twice, msgspec takes the last and other parsers the first: nobody means both.
    if raw.count(b":") > 1:  # there is one for each field
        json.loads(raw, object_pairs_hook=_require_distinct_fields)
    return parsed


def _require_syntax(raw: bytes) -> None:
    try:
        raw.decode()
        with suppress(RecursionError):  # too deep to look into: whatever it is, it has not the shape
            msgspec.json.decode(raw, type=msgspec.Raw)
    except _NOT_JSON as error:
        raise ProblemRaised(problems.MALFORMED_JSON, f"the body is not JSON: {error}") from error


def _require_distinct_fields(fields: list[tuple[str, object]]) -> None:
    names = [name for name, _ in fields]
    for name in names:
        if names.count(name) > 1:
            raise ProblemRaised(
                problems.INVALID_REQUEST, f"Object contains the field `{name}` more than once"
            )


def _require_json(request: Request) -> None:
    types, encodings = [], []
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            types.append(_TYPE.fullmatch(value) is not None)
        elif name == b"content-encoding":
            encodings.append(value.strip().lower())
    # Without this a browser would send a body for a page of another site, and ask nobody (a simple request).
    if types != [True]:
        raise ProblemRaised(
            problems.UNSUPPORTED_MEDIA_TYPE, "send the body as Content-Type: application/json, in UTF-8"
        )
    if any(each not in {b"", b"identity"} for each in encodings):
        raise ProblemRaised(
            problems.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, without a Content-Encoding"
        )


async def _read_limited(request: Request) -> bytes:
    chunks = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            # Nobody hears this answer; but it is the client's doing, and no failure of the service.
            raise ProblemRaised(problems.MALFORMED_JSON, "the connection ended within the body")
        chunks += message.get("body", b"")
        if len(chunks) > BODY_LIMIT:
            raise ProblemRaised(problems.BODY_TOO_LARGE, f"a body has at most {BODY_LIMIT} bytes")
        if not message.get("more_body", False):
            return bytes(chunks)


def page(request: Request, decode: Callable[[str], Place]) -> tuple[Place | None, int]:
    """Where a page begins and how long it is, from the query parameters ``after`` and ``limit``.

    Args:
        request: the request.
        decode: reads ``after``.

    Raises:
        ProblemRaised: if either is not valid or given twice, or another parameter is given.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    unknown = set(given) - {"after", "limit"}
    if unknown:
        raise ProblemRaised(
            problems.INVALID_QUERY, f"the parameters are after and limit, not {', '.join(sorted(unknown))}"
        )
    if len(given) > len(set(given)):
        raise ProblemRaised(problems.INVALID_QUERY, "give each parameter once")
    after = request.query_params.get("after")
    return None if after is None else decode(after), _limit(request.query_params.get("limit"))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise ProblemRaised(problems.INVALID_QUERY, f"limit is a number from 1 to {MAX_PAGE}")
    return int(text)


def encode_cursor(cursor: Cursor) -> str:
    """A cursor as an opaque query parameter."""
    place = cursor.created_at.to_bytes(8, "big", signed=True) + cursor.payment_id.bytes
    return base64.urlsafe_b64encode(place).decode()


def decode_cursor(text: str) -> Cursor:
    """The cursor in a query parameter.

    Raises:
        ProblemRaised: if it is not one that ``encode_cursor`` made.
    """
    try:
        place = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        place = b""
    if not _NO_LETTERS.isdisjoint(text):
        place = b""
    created_at = int.from_bytes(place[:8], "big", signed=True)
    if len(place) != _CURSOR_LENGTH or not 0 <= created_at <= _LATEST:
        raise ProblemRaised(problems.INVALID_QUERY, _UNCHANGED)
    return Cursor(created_at, UUID(bytes=place[8:]))


def place(text: str) -> int:
    """The place in a payment's list of attempts, from a query parameter.

    Raises:
        ProblemRaised: if there can be no such place.
    """
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _LAST_PLACE:
        raise ProblemRaised(problems.INVALID_QUERY, _UNCHANGED)
    return int(text)
