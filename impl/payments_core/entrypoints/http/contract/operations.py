"""Every operation of the interface: what it takes, what it answers, and where its answer leads."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from payments_core.entrypoints.http import documents, parsing, problems
from payments_core.entrypoints.http.contract import examples
from payments_core.entrypoints.http.contract.descriptions import described
from payments_core.entrypoints.http.problems import ProblemType


@dataclass(frozen=True)
class Link:
    """An operation that an answer leads to.

    Attributes:
        operation: its ``operationId``.
        parameters: where its parameters are found, as runtime expressions of OpenAPI.
        body: where the fields of its body are found.
    """

    operation: str
    parameters: Mapping[str, str]
    body: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """A success of an operation.

    Attributes:
        status: the HTTP status.
        description: when it is answered.
        document: the type of the body; ``None`` if there is none.
        example: a body.
        text: the media type of a body that is no JSON; ``None`` if it is, or if there is none.
        headers: names of headers beside those that every answer may have.
        links: where this answer leads to.
    """

    status: int
    description: str
    document: type[msgspec.Struct] | None = None
    example: msgspec.Struct | bytes | None = None
    text: str | None = None
    headers: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Operation:
    """A method of a path.

    Attributes:
        name: the ``operationId``.
        method: in lower case.
        path: with its parameters in braces.
        tag: the group that it is shown in.
        summary: what it does, in a line.
        answers: its successes.
        parameters: names of parameters beside those of the path.
        body: the type that parses the request's body.
        example: a body.
        problems: what can be wrong, beside what can happen to any request.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    answers: tuple[Answer, ...]
    parameters: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    example: msgspec.Struct | None = None
    problems: tuple[ProblemType, ...] = ()


ANYWHERE = (
    problems.MALFORMED_HTTP,
    problems.REQUEST_TIMEOUT,
    problems.UNSUPPORTED_TRANSFER_CODING,
    problems.HEAD_TOO_LARGE,
    problems.OVERLOADED,
    problems.INVALID_HOST,
    problems.FOREIGN_HOST,
    problems.NOT_LOCAL,
)
"""What can happen to any request."""

EVERYWHERE = (*ANYWHERE, problems.UNAVAILABLE, problems.DEADLINE_EXCEEDED, problems.INTERNAL_ERROR)
"""What can happen to any request that needs the database."""

METRICS_EXAMPLE = b'payments_captures_total{outcome="captured"} 1.0\n'
_BODY = (
    problems.MALFORMED_JSON,
    problems.INVALID_REQUEST,
    problems.BODY_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
)
_ONE = (problems.INVALID_PAYMENT_ID, problems.PAYMENT_NOT_FOUND)
_THIS = {"payment_id": "$response.body#/id"}
_SAME = {"payment_id": "$request.path.payment_id"}
_READ = Link("getPayment", _THIS)
_AUTHORIZE = Link("authorizePayment", _THIS)
_FAIL = Link("failPayment", _THIS)
_CAPTURE = Link("capturePayment", _THIS, {"amount_cents": "$response.body#/amount_cents"})
_LIST = Link("listCaptures", _THIS)
_NOT_MODIFIED = Answer(
    304, "The client has it already: its `If-None-Match` names the tag.", headers=("ETag", "Cache-Control")
)


def _payment(
    status: int, description: str, example: documents.Payment, links: tuple[Link, ...], *headers: str
) -> Answer:
    return Answer(status, description, documents.Payment, example, headers=headers, links=links)


OPERATIONS = (
    Operation(
        "listPayments",
        "get",
        "/payments",
        "Payments",
        "List payments, a page at a time, in order of creation",
        (
            Answer(
                200,
                "A page. `next`, and the link of relation `next`, lead to the following one.",
                documents.PaymentPage,
                examples.PAGE,
                headers=("ETag", "Cache-Control", "Link"),
                links=(Link("getPayment", {"payment_id": "$response.body#/payments/0/id"}),),
            ),
            _NOT_MODIFIED,
        ),
        parameters=("after", "limit", "If-None-Match"),
        problems=(problems.INVALID_QUERY,),
    ),
    Operation(
        "createPayment",
        "post",
        "/payments",
        "Payments",
        "Create a payment under a new id",
        (_payment(201, "Created.", examples.PENDING, (_READ, _AUTHORIZE), "Location"),),
        body=parsing.AmountRequest,
        example=parsing.AmountRequest(1000),
        problems=_BODY,
    ),
    Operation(
        "getPayment",
        "get",
        "/payments/{payment_id}",
        "Payments",
        "Read a payment, with the database's time of the look",
        (
            _payment(200, "The payment as it stands.", examples.CAPTURED, (_LIST,), "ETag", "Cache-Control"),
            _NOT_MODIFIED,
        ),
        parameters=("If-None-Match",),
        problems=_ONE,
    ),
    Operation(
        "putPayment",
        "put",
        "/payments/{payment_id}",
        "Payments",
        "Create a payment under an id of the client's; safe to repeat",
        (
            _payment(200, "The payment was there already, with this amount.", examples.AUTHORIZED, (_READ,)),
            _payment(201, "Created.", examples.PENDING, (_READ, _AUTHORIZE), "Location"),
        ),
        body=parsing.AmountRequest,
        example=parsing.AmountRequest(1000),
        problems=(*_BODY, problems.INVALID_PAYMENT_ID, problems.PAYMENT_ID_CONFLICT),
    ),
    Operation(
        "authorizePayment",
        "post",
        "/payments/{payment_id}/authorize",
        "Payments",
        "Authorize a payment, and open its capture window",
        (
            _payment(
                200,
                "Authorized. The window ends at `capture_expires_at`.",
                examples.AUTHORIZED,
                (_READ, _CAPTURE, _FAIL),
            ),
        ),
        body=parsing.AuthorizeRequest,
        example=parsing.AuthorizeRequest(600),
        problems=(
            *_BODY,
            *_ONE,
            problems.ALREADY_AUTHORIZED,
            problems.ALREADY_CAPTURED,
            problems.PAYMENT_FAILED,
        ),
    ),
    Operation(
        "failPayment",
        "post",
        "/payments/{payment_id}/fail",
        "Payments",
        "Decline or void an authorized payment",
        (_payment(200, "Failed.", examples.FAILED, (_READ, _CAPTURE)),),
        body=parsing.FailReason,
        example=parsing.FailReason("voided"),
        problems=(
            *_BODY,
            *_ONE,
            problems.NOT_AUTHORIZED,
            problems.ALREADY_CAPTURED,
            problems.PAYMENT_FAILED,
        ),
    ),
    Operation(
        "capturePayment",
        "post",
        "/payments/{payment_id}/captures",
        "Captures",
        "Capture a payment: once at most, and idempotent by key",
        (
            Answer(
                201,
                "Captured. A retry with the same key gets the same bytes, with `Idempotent-Replayed: true`.",
                documents.Capture,
                examples.CAPTURE,
                headers=("Idempotent-Replayed",),
                links=(
                    Link("getPayment", _SAME),
                    Link("listCaptures", _SAME),
                    Link("capturePayment", _SAME, {"amount_cents": "$response.body#/amount_cents"}),
                ),
            ),
        ),
        parameters=("Idempotency-Key",),
        body=parsing.AmountRequest,
        example=parsing.AmountRequest(1000),
        problems=(
            *_BODY,
            *_ONE,
            problems.KEY_MISSING,
            problems.KEY_MALFORMED,
            problems.KEY_REUSED,
            problems.TOO_MANY_REFUSALS,
            *problems.OF_OUTCOME.values(),
        ),
    ),
    Operation(
        "listCaptures",
        "get",
        "/payments/{payment_id}/captures",
        "Captures",
        "List the stored capture attempts of a payment, a page at a time, in the order of their decisions",
        (
            Answer(
                200,
                "A page. `next`, and the link of relation `next`, lead to the following one.",
                documents.CaptureAttempts,
                examples.ATTEMPTS,
                headers=("ETag", "Cache-Control", "Link"),
            ),
            _NOT_MODIFIED,
        ),
        parameters=("after-attempt", "limit", "If-None-Match"),
        problems=(*_ONE, problems.INVALID_QUERY),
    ),
    Operation(
        "getProblem",
        "get",
        "/problems/{name}",
        "About the service",
        "What a problem type means; a page where the client accepts HTML",
        (
            Answer(
                200,
                "The description.",
                documents.ProblemDescription,
                described(problems.ALREADY_CAPTURED),
                headers=("ETag", "Cache-Control", "Vary"),
            ),
            _NOT_MODIFIED,
        ),
        problems=(problems.NO_RESOURCE,),
    ),
    Operation(
        "isAlive",
        "get",
        "/healthz",
        "About the service",
        "Whether the process lives",
        (Answer(200, "It does.", documents.Alive, documents.Alive()),),
    ),
    Operation(
        "isReady",
        "get",
        "/readyz",
        "About the service",
        "Whether requests can be served: the database is there, with every migration",
        (Answer(200, "They can.", documents.Ready, documents.Ready()),),
    ),
    Operation(
        "getMetrics",
        "get",
        "/metrics",
        "About the service",
        "Metrics for Prometheus",
        (
            Answer(
                200,
                "The metrics, in the text format of Prometheus.",
                text="text/plain",
                example=METRICS_EXAMPLE,
            ),
        ),
    ),
)
