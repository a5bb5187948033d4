"""The page to race captures on: ours alone, strict about where things come from, and small."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.pages import files
from payments_demo.routes import STATIC, page_routes
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.html_pages import (
    AS_BROWSER,
    assert_keeps_to_its_policy,
    assert_policy,
    assert_served,
    foreign_hosts,
)

pytestmark = pytest.mark.anyio

FILES = {name: content.decode() for name, content in files(STATIC).items()}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service with the page."""
    transport = httpx.ASGITransport(create_app(InMemoryPaymentStore(lambda: 0), routes=page_routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/already_captured"])
async def test_a_page_keeps_to_its_policy_and_leads_somewhere(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=AS_BROWSER)
    assert ("Race captures" in answer.text) == (path == "/")
    assert_policy(answer)
    await assert_keeps_to_its_policy(http, path)


@pytest.mark.parametrize("name", sorted(set(FILES) - {"index.html"}))
async def test_a_file_is_served_with_its_type(http: httpx.AsyncClient, name: str) -> None:
    await assert_served(http, name, FILES[name])


async def test_no_such_file(http: httpx.AsyncClient) -> None:
    assert (await http.get("/static/index.html")).status_code == 404


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_names_a_foreign_host(name: str) -> None:
    assert foreign_hosts(FILES[name]) == []


def test_the_scripts_ask_no_clock_for_the_time() -> None:
    for name, text in FILES.items():
        if name.endswith(".js"):
            assert re.findall(r"Date\.now|new Date\b|Date\(\)|innerHTML|eval\(", text) == []


def test_the_files_are_small() -> None:
    assert sum(len(text) for text in FILES.values()) < 40_000
    assert max(text.count("\n") for text in FILES.values()) < 200
