"""The pages and their files: served with the right types, strict about where things come from, ours alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from payments_core.entrypoints.http.contract.descriptions import BY_NAME
from payments_core.entrypoints.http.contract.docs_page import docs_page
from payments_core.entrypoints.http.contract.document import openapi
from payments_core.entrypoints.http.contract.html import inline
from tests.support.api import Api, problem

pytestmark = pytest.mark.anyio

STATIC = resources.files("payments_core.entrypoints.http").joinpath("static")
FILES = {each.name: each.read_text() for each in STATIC.iterdir()}
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PATHS = ["/", "/docs", "/problems/already_captured"]
AS_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FOREIGN = re.compile(r"""(?:https?:)?//[\w-]+\.[\w.-]+|https?:|@import|url\((?!#)""")
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


class Page(HTMLParser):
    """What a page refers to, and what it has that its policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.links |= {value for name in ("href", "src") if (value := named.get(name))}
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.inline += [name for name in named if name == "style" or name.startswith("on")]
        self.inline += ["style"] if tag == "style" else []
        self._script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append("script")

    def handle_endtag(self, _tag: str) -> None:
        self._script = False


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_is_html_with_a_policy(api: Api, path: str) -> None:
    answer = await api.http.get(path, headers=AS_BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(
        each.strip().partition(" ")[::2] for each in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {policy[each] for each in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_keeps_to_its_policy_and_leads_somewhere(api: Api, path: str) -> None:
    page = Page((await api.http.get(path, headers=AS_BROWSER)).text)
    assert page.inline == []
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    for link in page.links:
        if not link.startswith("#"):
            assert (await api.http.get(link)).status_code == 200, link


def test_what_a_policy_forbids_is_seen() -> None:
    assert Page('<p style="x" onclick="y">').inline == ["style", "onclick"]
    assert Page("<script>x</script><style>y</style>").inline == ["script", "style"]
    assert Page('<script src="/x"></script> text').inline == []


@pytest.mark.parametrize("name", sorted(set(FILES) - {"index.html"}))
async def test_a_file_is_served_with_its_type(api: Api, name: str) -> None:
    answer = await api.http.get(f"/static/{name}")
    assert (answer.status_code, answer.text) == (200, FILES[name])
    assert answer.headers["content-type"] == TYPES[name.rpartition(".")[2]]
    again = await api.http.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/index.html", "/problems/nothing"])
async def test_no_such_file(api: Api, path: str) -> None:
    problem(await api.http.get(path), 404, "http_404")


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_names_a_foreign_host(name: str) -> None:
    assert FOREIGN.findall(FILES[name].replace(NAMESPACE, "")) == []


def test_no_rendered_page_names_a_foreign_host() -> None:
    assert FOREIGN.findall(docs_page(openapi()).decode()) == []


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
    assert FOREIGN.findall(text)


def test_the_scripts_ask_no_clock_for_the_time() -> None:
    for name, text in FILES.items():
        if name.endswith(".js"):
            assert re.findall(r"Date\.now|new Date\b|Date\(\)|innerHTML|eval\(", text) == []


def test_the_files_are_small() -> None:
    assert sum(len(text) for text in FILES.values()) < 40_000
    assert max(text.count("\n") for text in FILES.values()) < 200


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
    assert described.headers["etag"] != page.headers["etag"]


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
