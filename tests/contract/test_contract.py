"""The OpenAPI document and the pages of problem types: complete, consistent, and committed as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest
from starlette.routing import Route

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.contract import markdown_pages, openapi, openapi_json
from payments_core.entrypoints.http.contract.descriptions import DESCRIPTIONS
from payments_core.entrypoints.http.contract.operations import OPERATIONS
from payments_core.entrypoints.http.problems import ProblemType
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.wiring import exposition
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.processes import invoke

SPECS = Path(__file__).parents[2] / "specs"
DOCUMENT = openapi()
TYPES = {each for each in vars(problems).values() if isinstance(each, ProblemType)}
PAGES = {"/", "/docs", "/openapi.json", "/static/{name}"}
"""Paths that are for browsers, or are the contract itself."""


# ---- what is committed --------------------------------------------------------------------------


def test_the_committed_document_is_the_one_that_the_code_makes() -> None:
    assert (SPECS / "openapi.json").read_bytes() == openapi_json(), "run: make specs"


def test_the_committed_pages_are_those_that_the_code_makes() -> None:
    committed = {path.name: path.read_text() for path in (SPECS / "problems").iterdir()}
    assert committed == markdown_pages(), "run: make specs"


def test_the_commands_write_them(tmp_path: Path) -> None:
    assert invoke(["openapi"], {}).stdout_bytes == openapi_json()
    assert invoke(["problems", str(tmp_path / "problems")], {}).exit_code == 0
    assert {path.name for path in (tmp_path / "problems").iterdir()} == set(markdown_pages())
    refused = invoke(["problems", "/dev/null/problems"], {})
    assert (refused.exit_code, refused.stderr) == (
        2,
        "payments-core: cannot write to /dev/null/problems: Not a directory\n",
    )


# ---- complete -----------------------------------------------------------------------------------


def test_every_route_is_an_operation() -> None:
    served = {
        (method.lower(), route.path)
        for route in create_app(InMemoryPaymentStore(lambda: 0), routes=[exposition(Metrics())]).routes
        if isinstance(route, Route) and route.path not in PAGES
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(each.method, each.path) for each in OPERATIONS} == served


def test_every_problem_type_is_described_and_answered_by_an_operation() -> None:
    assert set(DESCRIPTIONS) == TYPES
    answered = {uri for response in responses() for uri in problem_types(response)}
    by_routing_or_nobody = {problems.NO_METHOD.uri, problems.CAPTURE_WINDOW_OPEN.uri}
    assert answered == {each.uri for each in TYPES} - by_routing_or_nobody


def test_a_problem_stands_under_its_status() -> None:
    for item in DOCUMENT["paths"].values():
        for method in set(item) - {"parameters"}:
            for status, response in item[method]["responses"].items():
                for uri in problem_types(response):
                    (kind,) = [each for each in TYPES if each.uri == uri]
                    assert str(kind.status) == status


def test_operations_are_told_apart() -> None:
    names = [each.name for each in OPERATIONS]
    assert len(set(names)) == len(names)


def test_links_lead_to_operations() -> None:
    links = [link for response in responses() for link in response.get("links", {}).values()]
    assert len(links) > 10
    assert {link["operationId"] for link in links} <= {each.name for each in OPERATIONS}


# ---- consistent ---------------------------------------------------------------------------------


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    text = openapi_json().decode()
    used = set(re.findall(r'"\$ref": "#/components/(\w+)/([^"]+)"', text))
    components = {k: v for k, v in DOCUMENT["components"].items() if k != "securitySchemes"}
    defined = {(kind, name) for kind, named in components.items() for name in named}
    unused = {("examples", problems.NO_METHOD.name), ("examples", problems.CAPTURE_WINDOW_OPEN.name)}
    decided = {("examples", each.name) for each in problems.OF_OUTCOME.values()}
    assert used <= defined
    assert defined - used <= unused | decided


def test_every_example_is_of_its_schema() -> None:
    checked = 0
    for response in responses():
        for content in response.get("content", {}).values():
            shown = [content["example"]] if "example" in content else []
            shown += [resolved(example)["value"] for example in content.get("examples", {}).values()]
            for each in shown:
                assert broken(content["schema"], each) == []
                checked += 1
    assert checked > 70


def test_an_example_of_another_schema_is_found() -> None:
    payment = DOCUMENT["paths"]["/payments"]["post"]["responses"]["201"]["content"]["application/json"]
    assert broken(payment["schema"], payment["example"] | {"state": "lost"})
    assert broken(payment["schema"], {k: v for k, v in payment["example"].items() if k != "as_of"})


def test_the_schemas_are_those_that_parse() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for operation in OPERATIONS:
        if operation.body is not None:
            fields = msgspec.structs.fields(operation.body)
            assert set(schemas[operation.body.__name__]["properties"]) == {each.name for each in fields}
            assert schemas[operation.body.__name__]["additionalProperties"] is False


@pytest.mark.anyio
async def test_it_is_served() -> None:
    transport = httpx.ASGITransport(create_app(InMemoryPaymentStore(lambda: 0)))
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as http:
        answer = await http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == openapi_json()


def responses() -> list[dict[str, Any]]:
    return [
        response
        for item in DOCUMENT["paths"].values()
        for method in set(item) - {"parameters"}
        for response in item[method]["responses"].values()
    ]


def problem_types(response: dict[str, Any]) -> list[str]:
    content = response.get("content", {}).get(problems.MEDIA_TYPE)
    return [] if content is None else content["schema"]["allOf"][1]["properties"]["type"]["enum"]


def resolved(item: dict[str, Any]) -> dict[str, Any]:
    _, _, kind, name = item["$ref"].split("/")
    found: dict[str, Any] = DOCUMENT["components"][kind][name]
    return found


def broken(schema: dict[str, Any], value: object) -> list[str]:
    """What of a value is not as the schema says."""
    whole = {"components": DOCUMENT["components"], "allOf": [schema]}
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]


def test_every_operation_takes_a_request_id_and_every_answer_has_one() -> None:
    operations = [item[each] for item in DOCUMENT["paths"].values() for each in set(item) - {"parameters"}]
    assert len(operations) == len(OPERATIONS)
    for operation in operations:
        assert {"$ref": "#/components/parameters/X-Request-ID"} in operation["parameters"]
    assert all("X-Request-ID" in response["headers"] for response in responses())
