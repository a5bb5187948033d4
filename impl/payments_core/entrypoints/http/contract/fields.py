"""The parameters and the response headers of the interface, for the OpenAPI document."""

from typing import Any

from payments_core.domain.values import MAX_KEY_LENGTH
from payments_core.entrypoints.http.contract.descriptions import BY_NAME
from payments_core.entrypoints.http.documents import PAYMENT_ID
from payments_core.entrypoints.http.parsing import DEFAULT_PAGE, MAX_PAGE

_BARE_KEY = f"[!#-~](?:[ -~]{{0,{MAX_KEY_LENGTH - 2}}}[!-~])?"
_QUOTED_KEY = rf'"(?:[ !#-\[\]-~]|\\["\\]){{1,{MAX_KEY_LENGTH}}}"'


def _string(**keywords: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "string", **keywords}


PARAMETERS: dict[str, Any] = {
    "payment_id": {
        "name": "payment_id",
        "in": "path",
        "required": True,
        "description": "The payment's id, a UUID in its usual form; case makes no difference.",
        "schema": _string(format="uuid", pattern="^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"),
        "example": PAYMENT_ID,
    },
    "name": {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The name of a problem type: the last part of its `type`.",
        "schema": _string(enum=sorted(BY_NAME)),
    },
    "after": {
        "name": "after",
        "in": "query",
        "description": "Where the page begins: the `next` of an earlier page, unchanged. Opaque.",
        "schema": _string(pattern="^[A-Za-z0-9_-]{32}$"),
    },
    "after-attempt": {
        "name": "after",
        "in": "query",
        "description": "Where the page begins: the `next` of an earlier page, unchanged. Opaque.",
        "schema": _string(pattern="^[0-9]{1,10}$"),
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "How many entries the page has at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": (
            "The name of this intent to capture: a new one for each new intent, the same for each retry."
            f" Opaque, 1 to {MAX_KEY_LENGTH} visible ASCII characters and spaces; bare, or as a quoted string"
            " (RFC 8941), which is the same key."
        ),
        "schema": _string(pattern=f"^(?:{_BARE_KEY}|{_QUOTED_KEY})$"),
        "example": "order-17-capture",
    },
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": (
            "A name for the request, by which the logs find it; it comes back in the answer. Taken over if it"
            " has 1 to 64 letters, digits and `._~:-`, and begins with a letter or digit; else it gets one."
        ),
        "schema": _string(),
        "example": "req-8c2f5a1e",
    },
}

HEADERS: dict[str, Any] = {
    "Location": {
        "required": True,
        "description": "The path of the payment that was created.",
        "schema": _string(pattern="^/payments/[0-9a-f-]{36}$"),
        "example": f"/payments/{PAYMENT_ID}",
    },
    "Cache-Control": {
        "required": True,
        "description": "Nobody on the way may keep the answer: it says how things were when it was given.",
        "schema": _string(const="no-store"),
    },
    "Link": {
        "description": "The following page, with the relation `next`; missing on the last.",
        "schema": _string(),
        "example": '</payments?limit=50&after=AAOEH2O6gAELn10cb1xKXpo5ij9PHy8O>; rel="next"',
    },
    "Vary": {
        "required": True,
        "description": "The answer depends on `Accept`.",
        "schema": _string(const="Accept"),
    },
    "Idempotent-Replayed": {
        "description": "`true` if the answer is that to an earlier request under the same key; else missing.",
        "schema": _string(const="true"),
    },
    "Retry-After": {
        "description": "After how many seconds to send the same request again.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
    "WWW-Authenticate": {
        "description": "That a bearer token is needed, and what is wrong with one that was sent (RFC 6750).",
        "schema": _string(),
        "example": 'Bearer realm="payments"',
    },
    "X-Request-ID": {
        "description": "The id of the request, as the logs have it; never part of a stored answer.",
        "schema": _string(pattern="^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$"),
        "example": "req-8c2f5a1e",
    },
}
