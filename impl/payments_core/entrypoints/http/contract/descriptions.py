"""What each problem type means, and what a client does about it."""

from typing import NamedTuple

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.documents import ProblemDescription
from payments_core.entrypoints.http.parsing import BODY_LIMIT, MAX_PAGE
from payments_core.entrypoints.http.problems import ProblemType


class Description(NamedTuple):
    """Two sentences about a problem type: when it is answered, and what to do."""

    when: str
    remedy: str


_REFUSED_FOR_GOOD = (
    "Nothing; the refusal is stored under the key, and the key stays refused. A new intent takes a new key."
)

DESCRIPTIONS = {
    problems.MALFORMED_JSON: Description(
        "The body is empty, or is not JSON.", "Send one JSON object. Nothing was stored."
    ),
    problems.INVALID_REQUEST: Description(
        "The body is JSON, but not of the right shape or range; an unknown field, or one given twice, too.",
        "Correct what the detail names. Nothing was stored.",
    ),
    problems.INVALID_PAYMENT_ID: Description(
        "The id in the path is not a UUID of 36 characters.",
        "Send the id as the service gave it, or a UUID of your own.",
    ),
    problems.INVALID_QUERY: Description(
        "A parameter of the list is unknown, given twice, or out of range.",
        f"Send `limit` from 1 to {MAX_PAGE}, and as `after` the `next` of an earlier page, unchanged.",
    ),
    problems.KEY_MISSING: Description(
        "A capture came without the header `Idempotency-Key`.",
        "Send one: a new key for each new intent, and the same key for each retry.",
    ),
    problems.KEY_MALFORMED: Description(
        "The key is empty, too long, sent twice, or has characters other than visible ASCII and spaces.",
        "Send 1 to 255 of those characters, bare or as a quoted string. Nothing was stored.",
    ),
    problems.KEY_REUSED: Description(
        "The key belongs to a capture of another amount of this payment. That one stands; nothing changed.",
        "For the earlier request, send its amount; for a new intent, a new key.",
    ),
    problems.BODY_TOO_LARGE: Description(
        f"The body has more than {BODY_LIMIT // 1024} KiB.", "Send less; every valid request is far smaller."
    ),
    problems.UNSUPPORTED_MEDIA_TYPE: Description(
        "The body is not declared to be JSON, or is compressed.",
        "Send `Content-Type: application/json` and no `Content-Encoding`.",
    ),
    problems.NO_RESOURCE: Description(
        "The path names nothing.", "Compare it with the paths of the contract."
    ),
    problems.NO_METHOD: Description(
        "The path does not know the method.", "Use a method that the header `Allow` names."
    ),
    problems.PAYMENT_NOT_FOUND: Description(
        "No payment has this id. Nothing was stored, not even under a key.",
        "Check the id. If a creation got no answer, send it again with `PUT`.",
    ),
    problems.PAYMENT_ID_CONFLICT: Description(
        "The id is taken by a payment of another amount.",
        "Choose another id, or read the payment that has it.",
    ),
    problems.NOT_AUTHORIZED: Description(
        "The payment is pending.",
        "Authorize it first. A capture that was refused stays refused under its key; take a new one.",
    ),
    problems.ALREADY_AUTHORIZED: Description(
        "An authorization came for a payment that is authorized.",
        "Read the payment. After a lost answer, this says that the first authorization was carried out.",
    ),
    problems.ALREADY_CAPTURED: Description(
        "The payment is captured. It is captured once at most.", _REFUSED_FOR_GOOD
    ),
    problems.PAYMENT_FAILED: Description(
        "The payment has failed: declined, voided or expired. That is final.", "Create another payment."
    ),
    problems.CAPTURE_WINDOW_OPEN: Description(
        "An expiry came before the window's end. No route leads to it.", "Wait for the window's end."
    ),
    problems.CAPTURE_WINDOW_EXPIRED: Description(
        "The capture was decided at or after the end of the window, by the database's clock.",
        _REFUSED_FOR_GOOD,
    ),
    problems.AMOUNT_MISMATCH: Description(
        "The capture asks for another amount than the authorized one. There are no partial captures.",
        "Capture exactly the authorized amount, under a new key.",
    ),
    problems.TOO_MANY_REFUSALS: Description(
        "The capture would be refused, and as many refused captures of the payment are stored as may be."
        " Nothing was decided: neither the capture nor its key is stored.",
        "Read the payment to see why. A capture that can succeed still does, and known keys are answered.",
    ),
    problems.INVALID_HOST: Description(
        "The request does not say once, as a name or an address, which host it is for.",
        "Send one `Host` header, as every HTTP library does.",
    ),
    problems.FOREIGN_HOST: Description(
        "The service has no tokens, and the `Host` is neither `localhost`, nor a loopback address, nor a name"
        " of its own. A page can give this machine a name of its own (DNS rebinding).",
        "Call the service by `127.0.0.1` or `localhost`, or set it up with tokens, or with the name.",
    ),
    problems.FOREIGN_ORIGIN: Description(
        "The service has no tokens, and a browser says that a page of another origin sent the request.",
        "Call the service from a program or from its own pages, or set it up with tokens.",
    ),
    problems.NOT_LOCAL: Description(
        "The service has no tokens, and the request comes from another machine, or to an address"
        " that others reach.",
        "Set the service up with tokens, or call it from its own machine. Nothing was looked up.",
    ),
    problems.UNAUTHORIZED: Description(
        "The service is set up with tokens, and the request has none that it knows.",
        "Send `Authorization: Bearer` and a token. Nothing was looked up.",
    ),
    problems.INSUFFICIENT_SCOPE: Description(
        "The token is known, but has not the scope that the request needs: `read`, `write` or `metrics`.",
        "Send a token of the scope that `WWW-Authenticate` names. Nothing was looked up.",
    ),
    problems.MALFORMED_HTTP: Description(
        "What came is not HTTP/1.1, or leaves room for doubt where a request ends, as after two "
        "lengths. Nothing was done, and the connection ends.",
        "Repair the client, or what stands between it and the service.",
    ),
    problems.REQUEST_TIMEOUT: Description(
        "A request had begun to come, and did not end in time. Nothing was done, and the connection ends.",
        "Send the same request again, with the same key.",
    ),
    problems.UNSUPPORTED_TRANSFER_CODING: Description(
        "The request's `Transfer-Encoding` names another coding than `chunked`. Nothing was done.",
        "Send the body as it is, with a `Content-Length` or in chunks.",
    ),
    problems.HEAD_TOO_LARGE: Description(
        "The request line and the headers together are too large.",
        "Send fewer or shorter headers; every valid request is far smaller.",
    ),
    problems.OVERLOADED: Description(
        "As many requests are under way and waiting as this process takes on. Nothing was done.",
        "Send the same request again, with the same key, after `Retry-After` seconds.",
    ),
    problems.DEADLINE_EXCEEDED: Description(
        "The request was not done within its time. Whether it took effect is not known.",
        "Send the same request again, with the same key, after `Retry-After` seconds.",
    ),
    problems.PAYMENT_BUSY: Description(
        "Others held the payment for too long, or met this request there. Nothing was done.",
        "Send the same request again, with the same key, after `Retry-After` seconds.",
    ),
    problems.UNAVAILABLE: Description(
        "The service cannot answer now: the database cannot be reached, has no connection free, or lacks "
        "migrations. Whether the command took effect is not known.",
        "Send the same request again, with the same key, after `Retry-After` seconds.",
    ),
    problems.INTERNAL_ERROR: Description(
        "A fault of the service. Whether the command took effect is not known.",
        "Send the same request again, with the same key; report it if it stays.",
    ),
}
"""By type; a test holds the keys to the types in ``problems``."""

BY_NAME = {problem.name: problem for problem in DESCRIPTIONS}


def described(problem: ProblemType) -> ProblemDescription:
    """A problem type and what is said about it."""
    when, remedy = DESCRIPTIONS[problem]
    return ProblemDescription(problem.uri, problem.title, problem.status, when, remedy)
