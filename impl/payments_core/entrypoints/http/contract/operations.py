"""Every operation of the interface: what it takes, what it answers, and where its answer leads."""

from payments_core.entrypoints.http import documents, parsing, problems
from payments_core.entrypoints.http.contract import examples
from payments_core.entrypoints.http.contract.descriptions import described
from payments_core.entrypoints.http.contract.operation import Answer, Link, Operation

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
                headers=("Cache-Control", "Link"),
                links=(Link("getPayment", {"payment_id": "$response.body#/payments/0/id"}),),
            ),
        ),
        parameters=("after", "limit"),
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
        (_payment(200, "The payment as it stands.", examples.CAPTURED, (_LIST,), "Cache-Control"),),
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
                headers=("Cache-Control", "Link"),
            ),
        ),
        parameters=("after-attempt", "limit"),
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
                headers=("Cache-Control", "Vary"),
            ),
        ),
        problems=(problems.NO_RESOURCE,),
    ),
    Operation(
        "isAlive",
        "get",
        "/healthz",
        "About the service",
        "Whether the process lives",
        (Answer(200, "It does.", documents.Alive, documents.Alive(), headers=("Cache-Control",)),),
    ),
    Operation(
        "isReady",
        "get",
        "/readyz",
        "About the service",
        "Whether requests can be served: the database is there, with every migration",
        (Answer(200, "They can.", documents.Ready, documents.Ready(), headers=("Cache-Control",)),),
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
                headers=("Cache-Control",),
            ),
        ),
    ),
)
