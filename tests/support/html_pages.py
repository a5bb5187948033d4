"""What holds for every page and file that the service serves."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx

AS_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_FOREIGN = re.compile(r"""(?:https?:)?//[\w-]+\.[\w.-]+|https?:|@import|url\((?!#)""")
_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


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


def assert_policy(answer: httpx.Response) -> None:
    """Check that a page may load what is the service's own, and nothing else."""
    policy = dict(
        each.strip().partition(" ")[::2] for each in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {policy[each] for each in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}


async def assert_keeps_to_its_policy(http: httpx.AsyncClient, path: str) -> None:
    """Check that a page has nothing that its policy forbids, and that each link leads somewhere."""
    page = Page((await http.get(path, headers=AS_BROWSER)).text)
    assert page.inline == []
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    for link in page.links:
        if not link.startswith("#"):
            assert (await http.get(link)).status_code == 200, link


async def assert_served(http: httpx.AsyncClient, name: str, content: str) -> None:
    """Check that a file is served with its type, and not again to who has it."""
    answer = await http.get(f"/static/{name}")
    assert (answer.status_code, answer.text) == (200, content)
    assert answer.headers["content-type"] == _TYPES[name.rpartition(".")[2]]
    again = await http.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def foreign_hosts(text: str) -> list[str]:
    """What a text would load from elsewhere."""
    return _FOREIGN.findall(text.replace(_NAMESPACE, ""))
