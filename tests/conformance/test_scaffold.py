"""A first binding is made from an OpenAPI document: with its marks filled in, it binds the service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from payments_verify.binding import Binding, BindingFileError, BoundClient, parse, read_document, scaffold
from payments_verify.binding.coverage import traits_of
from payments_verify.cli import app
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems import in_memory
from tests.docs.pages import ROOT

DOCUMENTS = ROOT / "tests" / "support" / "openapi"
OURS = ROOT / "specs" / "openapi.json"


def written(document: Path) -> str:
    return scaffold(read_document(document))


def filled(text: str, *marks: tuple[str, str]) -> Binding:
    """The binding once somebody has filled in what is marked."""
    for before, after in marks:
        assert before in text
        text = text.replace(before, after)
    return parse(text, "mine.toml")


@asynccontextmanager
async def bound_by(binding: Binding) -> AsyncIterator[ServiceUnderTest]:
    async with in_memory() as service:
        clients = [each for each in service.clients if isinstance(each, BoundClient)]
        assert len(clients) == len(service.clients)
        traits = replace(traits_of(binding, moves_clock=True), sweeps=True)
        bound = tuple(BoundClient(each.http, binding) for each in clients)
        yield replace(service, clients=bound, traits=traits)


def test_for_our_own_document_it_binds_our_own_service() -> None:
    text = written(OURS)
    marked = [line.partition("#")[0].strip() for line in text.splitlines() if "  # ?" in line]
    assert marked == [
        "max_stored_refusals = 1000",
        'replayed = { header = "Idempotent-Replayed", value = "true" }',
    ]
    found = machine_check("ours", partial(bound_by, filled(text)), examples=10, steps=15, seed=1)
    assert found.verdict == "holds", found.counterexample
    assert {"capture -> key_reused", "fail -> failed"} <= set(found.details["outcomes"])


def test_for_a_document_that_fastapi_writes_it_asks_what_it_cannot_say() -> None:
    text = written(DOCUMENTS / "fastapi.json")
    with pytest.raises(BindingFileError, match=r"answers\[1\].outcome: no outcome is named '\?'"):
        parse(text, "mine.toml")
    binding = filled(text, ('outcome = "?"', 'outcome = ["not_authorized", "already_captured"]'))
    requests = {f: command.request for f, command in binding.commands.items()}
    assert requests == {
        "create": "POST /payments",
        "authorize": "POST /payments/{payment}/hold",
        "capture": "POST /payments/{payment}/capture",
        "fail": "POST /payments/{payment}/cancel",
        "read": "GET /payments/{payment}",
    }
    assert binding.commands["capture"].headers == {"idempotency-key": "{key}"}
    assert binding.commands["authorize"].body == {"valid_for_seconds": "{window}"}
    assert (binding.ids.chosen_by, binding.ids.kind, binding.commands["create"].id) == (
        "service",
        "uuid",
        "id",
    )
    assert binding.payment.states["held"] == "authorized"
    assert binding.limits.max_amount == 1_000_000


def test_for_a_document_of_forms_it_writes_forms_and_what_else_may_be_sent() -> None:
    text = written(DOCUMENTS / "forms.json")
    assert "# ? the body may also have capture_method (automatic, manual), metadata" in text
    binding = filled(text, ('processing = "?"', 'processing = "authorized"'))
    assert binding.service.body == "form"
    assert binding.commands["create"].body == {"amount": "{amount}", "currency": "eur"}
    assert binding.commands["capture"].body == {"amount_to_capture": "{amount}"}
    assert binding.outcomes_of("capture") == {"captured", "malformed", "in_progress"}
    assert binding.ids.kind == "text"
    assert not binding.has_windows


def test_it_is_printed_by_the_command_line(tmp_path: Path) -> None:
    no_file = CliRunner().invoke(app, ["conformance", "--scaffold", "--help"])
    assert no_file.exit_code == 2
    assert "Invalid value for --scaffold: it needs a value, and --help is another option" in no_file.stderr
    run = CliRunner().invoke(app, ["conformance", "--scaffold", str(OURS)])
    assert (run.exit_code, run.stdout) == (0, written(OURS))
    wrong: dict[str, Any] = {"no JSON": "{", "no OpenAPI": json.dumps({"swagger": "2.0"})}
    for name, content in wrong.items():
        file = tmp_path / f"{name}.json"
        file.write_text(content)
        run = CliRunner().invoke(app, ["conformance", "--scaffold", str(file)], env={"COLUMNS": "200"})
        assert run.exit_code == 2
        assert "cannot be read as JSON" in run.output or "no OpenAPI 3 document" in run.output


def test_of_a_document_without_payments_every_command_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "empty.json"
    file.write_text(json.dumps({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}))
    text = written(file)
    assert [line for line in text.splitlines() if "no operation looks like it" in line] == [
        f"# ? [commands.{f}]: no operation looks like it"
        for f in ("create", "authorize", "capture", "fail", "read")
    ]
    with pytest.raises(BindingFileError):
        parse(text, "mine.toml")


MONEY = {
    "type": "object",
    "required": ["value", "currency"],
    "properties": {"value": {"type": "integer"}, "currency": {"type": "string"}},
}
CARD = {"type": "object", "required": ["number"], "properties": {"number": {"type": "string"}}}
WALLET = {"type": "object", "required": ["wallet"], "properties": {"wallet": {"type": "string"}}}
SHOWN = {
    "type": "object",
    "properties": {
        "payment": {
            "type": "object",
            "properties": {"paymentRef": {"type": "string"}, "status": {"type": "string"}, "amount": MONEY},
        }
    },
}
CREATED = {
    "type": "object",
    "required": ["amount", "method", "request_key"],
    "properties": {
        "fee": MONEY,
        "amount": MONEY,
        "method": {"oneOf": [CARD, WALLET]},
        "address": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        "request_key": {"type": "string"},
    },
}


def operation(name: str, body: Any = None, **more: Any) -> dict[str, Any]:
    answer = {"description": "done", "content": {"application/json": {"schema": SHOWN}}}
    asked = {} if body is None else {"requestBody": {"content": {"application/json": {"schema": body}}}}
    return {"operationId": name, "responses": {"200": answer}, **asked, **more}


def test_money_lies_within_and_what_is_not_required_is_not_sent(tmp_path: Path) -> None:
    """As card processors write their documents: an old interface beside the new one, and no authorization."""
    place, old = "/v2/payments/{paymentRef}", "/v2/shops/{shop}/charges/{charge}"
    paths = {
        f"{old}/capture": {"post": operation("CaptureCharge", deprecated=True)},
        "/v2/payments": {"post": operation("CreatePayment", CREATED)},
        place: {"get": operation("GetPayment"), "put": operation("UpdatePayment", CREATED)},
        f"{place}/complete": {"post": operation("CompletePayment", {"properties": {"amount": MONEY}})},
        f"{place}/reauthorize": {"post": operation("ReauthorizePayment")},
        f"{place}/cancel": {"post": operation("CancelPayment")},
    }
    file = tmp_path / "cards.json"
    file.write_text(json.dumps({"openapi": "3.0.0", "info": {"title": "cards"}, "paths": paths}))
    binding = filled(written(file), ('method = "?"', 'method = { number = "4" }'))
    requests = {f: command.request for f, command in binding.commands.items()}
    assert requests == {
        "create": "POST /v2/payments",
        "capture": "POST /v2/payments/{payment}/complete",
        "fail": "POST /v2/payments/{payment}/cancel",
        "read": "GET /v2/payments/{payment}",
    }
    create = binding.commands["create"]
    assert (create.authorizes, create.id) == (True, "payment.paymentRef")
    amount = {"value": "{amount}", "currency": "EUR"}
    assert create.body == {"amount": amount, "method": {"number": "4"}, "request_key": "{payment}"}
    assert binding.commands["capture"].body == {"amount": amount}
    assert (binding.payment.state, binding.payment.amount) == ("payment.status", "payment.amount.value")


def test_a_charge_of_a_shop_is_the_last_of_its_path(tmp_path: Path) -> None:
    place = "/v2/shops/{shop}/charges/{charge}"
    paths = {f"{place}/capture": {"post": operation("CaptureCharge")}, place: {"get": operation("GetCharge")}}
    file = tmp_path / "shops.json"
    file.write_text(json.dumps({"openapi": "3.0.0", "info": {"title": "shops"}, "paths": paths}))
    text = written(file)
    assert 'request = "POST /v2/shops/?/charges/{payment}/capture"  # ?' in text
    assert 'request = "GET /v2/shops/?/charges/{payment}"  # ?' in text
