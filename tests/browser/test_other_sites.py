"""Pages of other sites in a real browser, on a machine that serves payments without tokens."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page

from payments_core.domain.payment import PaymentState
from tests.browser.chromium import chromium
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import Server, serving
from tests.support.stores import stored

LIMIT_MS = 30_000
OTHER_SITE = "evil.example"
REBOUND = "rebound.example"
AUTHORIZE = '{"capture_window_seconds": 600}'
VOID = '{"reason": "voided"}'
AMOUNT = '{"amount_cents": 500}'

# Requests that a browser sends for any page, and asks the server nothing beforehand.
BODIES = {
    "without a type": "new Blob([json])",
    "as text": "json",
    "as text that names JSON": "new Blob([json], {type: 'text/plain;application/json'})",
    "as a form": "new URLSearchParams([[json, '']])",
}


@pytest.fixture(scope="module")
def server(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_LOG_LEVEL": "warning"}
    with serving(tmp_path_factory.mktemp("server"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Without Chromium's own check of requests to this machine: others have none, and people allow them.
    arguments = [
        f"--host-resolver-rules=MAP {OTHER_SITE} 127.0.0.1, MAP {REBOUND} 127.0.0.1",
        "--disable-features=LocalNetworkAccessChecks",
    ]
    with chromium(arguments) as launched:
        yield launched


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(LIMIT_MS)
    yield opened
    context.close()


@pytest.fixture
def payment(server: Server) -> str:
    """The path of a pending payment."""
    path = f"/payments/{uuid4()}"
    assert (
        httpx.put(f"{server.url}{path}", json={"amount_cents": 500}, timeout=30, **DIRECT).status_code == 201
    )
    return path


def visit(page: Page, url: str) -> None:
    """Go to a page of another site, whose content does not matter."""
    page.route(
        url,
        lambda route: route.fulfill(
            body="<!doctype html><title>Another site</title>", content_type="text/html"
        ),
    )
    page.goto(url)


def state(database: Database, path: str) -> PaymentState:
    (found,) = [p for each, p in stored(database.dsn).payments.items() if path.endswith(str(each))]
    return found.state


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("origin", [f"http://{OTHER_SITE}", "http://127.0.0.1:8099", "http://localhost:8099"])
def test_a_page_of_another_origin_commands_nothing(
    page: Page, server: Server, shared_database: Database, payment: str, origin: str, body: str
) -> None:
    visit(page, f"{origin}/")
    count = len(stored(shared_database.dsn).payments)
    heard = []
    page.on("response", lambda response: heard.append(response.status))
    for path, json in ((f"{payment}/authorize", AUTHORIZE), (f"{payment}/fail", VOID), ("/payments", AMOUNT)):
        page.evaluate(
            f"([url, json]) => fetch(url, {{method: 'POST', mode: 'no-cors', body: {body}}})",
            [f"{server.url}{path}", json],
        )
    assert len(heard) == 3
    assert set(heard) <= {403, 415}
    assert state(shared_database, payment) is PaymentState.PENDING
    assert len(stored(shared_database.dsn).payments) == count


def test_a_form_of_another_site_commands_nothing(
    page: Page, server: Server, shared_database: Database, payment: str
) -> None:
    visit(page, f"http://{OTHER_SITE}/")
    with page.expect_navigation():
        page.evaluate(
            """(action) => {
                const form = Object.assign(document.createElement("form"), {method: "POST", action});
                form.enctype = "text/plain";
                form.innerHTML = `<input name='{"capture_window_seconds": 600, "a": "' value='"}'>`;
                document.body.append(form);
                form.submit();
            }""",
            f"{server.url}{payment}/authorize",
        )
    assert "403" in page.content()
    assert state(shared_database, payment) is PaymentState.PENDING


def test_a_page_of_another_site_reads_nothing(page: Page, server: Server, payment: str) -> None:
    visit(page, f"http://{OTHER_SITE}/")
    statuses = []
    page.on("response", lambda response: statuses.append(response.status))
    for mode in ("cors", "no-cors"):
        read = page.evaluate(
            "([url, mode]) => fetch(url, {mode}).then((answer) => answer.text(), () => '')",
            [f"{server.url}{payment}", mode],
        )
        assert read == ""
    page.evaluate(
        """(url) => new Promise((done) => {
            const script = Object.assign(document.createElement("script"), {src: url});
            script.onload = script.onerror = done;
            document.body.append(script);
        })""",
        f"{server.url}{payment}",
    )
    assert set(statuses) == {403}


def test_a_name_that_leads_here_afterwards_reads_and_commands_nothing(
    page: Page, server: Server, shared_database: Database, payment: str
) -> None:
    visit(page, f"http://{REBOUND}:{server.port}/")
    answers = page.evaluate(
        """async ([path, amount]) => {
            const headers = {"Content-Type": "application/json", "Idempotency-Key": "rebound"};
            const window = JSON.stringify({capture_window_seconds: 600});
            const ask = async (path, options) => {
                const answer = await fetch(path, options);
                return [answer.status, await answer.text()];
            };
            return [
                await ask("/payments"),
                await ask(path),
                await ask(`${path}/authorize`, {method: "POST", headers, body: window}),
                await ask(`${path}/captures`, {method: "POST", headers, body: amount}),
            ];
        }""",
        [payment, AMOUNT],
    )
    assert [status for status, _ in answers] == [421] * 4
    assert not any(payment.rpartition("/")[2] in text for _, text in answers)
    assert state(shared_database, payment) is PaymentState.PENDING


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/overloaded"])
def test_a_link_of_another_site_leads_to_the_pages(page: Page, server: Server, path: str) -> None:
    visit(page, f"http://{OTHER_SITE}/")
    page.evaluate(
        "(url) => document.body.append(Object.assign(document.createElement('a'), {href: url, text: 'go'}))",
        f"{server.url}{path}",
    )
    with page.expect_navigation() as navigation:
        page.get_by_text("go").click()
    assert navigation.value is not None
    assert navigation.value.status == 200
