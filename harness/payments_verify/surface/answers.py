"""What an answer's header fields and problem document have to be, by what was asked and answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from payments_verify.binding import Response
from payments_verify.payments.observed.observations import UnreadableAnswerError

PER_REQUEST = frozenset({"x-request-id", "idempotent-replayed"})
"""The fields of a repeated answer that may differ from the first: whose it is, and that it is one."""

_PER_HOP = frozenset({"date", "connection", "keep-alive"})
"""Fields of the server or the connection, not of the answer."""

_ALWAYS = frozenset({"content-type", "content-length", "x-request-id", "x-content-type-options"})
_OF_PAYMENT = frozenset(
    {
        "id",
        "state",
        "amount_cents",
        "created_at",
        "authorized_at",
        "capture_expires_at",
        "captured_at",
        "captured_amount_cents",
        "failed_at",
        "failure_reason",
    }
)
_NOT_NOW = 503
_PROBLEM = "application/problem+json"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LIST = re.compile(r"/payments(/[^/]+/captures)?(\?.*)?")
_LOOK = re.compile(r"/payments(?P<payment>/[^/?]+(?P<captures>/captures)?)?(\?.*)?")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATES = ("pending", "authorized", "captured", "failed")
_BELOW_THE_APPLICATION = tuple(
    f"/problems/{each}" for each in ("malformed_http", "request_timeout", "head_too_large")
)
TITLES: Mapping[str, tuple[int, str]] = {
    "http_404": (404, "Not Found"),
    "http_405": (405, "Method Not Allowed"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "malformed_http": (400, "The request is not HTTP/1.1"),
    "request_timeout": (408, "The request did not arrive in time"),
    "invalid_host": (400, "The Host header is missing, repeated or malformed"),
    "unauthorized": (401, "A bearer token is needed"),
    "insufficient_scope": (403, "The token is not for this"),
    "not_local": (403, "Without tokens only its own machine is served"),
    "foreign_origin": (403, "A page of another origin sent the request"),
    "foreign_host": (421, "The service does not answer to this Host"),
    "head_too_large": (431, "The request's header fields are too large"),
    "unsupported_transfer_coding": (501, "The transfer coding is not supported"),
    "idempotency_key_malformed": (400, "The Idempotency-Key header is malformed"),
    "idempotency_key_missing": (400, "The Idempotency-Key header is missing"),
    "invalid_payment_id": (400, "The payment id is not a UUID"),
    "malformed_json": (400, "The body is not JSON"),
    "payment_not_found": (404, "There is no such payment"),
    "already_authorized": (409, "The payment is authorized already"),
    "already_captured": (409, "The payment is captured already"),
    "capture_window_expired": (409, "The capture window has ended"),
    "capture_window_open": (409, "The capture window has not ended"),
    "not_authorized": (409, "The payment is not authorized"),
    "payment_failed": (409, "The payment has failed"),
    "payment_id_conflict": (409, "The payment id is taken"),
    "amount_mismatch": (422, "The amount is not the authorized amount"),
    "idempotency_key_reused": (422, "The idempotency key belongs to another request"),
    "invalid_query": (422, "The query string is not valid"),
    "invalid_request": (422, "The request's content is not valid"),
    "too_many_refusals": (429, "Too many refusals of the payment are stored"),
    "internal_error": (500, "The service failed"),
    "overloaded": (503, "Too many requests at once"),
    "deadline_exceeded": (503, "The request took too long"),
    "payment_busy": (503, "Others hold the payment"),
    "unavailable": (503, "The service cannot answer now"),
}
"""The problem types of the contract, each with its status and title."""


def fields_of(response: Response) -> dict[str, str]:
    """The header fields of an answer itself, by name in lower case."""
    lower = {name.lower(): value for name, value in response.headers.items()}
    return {name: value for name, value in lower.items() if name not in _PER_HOP}


def complaints(
    method: str, path: str, response: Response, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """What is wrong with an answer beside its outcome, if anything is.

    Args:
        method: of the request.
        path: of the request, with its query.
        response: the answer.
        more: fields that it has beside those that follow from the rest, by name in lower case.
    """
    document = object_in(response.content)
    if document is None:
        yield f"the body is no JSON object: {response.text[:300]!r}"
        return
    fields = fields_of(response)
    yield from wrong_fields(fields, {**_expected(method, path, response.status_code, document), **more})
    if missing := _ALWAYS - fields.keys() - _lacks(document, response):
        yield f"no header {', '.join(sorted(missing))}"
    if fields.get("content-length") not in (None, f"{len(response.content)}"):
        yield f"content-length is {fields['content-length']}, of {len(response.content)} bytes"
    if response.status_code >= 400:
        yield from complaints_of_problem(response.status_code, document)
    if method == "GET" and response.status_code < 400:
        yield from _wrong_members(path, document)
    for each in _payments_in(document):
        yield from _wrong_payment(each)
    for name, text in _instants_in(document):
        if not isinstance(text, str) or not _INSTANT.fullmatch(text):
            yield f"{name} is {text!r}: an instant is RFC 3339 in UTC, with six digits of a second"


def problem_of(response: Response) -> str:
    """The name of the problem that an answer tells of; empty if of none, also if it is none to be read."""
    if response.status_code < 400:
        return ""
    return str((object_in(response.content) or {}).get("type", "")).removeprefix("/problems/")


def object_in(content: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; ``None`` if it is none."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def members_of(asked: str, response: Response, *names: str) -> dict[str, Any]:
    """The JSON object that an answer is.

    Args:
        asked: method and path of the request.
        response: the answer.
        names: the members that are needed of it.

    Raises:
        UnreadableAnswerError: it is none, or lacks one of them.
    """
    document = object_in(response.content)
    if document is None or not document.keys() >= set(names):
        wanted = f"a JSON object with {', '.join(names)}" if names else "a JSON object"
        raise UnreadableAnswerError(
            f"{asked}: expected {wanted}, got {response.status_code} {response.text[:300]!r}"
        )
    return document


def wrong_fields(fields: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[str]:
    """How the fields of an answer differ from those that have to be there, by name in lower case.

    The members of a list may have any order. Those that every answer has need not be named.
    """
    for name in expected.keys() | (fields.keys() - _ALWAYS - PER_REQUEST):
        found, wanted = fields.get(name), expected.get(name)
        if found is None or wanted is None or sorted(found.split(", ")) != sorted(wanted.split(", ")):
            yield f"header {name}: expected {wanted!r}, got {found!r}"


def _lacks(document: Mapping[str, Any], response: Response) -> frozenset[str]:
    """What an answer need not have: what did not come to the application has no id."""
    is_refused_connection = response.headers.get("connection") == "close" and response.status_code == _NOT_NOW
    is_below = document.get("type") in _BELOW_THE_APPLICATION
    return frozenset({"x-request-id"} if is_below or is_refused_connection else ())


def _wrong_members(path: str, document: Mapping[str, Any]) -> Iterator[str]:
    """What a list lacks, or a payment that is looked at."""
    what = _LOOK.fullmatch(path)
    if what is None:
        return
    listed = "captures" if what["captures"] else None if what["payment"] else "payments"
    if missing := ({"state", "as_of"} if listed is None else {listed, "next"}) - document.keys():
        yield f"it has no {' and no '.join(sorted(missing))}"
    elif listed is not None and not _is_list_of_objects(document[listed]):
        yield f"{listed} is {document[listed]!r}, and no list of objects"


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _payments_in(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The payments that an answer shows."""
    if "state" in document:
        return [document]
    listed: list[Mapping[str, Any]] = document.get("payments", [])
    return listed if _is_list_of_objects(listed) else []


def _wrong_payment(payment: Mapping[str, Any]) -> Iterator[str]:
    if missing := _OF_PAYMENT - payment.keys():
        yield f"a payment has no {', '.join(sorted(missing))}: what it lacks is null, and not left out"
    elif not _ID.fullmatch(str(payment["id"])) or payment["state"] not in _STATES:
        yield f"a payment's id is {payment['id']!r}, and its state {payment['state']!r}"


def _instants_in(document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """The members whose names are those of instants, with their values; none that is null."""
    if isinstance(document, list):
        for each in document:
            yield from _instants_in(each)
    elif isinstance(document, dict):
        for name, value in document.items():
            if type(value) in (dict, list):
                yield from _instants_in(value)
            if value is not None and name.endswith(("_at", "as_of")):
                yield name, value


def _expected(method: str, path: str, status: int, document: Mapping[str, Any]) -> dict[str, str]:
    """The fields whose values are known; no others may be there, but for those that every answer has."""
    is_success = status < 400
    expected = {
        "content-type": "application/json" if is_success else _PROBLEM,
        "x-content-type-options": "nosniff",
    }
    is_stored = "decided_at" in document
    if not is_success and not is_stored:
        expected["cache-control"] = "no-store"
    if method == "GET" and is_success:
        expected["cache-control"] = "no-store"
        following = document.get("next") if _LIST.fullmatch(path) else None
        if following is not None:
            base, _, query = path.partition("?")
            limit = re.search(r"(?:^|&)limit=(\d+)", query)
            expected["link"] = f'<{base}?limit={limit[1] if limit else 50}&after={following}>; rel="next"'
    if status == _NOT_NOW:
        expected["retry-after"] = "1"
    if status == 201 and not path.endswith("/captures"):
        expected["location"] = f"/payments/{document.get('id')}"
    return expected


def complaints_of_problem(status: int, document: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a problem document beside its type, if anything is.

    Args:
        status: of the answer.
        document: its body.
    """
    name = str(document.get("type")).removeprefix("/problems/")
    known = TITLES.get(name)
    if known is None:
        yield f"problem type {document.get('type')!r} is none of the contract's"
    elif (known, status) != ((document.get("status"), document.get("title")), known[0]):
        yield (
            f"problem {name}: expected status {known[0]} and title {known[1]!r}, got {status}, and in the "
            f"document {document.get('status')} and {document.get('title')!r}"
        )
    if not document.get("detail"):
        yield f"problem {name} has no detail"
