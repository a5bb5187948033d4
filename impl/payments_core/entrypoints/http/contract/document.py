"""The OpenAPI 3.1 document, assembled from the operations and the types that parse and answer requests."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from payments_core.entrypoints.http import documents, problems
from payments_core.entrypoints.http.access import NEEDED
from payments_core.entrypoints.http.contract.descriptions import DESCRIPTIONS
from payments_core.entrypoints.http.contract.fields import HEADERS, PARAMETERS
from payments_core.entrypoints.http.contract.operation import Answer, Link, Operation
from payments_core.entrypoints.http.contract.operations import ANYWHERE, EVERYWHERE, OPERATIONS
from payments_core.entrypoints.http.problems import ProblemType

Json = dict[str, Any]

_GUARDED = (problems.UNAUTHORIZED, problems.INSUFFICIENT_SCOPE, problems.FOREIGN_ORIGIN)

_INFO = {
    "title": "payments-core",
    "version": "1",
    "summary": "Payments that are captured once at most.",
    "description": (
        "Create a payment, authorize it for a limited time, and capture it in full. A capture has an"
        " `Idempotency-Key`: sent again with the same key, it gets the same bytes, and is not carried"
        " out twice. Whether a capture is in time is decided by the database's clock, after the lock"
        " was granted.\n\n"
        "Every answer is JSON, whatever `Accept` says. Every path knows `OPTIONS`, and `HEAD` where it knows"
        " `GET`. Errors are problem documents (RFC 9457): decide by `type`. After a 5xx, or no answer at all,"
        " send the same request again. A request may bring an `X-Request-ID`, and every answer has one."
    ),
}
_TAGS = [
    {"name": "Payments", "description": "From pending to authorized, to captured or failed."},
    {
        "name": "Captures",
        "description": "At most one succeeds; every decided request is stored under its key.",
    },
    {"name": "About the service", "description": "Health, metrics, and what the problem types mean."},
]


def openapi_json() -> bytes:
    """The document as JSON for people: indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(openapi()), indent=2) + b"\n"


def openapi() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "tags": _TAGS,
        "paths": {
            path: _path(path, list(operations))
            for path, operations in groupby(OPERATIONS, lambda each: each.path)
        },
        "components": {
            "schemas": _schemas(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": _problem_examples(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": (
                        "Needed where the service is set up with tokens. A token has scopes: `read`, `write`"
                        " and `metrics`; each operation names the one that it needs. There are no tenants: a"
                        " token of a scope has it for every payment."
                    ),
                }
            },
        },
    }


def _schemas() -> Json:
    bodies = [each.body for each in OPERATIONS if each.body is not None]
    answers = [
        answer.document for each in OPERATIONS for answer in each.answers if answer.document is not None
    ]
    types = dict.fromkeys([*bodies, *answers, documents.Problem])
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return dict(sorted(schemas.items()))


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _path(path: str, operations: list[Operation]) -> Json:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    shared = {"parameters": [_ref("parameters", name) for name in names]} if names else {}
    return shared | {each.method: _operation(each) for each in operations}


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    described["parameters"] = [_ref("parameters", name) for name in (*operation.parameters, "X-Request-ID")]
    scope = NEEDED.get(operation.path, {}).get(operation.method.upper())
    described["security"] = [] if scope is None else [{}, {"token": [scope]}]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(operation.body, operation.example)},
        }
    described["responses"] = {str(each.status): _answer(each) for each in operation.answers}
    described["responses"] |= _problems(operation)
    return described


def _content(shape: type[msgspec.Struct], example: msgspec.Struct | bytes | None) -> Json:
    shown = msgspec.json.decode(example) if isinstance(example, bytes) else msgspec.to_builtins(example)
    return {"schema": _ref("schemas", shape.__name__), "example": shown}


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description, "headers": _headers(answer.headers)}
    if answer.document is not None:
        described["content"] = {"application/json": _content(answer.document, answer.example)}
    if answer.text is not None:
        assert isinstance(answer.example, bytes)
        shown = {"schema": {"type": "string"}, "example": answer.example.decode()}
        described["content"] = {answer.text: shown}
    if answer.links:
        described["links"] = {link.operation: _link(link) for link in answer.links}
    return described


def _headers(names: Iterable[str]) -> Json:
    return {name: _ref("headers", name) for name in [*names, "X-Request-ID"]}


def _link(link: Link) -> Json:
    body = {} if link.body is None else {"requestBody": dict(link.body)}
    return {"operationId": link.operation, "parameters": dict(link.parameters)} | body


def _problems(operation: Operation) -> Json:
    """What can be wrong, by status."""
    possible = sorted(possible_problems(operation), key=lambda each: (each.status, each.name))
    return {
        str(status): _problem_answer(operation, list(same))
        for status, same in groupby(possible, lambda each: each.status)
    }


def possible_problems(operation: Operation) -> set[ProblemType]:
    """Every problem that an operation can be answered with."""
    return {*operation.problems, *_everywhere(operation)}


def _everywhere(operation: Operation) -> tuple[ProblemType, ...]:
    if operation.name in {"isAlive", "getProblem"}:
        return ANYWHERE
    if operation.name == "getMetrics":
        return (*ANYWHERE, *_GUARDED)
    if not operation.path.startswith("/payments"):
        return EVERYWHERE
    moves = operation.method != "get"
    return (*EVERYWHERE, *_GUARDED, *([problems.PAYMENT_BUSY] if moves else []))


def _problem_answer(operation: Operation, possible: list[ProblemType]) -> Json:
    names = [each.uri for each in possible]
    headers = []
    if problems.OVERLOADED in possible:
        headers.append("Retry-After")
    if problems.UNAUTHORIZED in possible:
        headers.append("WWW-Authenticate")
    decided = (
        set(possible) & set(problems.OF_OUTCOME.values()) if operation.name == "capturePayment" else set()
    )
    # A stored answer has no field that tells caches anything: no cache keeps the answer to a POST by itself.
    headers.append("Idempotent-Replayed" if decided else "Cache-Control")
    schema: Json = {
        "allOf": [_ref("schemas", "Problem"), {"properties": {"type": {"enum": names}}}],
    }
    if decided == set(possible):
        schema["allOf"][1]["required"] = ["payment_id", "decided_at"]
    examples = {
        each.name: _ref("examples", _example_name(each, is_decided=each in decided)) for each in possible
    }
    return {
        "description": "; ".join(each.title for each in possible) + ".",
        "headers": _headers(headers),
        "content": {
            problems.MEDIA_TYPE: {
                "schema": schema,
                "examples": examples,
            }
        },
    }


def _example_name(problem: ProblemType, *, is_decided: bool) -> str:
    return f"{problem.name}.decided" if is_decided else problem.name


def _problem_examples() -> Json:
    plain = {each.name: _problem_example(each, is_decided=False) for each in DESCRIPTIONS}
    return plain | {
        _example_name(each, is_decided=True): _problem_example(each, is_decided=True)
        for each in problems.OF_OUTCOME.values()
    }


def _problem_example(problem: ProblemType, *, is_decided: bool) -> Json:
    members = {"payment_id": documents.PAYMENT_ID, "decided_at": "2026-01-01T12:00:02.000001Z"}
    raw = problems.document(problem, DESCRIPTIONS[problem].when, **(members if is_decided else {}))
    return {"summary": problem.title, "value": msgspec.json.decode(raw)}
