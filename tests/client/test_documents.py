"""The client's own types against the contract: what it reads is what the service promises."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from payments_client import Capture, Payment, Problem
from payments_client.documents import CaptureAttempt, CaptureAttempts, CaptureDocument
from payments_core.entrypoints.http.contract import openapi

SCHEMAS = openapi()["components"]["schemas"]
NAMES: dict[str, type[msgspec.Struct]] = {
    "Payment": Payment,
    "Capture": CaptureDocument,
    "CaptureAttempt": CaptureAttempt,
    "CaptureAttempts": CaptureAttempts,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_document_has_the_fields_of_the_contract(name: str) -> None:
    fields = msgspec.structs.fields(NAMES[name])
    assert {field.encode_name for field in fields} == set(SCHEMAS[name]["properties"])
    assert {field.encode_name for field in fields if field.required} == set(SCHEMAS[name]["required"])


def test_a_problem_reads_fields_of_the_contract_and_needs_none() -> None:
    fields = msgspec.structs.fields(Problem)
    assert {field.encode_name for field in fields} <= set(SCHEMAS["Problem"]["properties"])
    assert not any(field.required for field in fields)


@pytest.mark.parametrize("name", ["Payment", "Capture", "CaptureAttempts"])
def test_every_example_of_the_contract_can_be_read(name: str) -> None:
    examples = [
        content["example"]
        for item in openapi()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        if content["schema"] == {"$ref": f"#/components/schemas/{name}"}
    ]
    assert examples
    for example in examples:
        read = msgspec.convert(example, NAMES[name], strict=False)
        assert _plain(read) == example


def test_the_states_and_reasons_are_those_of_the_contract() -> None:
    hints = msgspec.json.schema(Payment)["$defs"]["Payment"]["properties"]
    assert set(hints["state"]["enum"]) == set(SCHEMAS["PaymentState"]["enum"])
    reasons = next(each["enum"] for each in hints["failure_reason"]["anyOf"] if "enum" in each)
    assert set(reasons) == set(SCHEMAS["FailureReason"]["enum"])


def test_a_field_that_is_new_is_passed_over() -> None:
    body = {"type": "/problems/x", "title": "", "status": 409, "detail": "", "since": "tomorrow"}
    assert msgspec.json.decode(msgspec.json.encode(body), type=Problem).name == "x"


def test_a_capture_says_what_was_taken_and_under_which_key() -> None:
    assert set(Capture.__struct_fields__) == {"payment_id", "amount_cents", "captured_at", "key", "replayed"}


def _plain(value: msgspec.Struct) -> Any:
    """As JSON says it, with six digits of a second as the service has."""
    return _six(msgspec.to_builtins(value))


def _six(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _six(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_six(each) for each in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value and "." not in value:
        return value.replace("Z", ".000000Z")
    return value
