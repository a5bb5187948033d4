"""Errors as RFC 9457 problem documents. Each has a stable ``type``; the detail is for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from starlette.responses import Response

from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.errors import Refusal
from payments_core.entrypoints.http.documents import Problem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})
NOT_KEPT: Mapping[str, str] = MappingProxyType({"Cache-Control": "no-store"})
"""A field of what says how things are now: caches may keep a 404, say, of their own accord (RFC 9111)."""
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
"""A field of every answer: no browser takes it for something else than it says, a script for example."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem.

    Attributes:
        name: the stable name, last part of the ``type`` URI.
        status: its HTTP status.
        title: the same for every occurrence.
    """

    name: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The ``type`` of RFC 9457, a reference relative to the service."""
        return f"/problems/{self.name}"


MALFORMED_HTTP = ProblemType("malformed_http", 400, "The request is not HTTP/1.1")
MALFORMED_JSON = ProblemType("malformed_json", 400, "The body is not JSON")
INVALID_REQUEST = ProblemType("invalid_request", 422, "The request's content is not valid")
INVALID_PAYMENT_ID = ProblemType("invalid_payment_id", 400, "The payment id is not a UUID")
INVALID_QUERY = ProblemType("invalid_query", 422, "The query string is not valid")
KEY_MISSING = ProblemType("idempotency_key_missing", 400, "The Idempotency-Key header is missing")
KEY_MALFORMED = ProblemType("idempotency_key_malformed", 400, "The Idempotency-Key header is malformed")
KEY_REUSED = ProblemType("idempotency_key_reused", 422, "The idempotency key belongs to another request")
BODY_TOO_LARGE = ProblemType("body_too_large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = ProblemType("unsupported_media_type", 415, "The body must be JSON")
REQUEST_TIMEOUT = ProblemType("request_timeout", 408, "The request did not arrive in time")
NO_RESOURCE = ProblemType("http_404", 404, "Not Found")
NO_METHOD = ProblemType("http_405", 405, "Method Not Allowed")
PAYMENT_NOT_FOUND = ProblemType("payment_not_found", 404, "There is no such payment")
PAYMENT_ID_CONFLICT = ProblemType("payment_id_conflict", 409, "The payment id is taken")
NOT_AUTHORIZED = ProblemType("not_authorized", 409, "The payment is not authorized")
ALREADY_AUTHORIZED = ProblemType("already_authorized", 409, "The payment is authorized already")
ALREADY_CAPTURED = ProblemType("already_captured", 409, "The payment is captured already")
PAYMENT_FAILED = ProblemType("payment_failed", 409, "The payment has failed")
CAPTURE_WINDOW_OPEN = ProblemType("capture_window_open", 409, "The capture window has not ended")
CAPTURE_WINDOW_EXPIRED = ProblemType("capture_window_expired", 409, "The capture window has ended")
AMOUNT_MISMATCH = ProblemType("amount_mismatch", 422, "The amount is not the authorized amount")
INVALID_HOST = ProblemType("invalid_host", 400, "The Host header is missing, repeated or malformed")
FOREIGN_HOST = ProblemType("foreign_host", 421, "The service does not answer to this Host")
FOREIGN_ORIGIN = ProblemType("foreign_origin", 403, "A page of another origin sent the request")
NOT_LOCAL = ProblemType("not_local", 403, "Without tokens only its own machine is served")
TOO_MANY_REFUSALS = ProblemType("too_many_refusals", 429, "Too many refusals of the payment are stored")
UNAUTHORIZED = ProblemType("unauthorized", 401, "A bearer token is needed")
INSUFFICIENT_SCOPE = ProblemType("insufficient_scope", 403, "The token is not for this")
HEAD_TOO_LARGE = ProblemType("head_too_large", 431, "The request's header fields are too large")
UNSUPPORTED_TRANSFER_CODING = ProblemType(
    "unsupported_transfer_coding", 501, "The transfer coding is not supported"
)
OVERLOADED = ProblemType("overloaded", 503, "Too many requests at once")
DEADLINE_EXCEEDED = ProblemType("deadline_exceeded", 503, "The request took too long")
PAYMENT_BUSY = ProblemType("payment_busy", 503, "Others hold the payment")
UNAVAILABLE = ProblemType("unavailable", 503, "The service cannot answer now")
INTERNAL_ERROR = ProblemType("internal_error", 500, "The service failed")

OF_REFUSAL = {
    Refusal.NOT_AUTHORIZED: NOT_AUTHORIZED,
    Refusal.ALREADY_AUTHORIZED: ALREADY_AUTHORIZED,
    Refusal.ALREADY_CAPTURED: ALREADY_CAPTURED,
    Refusal.PAYMENT_FAILED: PAYMENT_FAILED,
    Refusal.CAPTURE_WINDOW_OPEN: CAPTURE_WINDOW_OPEN,
}

OF_ROUTING = {404: NO_RESOURCE, 405: NO_METHOD}

OF_OUTCOME = {
    CaptureOutcome.NOT_AUTHORIZED: NOT_AUTHORIZED,
    CaptureOutcome.ALREADY_CAPTURED: ALREADY_CAPTURED,
    CaptureOutcome.PAYMENT_FAILED: PAYMENT_FAILED,
    CaptureOutcome.CAPTURE_WINDOW_EXPIRED: CAPTURE_WINDOW_EXPIRED,
    CaptureOutcome.AMOUNT_MISMATCH: AMOUNT_MISMATCH,
}


class ProblemRaised(Exception):
    """A request that ends with a problem document.

    Attributes:
        problem: the kind.
        detail: what was wrong this time, and what to do.
    """

    def __init__(self, problem: ProblemType, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


def document(problem: ProblemType, detail: str, **members: str) -> bytes:
    """The problem document, as JSON."""
    return msgspec.json.encode(Problem(problem.uri, problem.title, problem.status, detail, **members))


def response(problem: ProblemType, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The problem document as a response, which nobody on the way may keep: what is missing may come."""
    fields = {**NOT_KEPT, **(headers or {})}
    return Response(document(problem, detail), problem.status, fields, media_type=MEDIA_TYPE)


def on_the_wire(
    problem: ProblemType, detail: str, headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """A whole answer with a problem document, for connections that are closed before the application runs."""
    answer = response(problem, detail, {**headers, "Connection": "close"})
    head = b"".join(b"%s: %s\r\n" % field for field in (NO_SNIFFING, *answer.raw_headers))
    return b"HTTP/1.1 %d \r\n%s\r\n%s" % (problem.status, head, bytes(answer.body))
