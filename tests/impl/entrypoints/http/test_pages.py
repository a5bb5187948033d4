"""The pages and their files: served with the right types, strict about where things come from, ours alone."""

from __future__ import annotations

import pytest

from payments_core.entrypoints.http.contract.descriptions import BY_NAME
from payments_core.entrypoints.http.contract.docs_page import docs_page
from payments_core.entrypoints.http.contract.document import openapi
from payments_core.entrypoints.http.contract.html import inline
from payments_core.entrypoints.http.pages import STATIC, files, is_known
from tests.support.api import Api, problem
from tests.support.html_pages import (
    AS_BROWSER,
    Page,
    assert_keeps_to_its_policy,
    assert_policy,
    assert_served,
    foreign_hosts,
)

pytestmark = pytest.mark.anyio

FILES = {name: content.decode() for name, content in files(STATIC).items()}
PATHS = ["/", "/docs", "/problems/already_captured"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_is_html_with_a_policy(api: Api, path: str) -> None:
    answer = await api.http.get(path, headers=AS_BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert_policy(answer)


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_keeps_to_its_policy_and_leads_somewhere(api: Api, path: str) -> None:
    await assert_keeps_to_its_policy(api.http, path)


def test_what_a_policy_forbids_is_seen() -> None:
    assert Page('<p style="x" onclick="y">').inline == ["style", "onclick"]
    assert Page("<script>x</script><style>y</style>").inline == ["script", "style"]
    assert Page('<script src="/x"></script> text').inline == []


@pytest.mark.parametrize("name", sorted(FILES))
async def test_a_file_is_served_with_its_type(api: Api, name: str) -> None:
    await assert_served(api.http, name, FILES[name])


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/client.js", "/problems/nothing"])
async def test_no_such_file(api: Api, path: str) -> None:
    problem(await api.http.get(path), 404, "http_404")


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_names_a_foreign_host(name: str) -> None:
    assert foreign_hosts(FILES[name]) == []


def test_no_rendered_page_names_a_foreign_host() -> None:
    assert foreign_hosts(docs_page(openapi()).decode()) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://cdn.example.com/x.js",
        "//cdn.example.com/x.js",
        "@import 'x'",
        "url(x.png)",
        "http://localhost/",
    ],
)
def test_a_foreign_host_would_be_found(text: str) -> None:
    assert foreign_hosts(text)


@pytest.mark.parametrize("name", sorted(BY_NAME))
async def test_a_problem_type_leads_to_its_description(api: Api, name: str) -> None:
    described = await api.http.get(f"/problems/{name}")
    assert (described.status_code, described.headers["content-type"]) == (200, "application/json")
    document = described.json()
    assert (document["type"], document["status"]) == (f"/problems/{name}", BY_NAME[name].status)
    page = await api.http.get(f"/problems/{name}", headers=AS_BROWSER)
    assert inline(document["when"]) in page.text
    assert inline(document["remedy"]) in page.text
    assert {each.headers["vary"] for each in (described, page)} == {"Accept"}
    assert "etag" not in described.headers


async def test_a_problem_that_is_answered_leads_to_its_description(api: Api) -> None:
    refused = await api.http.get("/nowhere")
    assert (await api.http.get(refused.json()["type"])).json()["title"] == refused.json()["title"]


def test_the_page_of_the_contract_shows_every_operation_and_field() -> None:
    document = openapi()
    page = Page(docs_page(document).decode())
    text = docs_page(document).decode()
    operations = [
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert set(operations) <= set(page.ids)
    for name, schema in document["components"]["schemas"].items():
        assert f"schema-{name}" in page.ids
        assert all(f"<code>{field}</code>" in text for field in schema.get("properties", {}))


def test_texts_cannot_break_out() -> None:
    assert inline("a < b & `c <i>`") == "a &lt; b &amp; <code>c &lt;i&gt;</code>"


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ([], False),
        ([""], False),
        (["*"], True),
        (['"a"'], True),
        (['W/"a"'], True),
        (['"b", W/"a"'], True),
        (['"b"', '"a"'], True),
        (['"b"'], False),
        (["a"], False),
        (['"a'], False),
        (['"A"'], False),
        (['"aa"'], False),
    ],
)
def test_tags_are_compared_weakly(fields: list[str], known: bool) -> None:
    assert is_known('"a"', fields) is known
