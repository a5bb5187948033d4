"""A service that speaks GraphQL: braces in its queries, and refusals that are members of a list."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from payments_verify.binding import Binding, BindingFileError, BoundClient, default_text, parse
from payments_verify.binding.expected import expected_answer
from payments_verify.payments.observed.observations import Invocation, UnreadableAnswerError
from tests.support.loopback import DIRECT

QUERY = "mutation($id: ID!) { settle(id: $id) { state } }"
PAYMENT = "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11"
CAPTURE = f"""
[commands.capture]
request = "POST /graphql"
headers = {{ Idempotency-Key = "{{key}}" }}
body = {{ query = "{QUERY}", variables = {{ id = "{{payment}}", cents = "{{amount}}" }} }}
answers = [
    {{ status = 200, where = {{ "data.settle.state" = "Settled" }}, outcome = "captured" }},
    {{ status = 200, where = {{ "errors.0.extensions.code" = "NOT_FOUND" }}, outcome = "not_found" }},
    {{ status = 200, where = {{ "errors.1" = {{ exists = true }} }}, outcome = "payment_failed" }},
]
"""


def speaking_graphql(query: str = QUERY) -> Binding:
    before, _, rest = default_text().partition("[commands.capture]")
    after = rest[rest.index("[commands.fail]") :]
    return parse(before + CAPTURE.replace(QUERY, query) + after, "mine.toml")


def test_a_query_is_sent_as_it_stands() -> None:
    client = BoundClient(httpx.AsyncClient(**DIRECT), speaking_graphql())
    asked = Invocation("capture", {"payment": PAYMENT, "key": "k", "amount": 5})
    *_, sent = client.requests.write(asked)
    assert sent == {"query": QUERY, "variables": {"id": PAYMENT, "cents": 5}}


@pytest.mark.parametrize("query", ["mutation { settle(id: {paymnet}) }", "{payment", "{ settle(id: {pay) }"])
def test_a_placeholder_in_a_query_is_one_that_there_is(query: str) -> None:
    with pytest.raises(BindingFileError, match=r"commands\.capture\.body\.query: .* is no placeholder here"):
        speaking_graphql(query)


def missing(code: str) -> dict[str, Any]:
    return {"errors": [{"message": "No", "extensions": {"code": code}}], "data": None}


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({"data": {"settle": {"state": "Settled"}}}, "captured"),
        (missing("NOT_FOUND"), "not_found"),
        ({"errors": [{"message": "No"}, {"message": "No"}]}, "payment_failed"),
        (missing("ANOTHER"), None),
        ({"errors": [], "data": None}, None),
    ],
)
def test_a_place_in_a_list_tells_answers_apart(document: dict[str, Any], outcome: str | None) -> None:
    client = BoundClient(httpx.AsyncClient(**DIRECT), speaking_graphql())
    asked = Invocation("capture", {"payment": PAYMENT, "key": "k", "amount": 5})
    answer = httpx.Response(200, json=document)
    if outcome is None:
        with pytest.raises(UnreadableAnswerError):
            client.answers.read(asked, answer)
    else:
        assert client.answers.read(asked, answer).value["outcome"] == outcome


def test_an_expected_list_is_shown_as_one() -> None:
    shown = expected_answer(speaking_graphql(), "capture", {"outcome": "not_found"})
    assert shown == '200 {"errors":[{"extensions":{"code":"NOT_FOUND"}}]}'
