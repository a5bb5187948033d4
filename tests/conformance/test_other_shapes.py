"""Services of other shapes, right and wrong: the binding says how they look, the verdict what they do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from payments_verify.binding import Binding, BindingFileError, load, parse
from payments_verify.binding.coverage import traits_of, unchecked
from payments_verify.binding.encoding import encode
from payments_verify.payments.checks import machine_check, windows_check
from payments_verify.payments.observations import Invocation
from payments_verify.payments.service_under_test import ServiceUnderTest
from payments_verify.payments.spec import Payments
from payments_verify.payments.trace import Trace
from payments_verify.result import CheckResult
from payments_verify.systems.started import service_at
from pgweave.history.linearizability import check
from pgweave.service.command import CommandError, running_command
from tests.docs.pages import ROOT

SUPPORT = ROOT / "tests" / "support"
ORDERS = SUPPORT / "orders.toml"


@asynccontextmanager
async def opened(binding: Binding, bug: str) -> AsyncIterator[ServiceUnderTest]:
    command = f"exec {sys.executable} {SUPPORT}/orders_service.py"
    async with (
        running_command(command, {"BUG": bug}) as running,
        service_at(running.url, binding) as service,
    ):
        yield service


def examined(bug: str) -> CheckResult:
    open_service = partial(opened, load(ORDERS), bug)
    return machine_check("orders", open_service, examples=8, steps=10, seed=1)


def test_forms_ids_keys_and_orders_are_no_reason_to_accuse_it() -> None:
    found = examined("")
    assert found.verdict == "holds", found.counterexample
    assert {"fail -> failed", "capture -> captured"} <= set(found.details["outcomes"])


@pytest.mark.parametrize(
    ("bug", "told"),
    [
        ("twice", "expected 'already_captured', got 'captured'"),
        ("forgets", "expected 'captured', got 'already_captured'"),
    ],
)
def test_what_it_does_wrong_is_found(bug: str, told: str) -> None:
    found = examined(bug)
    assert found.verdict == "violated"
    assert told in str(found.counterexample)


@pytest.mark.parametrize(("bug", "verdict"), [("", "holds"), ("revives", "violated")])
def test_what_is_cancelled_before_it_is_authorized_stays_cancelled(bug: str, verdict: str) -> None:
    payment = str(uuid4())
    sent: dict[str, dict[str, Any]] = {
        "create": {"amount": 500},
        "fail": {"reason": "voided"},
        "authorize": {"window": 60_000_000},
    }

    async def main() -> Trace:
        trace = Trace()
        async with opened(load(ORDERS), bug) as service:
            for f, arguments in sent.items():
                asked = service.traits.asked(f, {"payment": payment, **arguments})
                trace.add(f, asked, (await service.client.send(Invocation(f, asked))).value)
        return trace

    assert check(Payments(), asyncio.run(main()).operations()).verdict == verdict


def test_without_windows_none_is_waited_for_and_that_is_said() -> None:
    binding = load(ORDERS)
    found = windows_check("orders", partial(opened, binding, ""))
    assert (found.verdict, found.cases) == ("holds", 3)
    told = list(unchecked(binding, traits_of(binding, moves_clock=False), has_database=False))
    assert any(each.startswith("commands.authorize names no {window}") for each in told)
    assert any(each.startswith("commands.capture names no {amount}") for each in told)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("POST /customers", "POST /nobody", "setup: POST /nobody was answered 404"),
        ('"data.id"', '"data.number"', "nothing stands at 'data.number'"),
    ],
)
def test_a_set_up_that_fails_is_no_verdict_and_says_why(before: str, after: str, says: str) -> None:
    binding = parse(ORDERS.read_text().replace(before, after), "mine.toml")
    with pytest.raises(CommandError, match=says):
        machine_check("orders", partial(opened, binding, ""), examples=1, steps=1, seed=1)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('form = "pay_{hex}"', 'form = "pay"', "ids.form: must have one of"),
        ('form = "k-{hex}"', 'form = "k-{digits}"', "keys.form: {digits} is no placeholder"),
        ("length = 16", "length = 3", "keys.length: must be 8 to 255"),
        ('"{customer}"', '"{order}"', r"setup\[1\].headers.X-Shop: {order} is no placeholder"),
        ('{ order = "id" }', '{ order = "id", amount = "id" }', r"setup\[1\].save.amount: is the name"),
        ('kind = "text"', 'kind = "uuid"', "ids.form: belongs to"),
    ],
)
def test_what_is_wrong_with_such_a_file_is_said_with_its_key(before: str, after: str, key: str) -> None:
    with pytest.raises(BindingFileError, match=key):
        parse(ORDERS.read_text().replace(before, after, 1), "mine.toml")


def test_bodies_within_bodies_become_fields_of_a_form() -> None:
    kind, content = encode("form", {"a": {"b": [1, {"c": "x y"}]}, "d": True, "e": None})
    assert kind == {"Content-Type": "application/x-www-form-urlencoded"}
    assert content == b"a%5Bb%5D%5B0%5D=1&a%5Bb%5D%5B1%5D%5Bc%5D=x+y&d=true&e="
    assert encode("form", None) == ({}, b"")
