"""The words that the specifications use in explanations."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest

from payments_verify.payments.specification.spec import Payments
from payments_verify.specs import SPECS, spec_named
from pgweave.history import spec as spec_module
from pgweave.history.linearizability import check
from pgweave.history.operations import Operation, Outcome
from pgweave.history.spec import Spec, SpecError
from pgweave.history.specs.cas_register import CasRegister, EtcdRegister
from pgweave.history.specs.kv import KeyValue
from tests.pgweave.brute_force import operation

OK, FAIL, UNKNOWN = (Outcome.OK, None), (Outcome.FAIL, None), (Outcome.UNKNOWN, None)


@pytest.mark.parametrize(
    ("spec", "state", "f", "value", "observed", "description", "expected"),
    [
        (CasRegister(), None, "read", None, (Outcome.OK, 3), "read -> 3", "nil"),
        (CasRegister(), "x", "read", None, (Outcome.OK, None), "read -> nil", "'x'"),
        (CasRegister(), 1, "read", None, FAIL, "read -> fail", "1"),
        (CasRegister(), 1, "write", 2, OK, "write 2 -> ok", "ok"),
        (EtcdRegister(), 1, "cas", [1, None], FAIL, "cas [1, nil] -> fail", "ok"),
        (CasRegister(), 2, "cas", [1, 2], OK, "cas [1, 2] -> ok", "fail"),
        (CasRegister(), 2, "cas", [1, 2], UNKNOWN, "cas [1, 2] -> ?", "fail"),
        (KeyValue(), "ab", "get", {"key": "k"}, (Outcome.OK, {"value": "b"}), 'get -> "b"', '"ab"'),
        (KeyValue(), "ab", "append", {"key": "k", "value": "c"}, OK, 'append "c" -> ok', "ok"),
        (KeyValue(), "", "put", {"key": "k", "value": "c"}, UNKNOWN, 'put "c" -> ?', "ok"),
        (KeyValue(), "", "get", {"key": "k"}, FAIL, "get -> fail", '""'),
        (KeyValue(), "z" * 99, "get", {"key": "k"}, UNKNOWN, "get -> ?", '"...' + "z" * 35 + '"'),
    ],
)
def test_operations_in_words(
    spec: Spec[Any], state: Any, f: str, value: Any, observed: Any, description: str, expected: str
) -> None:
    one = operation(0, f, value, observed, (0, None if observed == UNKNOWN else 1))
    assert spec.describe(one) == description
    assert spec.expected(state, one) == expected


def test_every_specification_is_registered_under_its_name() -> None:
    assert {name: spec_named(name).name for name in SPECS} == {name: name for name in SPECS}
    with pytest.raises(SpecError, match="no specification is named 'x'; there are"):
        spec_named("x")


@pytest.mark.parametrize(("seen", "verdict"), [(2, "holds"), (1, "holds"), (0, "violated"), (3, "violated")])
def test_the_example_in_the_documentation_is_a_specification(seen: int, verdict: str) -> None:
    assert spec_module.__doc__ is not None
    example = spec_module.__doc__.split("::\n")[1]
    names: dict[str, Any] = {"Spec": Spec}
    exec(textwrap.dedent(example), names)
    operations = [
        operation(0, "increment", None, OK, (0, 1)),
        operation(1, "increment", None, UNKNOWN, (2, None)),
        operation(2, "read", None, (Outcome.OK, seen), (3, 4)),
    ]
    assert check(names["Counter"](), operations).verdict == verdict


def created(amount: Any, **more: Any) -> list[Operation]:
    answer = (Outcome.OK, {"outcome": "created", **more})
    return [operation(0, "create", {"payment": "p", "amount": amount}, answer, (0, 1))]


INT64 = 2**63


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (created(True), "Expected `int`, got `bool` - at `$.amount`"),
        (created(1000.0), "Expected `int`, got `float` - at `$.amount`"),
        (created("1000"), "Expected `int`, got `str` - at `$.amount`"),
        (created(INT64), "Expected `int` <= 9223372036854775807 - at `$.amount`"),
        (created(1, as_of=1.0), "Expected `int`, got `float` - at `$.as_of`"),
        (created(1, payment={"state": "pending", "amount": True}), "got `bool` - at `$.payment.amount`"),
        (created(1, outcome="made"), "at `$.outcome`"),
        (created(1, outcome=""), "the answer names no outcome"),
        ([operation(0, "capture", {"payment": "p", "amount": 1}, UNKNOWN, (0, None))], "field `key`"),
        ([operation(0, "fail", {"payment": "p", "reason": "?"}, UNKNOWN, (0, None))], "at `$.reason`"),
        ([operation(0, "clock", {"now": True}, OK, (0, 1))], "at `$.now`"),
        ([operation(0, "read", {"payment": 1}, UNKNOWN, (0, None))], "at `$.payment`"),
        ([operation(0, "refund", {"payment": "p"}, UNKNOWN, (0, None))], "known are create, "),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(history: list[Operation], said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)) as refused:
        check(Payments(), history)
    assert f"process 0, event 1: '{history[0].f}'" in str(refused.value)


def test_amounts_at_the_edge_of_64_bits_are_read() -> None:
    assert check(Payments(), created(INT64 - 1)).verdict == "violated"
    assert check(Payments(), created(1000)).verdict == "holds"


def test_of_a_long_key_both_ends_are_told() -> None:
    asked = {"payment": "p", "key": "1" + "k" * 253 + "2", "amount": 500}
    told = Payments().describe(operation(0, "capture", asked, UNKNOWN, (0, None)))
    assert told == f"capture 1{'k' * 15}…{'k' * 15}2 500 -> ?"
