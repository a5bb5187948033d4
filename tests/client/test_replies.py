"""Which answers are believed: those that fit what was asked, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_client import requests
from payments_client.documents import STATUS_OF_OUTCOME, CaptureAttempt, Problem
from payments_client.replies import DECIDED, Indefinite, Reply, judge
from payments_client.requests import Call
from payments_core.domain.capture import CaptureOutcome
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.problems import ProblemType

PAYMENT, OTHER = UUID(int=7), UUID(int=8)
MORNING, NOON, EVENING = (f"2026-01-01T{hour}:00:00.000001Z" for hour in ("08", "12", "20"))
JSON, PROBLEM = "application/json", "application/problem+json"
PENDING: dict[str, Any] = {
    "id": str(PAYMENT),
    "state": "pending",
    "amount_cents": 500,
    "created_at": MORNING,
    "authorized_at": None,
    "capture_expires_at": None,
    "captured_at": None,
    "captured_amount_cents": None,
    "failed_at": None,
    "failure_reason": None,
    "as_of": EVENING,
}
AUTHORIZED = PENDING | {"state": "authorized", "authorized_at": NOON, "capture_expires_at": EVENING}
CAPTURED = AUTHORIZED | {"state": "captured", "captured_at": NOON, "captured_amount_cents": 500}
VOIDED = AUTHORIZED | {"state": "failed", "failed_at": NOON, "failure_reason": "voided"}
CAPTURE = {"payment_id": str(PAYMENT), "outcome": "captured", "amount_cents": 500, "captured_at": NOON}
ATTEMPT = {
    "idempotency_key": "key",
    "amount_cents": 500,
    "outcome": "captured",
    "status": 201,
    "decided_at": NOON,
}
CAPTURE_BEGUN = json.dumps(CAPTURE).encode()[:-1]
CALLS: dict[str, Callable[[], Call[Any]]] = {
    "create": lambda: requests.create(500, PAYMENT),
    "authorize": lambda: requests.authorize(PAYMENT, 8 * 3_600),
    "capture": lambda: requests.capture(PAYMENT, 500, "key"),
    "fail": lambda: requests.fail(PAYMENT, "voided"),
    "read": lambda: requests.read(PAYMENT),
    "captures": lambda: requests.captures(PAYMENT),
    "following captures": lambda: requests.captures(
        PAYMENT, (msgspec.convert(ATTEMPT, CaptureAttempt),), "3"
    ),
}
HONEST: list[tuple[str, int, dict[str, Any]]] = [
    ("create", 201, PENDING),
    *(("create", 200, each) for each in (PENDING, AUTHORIZED, CAPTURED, VOIDED)),
    ("authorize", 200, AUTHORIZED),
    ("capture", 201, CAPTURE),
    ("fail", 200, VOIDED),
    *(("read", 200, each) for each in (PENDING, AUTHORIZED, CAPTURED, VOIDED)),
    ("captures", 200, {"captures": [ATTEMPT], "next": None}),
    ("captures", 200, {"captures": [], "next": None}),
    ("captures", 200, {"captures": [ATTEMPT], "next": "3"}),
    ("following captures", 200, {"captures": [], "next": None}),
]


def judged(command: str, status: int, body: object, media_type: str = JSON, **headers: str) -> object:
    fields = {"content-type": media_type} | {k.replace("_", "-"): v for k, v in headers.items()}
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(CALLS[command](), Reply(status, fields, encoded))


def refusal(kind: ProblemType, **more: object) -> dict[str, object]:
    return {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": "so"} | more


def assert_not_believed(found: object) -> None:
    assert isinstance(found, Indefinite), found
    assert found.may_be_done
    assert "cannot be believed" in found.reason


@pytest.mark.parametrize(("command", "status", "document"), HONEST)
def test_what_fits_is_believed(command: str, status: int, document: dict[str, Any]) -> None:
    found = judged(command, status, document | {"new": {"a": [1, None, "x"]}})
    assert isinstance(found, CALLS[command]().answer)


# ---- successes ----------------------------------------------------------------------------------

LIES: dict[str, tuple[str, int, object]] = {
    "another payment is created": ("create", 201, PENDING | {"id": str(OTHER)}),
    "another amount is created": ("create", 200, PENDING | {"amount_cents": 501}),
    "what is new is authorized": ("create", 201, AUTHORIZED),
    "another payment is authorized": ("authorize", 200, AUTHORIZED | {"id": str(OTHER)}),
    "an authorization leaves it pending": ("authorize", 200, PENDING),
    "an authorization captures": ("authorize", 200, CAPTURED),
    "another window": ("authorize", 200, AUTHORIZED | {"capture_expires_at": "2026-01-01T20:00:00Z"}),
    "another payment is captured": ("capture", 201, CAPTURE | {"payment_id": str(OTHER)}),
    "another amount is captured": ("capture", 201, CAPTURE | {"amount_cents": 499}),
    "another outcome": ("capture", 201, CAPTURE | {"outcome": "already_captured"}),
    "another payment fails": ("fail", 200, VOIDED | {"id": str(OTHER)}),
    "another reason": ("fail", 200, VOIDED | {"failure_reason": "declined"}),
    "a failure leaves it authorized": ("fail", 200, AUTHORIZED),
    "another payment is read": ("read", 200, PENDING | {"id": str(OTHER)}),
    "an unknown state": ("read", 200, PENDING | {"state": "refunded"}),
    "an unknown reason": ("read", 200, VOIDED | {"failure_reason": "bored"}),
    "pending and authorized": ("read", 200, PENDING | {"authorized_at": NOON}),
    "authorized without a window": ("read", 200, AUTHORIZED | {"capture_expires_at": None}),
    "a window that ends before": ("read", 200, AUTHORIZED | {"capture_expires_at": MORNING}),
    "captured and failed": ("read", 200, CAPTURED | {"failed_at": NOON, "failure_reason": "voided"}),
    "captured in part": ("read", 200, CAPTURED | {"captured_amount_cents": 499}),
    "captured without an amount": ("read", 200, CAPTURED | {"captured_amount_cents": None}),
    "captured at the window's end": ("read", 200, CAPTURED | {"captured_at": EVENING}),
    "failed without a reason": ("read", 200, VOIDED | {"failure_reason": None}),
    "no amount": ("read", 200, PENDING | {"amount_cents": 0}),
    "an amount below any": ("read", 200, PENDING | {"amount_cents": -500}),
    "an amount beyond any": ("read", 200, PENDING | {"amount_cents": 10**12}),
    "half a cent": ("read", 200, PENDING | {"amount_cents": 500.5}),
    "an amount as text": ("capture", 201, CAPTURE | {"amount_cents": "500"}),
    "true for an amount": ("capture", 201, CAPTURE | {"amount_cents": True}),
    "an instant without a zone": ("capture", 201, CAPTURE | {"captured_at": NOON[:-1]}),
    "an instant that is no UTC": ("capture", 201, CAPTURE | {"captured_at": f"{NOON[:-1]}+05:00"}),
    "a day that is none": ("capture", 201, CAPTURE | {"captured_at": "2026-02-30T12:00:00Z"}),
    "a year beyond any": ("capture", 201, CAPTURE | {"captured_at": "99999-01-01T12:00:00Z"}),
    "before the first year": ("capture", 201, CAPTURE | {"captured_at": "0001-01-01T00:00:00+23:59"}),
    "a number for an instant": ("capture", 201, CAPTURE | {"captured_at": 0}),
    "a field is missing": ("capture", 201, {k: v for k, v in CAPTURE.items() if k != "captured_at"}),
    "a member is there twice": (
        "capture",
        201,
        json.dumps(CAPTURE).encode()[:-1] + b', "amount_cents": 500}',
    ),
    "a new member is there twice": ("capture", 201, json.dumps(CAPTURE).encode()[:-1] + b', "a": 1, "a": 1}'),
    "an attempt is there twice": ("captures", 200, {"captures": [ATTEMPT, ATTEMPT], "next": None}),
    "two are captured": (
        "captures",
        200,
        {"captures": [ATTEMPT, ATTEMPT | {"idempotency_key": "other"}], "next": None},
    ),
    "an outcome with another status": (
        "captures",
        200,
        {"captures": [ATTEMPT | {"status": 409}], "next": None},
    ),
    "an unknown outcome": (
        "captures",
        200,
        {"captures": [ATTEMPT | {"outcome": "maybe", "status": 409}], "next": None},
    ),
    "a page that shows an attempt again": ("following captures", 200, {"captures": [ATTEMPT], "next": None}),
    "a page of nothing before the last": ("captures", 200, {"captures": [], "next": "3"}),
    "a key that is none": (
        "captures",
        200,
        {"captures": [ATTEMPT | {"idempotency_key": "a\n"}], "next": None},
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_success_that_does_not_fit_is_not_believed(name: str) -> None:
    assert_not_believed(judged(*LIES[name]))


@pytest.mark.parametrize(
    "media_type",
    ["", "text/html", "application/jsonp", "application/json; charset=latin-1", f"{JSON}, {JSON}", PROBLEM],
)
def test_a_success_of_another_type_is_not_believed(media_type: str) -> None:
    assert_not_believed(judged("capture", 201, CAPTURE, media_type))


def test_a_replay_is_one_of_a_decided_capture() -> None:
    assert not isinstance(judged("capture", 201, CAPTURE, idempotent_replayed="true"), Indefinite)
    assert_not_believed(judged("capture", 201, CAPTURE, idempotent_replayed="false"))
    assert_not_believed(judged("capture", 201, CAPTURE, idempotent_replayed="true, true"))
    assert_not_believed(judged("read", 200, PENDING, idempotent_replayed="true"))
    stored, free = refusal(problems.ALREADY_CAPTURED), refusal(problems.KEY_REUSED)
    assert isinstance(judged("capture", 409, stored, PROBLEM, idempotent_replayed="true"), Problem)
    assert_not_believed(judged("capture", 422, free, PROBLEM, idempotent_replayed="true"))
    assert_not_believed(judged("capture", 503, free, PROBLEM, idempotent_replayed="true"))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([NOON, EVENING]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(HONEST), st.data())
def test_whatever_is_changed_a_success_is_what_was_asked_for(
    honest: tuple[str, int, dict[str, Any]], data: st.DataObject
) -> None:
    command, status, document = honest
    changed = dict(document)
    for name in data.draw(st.lists(st.sampled_from([*document]), min_size=1, max_size=3)):
        changed[name] = data.draw(JSON_VALUES | st.sampled_from([*CAPTURED.values(), *VOIDED.values()]))
    found = judged(command, status, changed)
    if isinstance(found, Indefinite):
        return
    assert msgspec.to_builtins(found) == msgspec.to_builtins(msgspec.convert(changed, type(found)))
    for name, asked in (("id", PAYMENT), ("payment_id", PAYMENT)):
        assert getattr(found, name, asked) == asked
    if command in {"create", "capture"}:
        assert found.amount_cents == 500  # type: ignore[attr-defined]
    states = {"authorize": "authorized", "fail": "failed"}
    assert getattr(found, "state", None) == states.get(command, getattr(found, "state", None))


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECIDED)
def test_a_refusal_is_one_of_the_services_with_its_status(name: str) -> None:
    kinds = {each.name: each for each in vars(problems).values() if isinstance(each, ProblemType)}
    status, commands = DECIDED[name]
    assert kinds[name].status == status
    for command, call in CALLS.items():
        found = judged(command, status, refusal(kinds[name]), PROBLEM)
        is_answer = call().command in commands
        assert isinstance(found, Problem if is_answer else Indefinite)
    for other in {403, 404, 409, 422, 429} - {status}:
        assert_not_believed(judged(min(commands), other, refusal(kinds[name]), PROBLEM))
        assert_not_believed(judged(min(commands), other, refusal(kinds[name], status=other), PROBLEM))


def test_the_outcomes_that_are_stored_have_their_status() -> None:
    stored = {each: problems.OF_OUTCOME[each].status for each in CaptureOutcome if each != "captured"}
    assert stored | {"captured": 201} == STATUS_OF_OUTCOME
    kinds = msgspec.json.schema(CaptureAttempt)["$defs"]["CaptureAttempt"]["properties"]["outcome"]["enum"]
    assert set(kinds) == set(CaptureOutcome)


def test_a_refusal_of_another_payment_is_not_believed() -> None:
    decided = refusal(problems.ALREADY_CAPTURED, payment_id=str(PAYMENT), decided_at=NOON)
    assert isinstance(judged("capture", 409, decided, PROBLEM), Problem)
    assert_not_believed(judged("capture", 409, decided | {"payment_id": str(OTHER)}, PROBLEM))
    assert_not_believed(judged("capture", 409, decided | {"decided_at": NOON[:-1]}, PROBLEM))
    assert_not_believed(judged("capture", 409, decided, "text/html"))


@pytest.mark.parametrize("uri", ["https://proxy/problems/overloaded", "overloaded", "urn:x/overloaded"])
def test_only_the_service_says_that_nothing_was_done(uri: str) -> None:
    ours = judged("capture", 503, refusal(problems.OVERLOADED), PROBLEM)
    assert isinstance(ours, Indefinite)
    assert not ours.may_be_done
    for status, body, media_type in (
        (503, refusal(problems.OVERLOADED, type=uri), PROBLEM),
        (503, refusal(problems.OVERLOADED), "text/html"),
        (502, refusal(problems.OVERLOADED, status=502), PROBLEM),
    ):
        found = judged("capture", status, body, media_type)
        assert isinstance(found, Indefinite)
        assert found.may_be_done


@pytest.mark.parametrize(("command", "status", "document"), HONEST)
def test_an_answer_to_another_call_is_not_believed(
    command: str, status: int, document: dict[str, Any]
) -> None:
    call, body = CALLS[command](), json.dumps(document).encode()

    def judged(request_id: str) -> Any:
        return judge(call, Reply(status, {"content-type": JSON, "x-request-id": request_id}, body))

    found = judged(CALLS[command]().request_id)
    assert isinstance(found, Indefinite)
    assert found.may_be_done
    assert "X-Request-ID" in found.reason
    # A proxy's id says nothing.
    for believed in (call.request_id, "5f2b6c7d8e9f40aab1c2d3e4f5061728", "a, b"):
        assert not isinstance(judged(believed), Indefinite)


def test_a_refusal_of_another_call_is_not_believed() -> None:
    call = CALLS["capture"]()
    body = json.dumps({"type": "/problems/already_captured", "status": 409}).encode()
    fields = {"content-type": PROBLEM, "x-request-id": CALLS["capture"]().request_id}
    assert isinstance(judge(call, Reply(409, fields, body)), Indefinite)
    assert isinstance(judge(call, Reply(409, fields | {"x-request-id": call.request_id}, body)), Problem)
