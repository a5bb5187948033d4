"""References of an OpenAPI document are followed wherever JSON pointers lead, and round in no circle."""

from __future__ import annotations

from typing import Any

import pytest

from payments_verify.binding.openapi import follow, properties

AMOUNT = {"type": "integer"}
DOCUMENT: dict[str, Any] = {
    "paths": {"/charges/{id}": {"post": {"parameters": [{"schema": {}}, {"schema": AMOUNT}]}}},
    "components": {
        "schemas": {
            "Amount": AMOUNT,
            "of % and ~": AMOUNT,
            "A": {"$ref": "#/components/schemas/B"},
            "B": {"$ref": "#/components/schemas/A"},
            "Own": {"allOf": [{"$ref": "#/components/schemas/Own"}, {"properties": {"amount": AMOUNT}}]},
        }
    },
}


@pytest.mark.parametrize(
    ("reference", "leads_to"),
    [
        ("#/components/schemas/Amount", AMOUNT),
        ("#/paths/~1charges~1%7Bid%7D/post/parameters/1/schema", AMOUNT),
        ("#/components/schemas/of%20%25%20and%20~0", AMOUNT),
        ("#/paths/~1charges~1{id}/post/parameters/2/schema", {}),
        ("#/paths/~1charges~1{id}/post/parameters/last", {}),
        ("#/components/schemas/Amount/type/0", {}),
        ("#/components/schemas/A", {}),
        ("#", DOCUMENT),
        ("other.json#/components/schemas/Amount", {}),
    ],
)
def test_where_a_reference_leads(reference: str, leads_to: Any) -> None:
    assert follow(DOCUMENT, {"$ref": reference}) == leads_to


def test_a_schema_that_is_put_together_from_itself_has_what_else_it_has() -> None:
    (found,) = properties(DOCUMENT, {"$ref": "#/components/schemas/Own"})
    assert (found.path, found.schema) == ("amount", AMOUNT)
