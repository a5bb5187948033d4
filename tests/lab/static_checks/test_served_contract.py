"""A contract that is served and is another than the kept one is told, part by part."""

from __future__ import annotations

import pytest

from lab.static_checks.contract import CONTRACT, check_contract
from payments_core.entrypoints.http.contract import openapi_json


def test_the_service_as_it_is() -> None:
    found = check_contract(openapi_json(), CONTRACT.read_bytes())
    assert found.problems == []
    assert found.looked_at > 500


@pytest.mark.parametrize(
    ("served", "told"),
    [
        (b'{"a": {"b": 2}}', ["2 at /a/b, and not 1"]),
        (b'{"a": {}}', ["None at /a/b, and not 1"]),
        (b'{"a": {"b": 1}, "c": []}', ["[] at /c, and not None"]),
        (b'{"a": 1}', ["1 at /a, and not {'b': 1}"]),
        (b'{"a": {"b": 1}}', []),
    ],
)
def test_each_difference_is_told(served: bytes, told: list[str]) -> None:
    found = check_contract(served, b'{"a": {"b": 1}}')
    assert found.problems == [f"I8: the contract has {each}" for each in told]
