"""The types of problems: a contract, so that each name and status is written down here once more."""

from __future__ import annotations

import json

import pytest

from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.errors import Refusal
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.problems import ProblemRaised, ProblemType, document, response

CONTRACT = {
    "malformed_json": 400,
    "invalid_request": 422,
    "invalid_payment_id": 400,
    "invalid_query": 422,
    "idempotency_key_missing": 400,
    "idempotency_key_malformed": 400,
    "idempotency_key_reused": 422,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "http_404": 404,
    "http_405": 405,
    "payment_not_found": 404,
    "payment_id_conflict": 409,
    "not_authorized": 409,
    "already_authorized": 409,
    "already_captured": 409,
    "payment_failed": 409,
    "capture_window_open": 409,
    "capture_window_expired": 409,
    "amount_mismatch": 422,
    "too_many_refusals": 429,
    "unauthorized": 401,
    "invalid_host": 400,
    "foreign_host": 421,
    "foreign_origin": 403,
    "not_local": 403,
    "insufficient_scope": 403,
    "malformed_http": 400,
    "request_timeout": 408,
    "unsupported_transfer_coding": 501,
    "head_too_large": 431,
    "overloaded": 503,
    "deadline_exceeded": 503,
    "payment_busy": 503,
    "unavailable": 503,
    "internal_error": 500,
}


def test_the_types_are_these() -> None:
    types = [value for value in vars(problems).values() if isinstance(value, ProblemType)]
    assert {each.name: each.status for each in types} == CONTRACT
    assert len({each.title for each in types}) == len(types)


def test_every_refusal_has_its_type() -> None:
    assert {refusal.value: kind.name for refusal, kind in problems.OF_REFUSAL.items()} == {
        refusal.value: refusal.value for refusal in Refusal
    }


def test_every_outcome_but_success_has_its_type() -> None:
    refused = [outcome for outcome in CaptureOutcome if outcome is not CaptureOutcome.CAPTURED]
    assert {outcome: kind.name for outcome, kind in problems.OF_OUTCOME.items()} == {
        outcome: outcome.value for outcome in refused
    }


def test_a_document() -> None:
    made = json.loads(document(problems.NOT_AUTHORIZED, "détail", payment_id="7"))
    assert made == {
        "type": "/problems/not_authorized",
        "title": "The payment is not authorized",
        "status": 409,
        "detail": "détail",
        "payment_id": "7",
    }


def test_a_response() -> None:
    made = response(problems.UNAVAILABLE, "later", {"Retry-After": "1"})
    assert (made.status_code, made.media_type) == (503, "application/problem+json")
    assert made.headers["retry-after"] == "1"


def test_a_raised_problem_keeps_its_detail() -> None:
    with pytest.raises(ProblemRaised, match="no key") as raised:
        raise ProblemRaised(problems.KEY_MISSING, "no key")
    assert (raised.value.problem, raised.value.detail) == (problems.KEY_MISSING, "no key")
