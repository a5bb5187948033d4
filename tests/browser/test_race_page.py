"""The demo page in a real browser, against the service as it is shipped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium
from tests.support.postgres import Database
from tests.support.processes import Server, serving
from tests.support.stores import stored

LIMIT_MS = 30_000
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 1000}


@pytest.fixture(scope="module")
def server(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_LOG_LEVEL": "warning"}
    module = "tests.support.page_over_database"
    with serving(tmp_path_factory.mktemp("server"), module=module, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("demonstration")
    with serving(folder, ["--demo"], PAYMENTS_LOG_LEVEL="warning") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


class Opened:
    """A page, and everything that must not happen on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(LIMIT_MS)
        expect.set_options(timeout=LIMIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._said)
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.goto(url)

    def _said(self, message: object) -> None:
        text = str(getattr(message, "text", message))
        if "Content Security Policy" in text:
            self.errors.append(text)

    def authorize(self) -> None:
        """Press the first button, and wait for the state."""
        self.page.get_by_role("button", name="Create and authorize").click()
        self.expect_state("authorized")

    def race(self, count: int, keys: str) -> None:
        """Fill the second form and press its button."""
        self.page.get_by_label("Requests").first.fill(str(count))
        self.page.get_by_label("Idempotency keys").select_option(keys)
        self.page.get_by_role("button", name="Race", exact=True).click()

    def expect_state(self, state: str) -> None:
        """Wait until the state machine shows this state, and no other."""
        expect(self.page.locator("#machine .lit")).to_have_attribute("data-state", state)
        machine = self.page.get_by_role("img", name=f"The payment is {state}.")
        expect(machine).to_be_visible()

    def expect_verdict(self, verdict: str) -> None:
        """Wait for the line that sums the race up."""
        expect(self.page.get_by_role("status")).to_have_text(verdict)

    def lanes(self) -> Counter[str]:
        """How many lanes have each colour."""
        return Counter(each.get_attribute("class") or "" for each in self.page.locator("#lanes > li").all())

    @property
    def payment_id(self) -> str:
        """The id that the page shows."""
        return self.page.locator("#id").inner_text()

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Opened]:
    yield from _opened(browser, server, DESK, "light")


def _opened(browser: Browser, server: Server, size: dict[str, int], scheme: str) -> Iterator[Opened]:
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="Pacific/Kiritimati",
    )
    page = Opened(context.new_page(), server.url)
    yield page
    assert page.errors == []
    assert page.hosts == {server.url.removeprefix("http://")}
    context.close()


def attempts(database: Database, payment_id: str) -> Counter[str]:
    """The outcomes stored for a payment."""
    return Counter(
        each.outcome.value
        for (owner, _), each in stored(database.dsn).attempts.items()
        if str(owner) == payment_id
    )


def test_ten_captures_race_and_one_wins(opened: Opened, shared_database: Database) -> None:
    expect(opened.page.get_by_role("button", name="Race", exact=True)).to_be_disabled()
    opened.authorize()
    expect(opened.page.locator("#remaining")).to_have_text(re.compile(r"^(10 min 00|9 min \d\d) s$"))
    opened.race(10, "different")
    opened.expect_verdict("1 captured, 9 refused")
    opened.expect_state("captured")
    assert opened.lanes() == {"captured": 1, "refused": 9}
    assert attempts(shared_database, opened.payment_id) == {"captured": 1, "already_captured": 9}


def test_one_key_for_all_is_one_capture_and_its_answer_again(
    opened: Opened, shared_database: Database
) -> None:
    opened.authorize()
    opened.race(10, "same")
    opened.expect_verdict("1 captured, 9 answered again")
    assert opened.lanes() == {"captured": 1, "replayed": 9}
    assert attempts(shared_database, opened.payment_id) == {"captured": 1}


def test_in_pairs_there_are_replays_and_refusals(opened: Opened, shared_database: Database) -> None:
    opened.authorize()
    opened.race(50, "pairs")
    opened.expect_verdict("1 captured, 25 answered again, 24 refused")
    assert attempts(shared_database, opened.payment_id) == {"captured": 1, "already_captured": 24}


def test_the_bars_are_the_requests_in_their_time(opened: Opened) -> None:
    opened.authorize()
    opened.race(10, "different")
    opened.expect_verdict("1 captured, 9 refused")
    track = opened.page.locator("#lanes .lane").first.bounding_box()
    assert track is not None
    boxes = [each.bounding_box() for each in opened.page.locator("#lanes .answered").all()]
    assert len(boxes) == 10
    ends = []
    for box in boxes:
        assert box is not None
        assert track["x"] - 1 <= box["x"] < box["x"] + box["width"] <= track["x"] + track["width"] + 4
        ends.append(box["x"] + box["width"])
    assert max(ends) == pytest.approx(track["x"] + track["width"], abs=4)
    # What waited in the browser for a connection is told apart from what was under way.
    waits = [each.bounding_box() for each in opened.page.locator("#lanes .wait").all()]
    assert sum(wait is not None and wait["width"] > 1 for wait in waits) >= 4


def test_without_answers_nobody_knows_and_the_same_keys_ask_again(opened: Opened) -> None:
    keys: list[str | None] = []
    opened.page.on("request", lambda sent: keys.append(sent.headers.get("idempotency-key")))
    opened.authorize()
    opened.page.route("**/payments/**", lambda route: route.abort())
    opened.race(10, "different")
    unknown = "10 without an answer; nobody knows yet; ask again with the same keys"
    opened.expect_verdict(unknown)
    expect(opened.page.locator("#race .said")).to_have_text(unknown)
    expect(opened.page.locator("#remaining")).to_have_text("not known")
    opened.page.unroute("**/payments/**")
    opened.page.get_by_role("button", name="Ask again with the same keys").click()
    opened.expect_verdict("1 captured, 9 refused")
    opened.expect_state("captured")
    expect(opened.page.get_by_role("button", name="Ask again with the same keys")).to_be_hidden()
    assert set(Counter(key for key in keys if key).values()) == {2}
    assert len(set(keys)) == 11


def test_a_creation_without_an_answer_is_not_called_refused(opened: Opened) -> None:
    opened.page.route("**/payments", lambda route: route.fulfill(status=500, json={"detail": "a fault"}))
    opened.page.get_by_role("button", name="Create and authorize").click()
    opened.expect_verdict("There was no answer; nobody knows yet whether it was done.")


def test_what_was_not_done_is_told_apart(opened: Opened) -> None:
    busy = {"type": "/problems/payment_busy", "status": 503}
    opened.authorize()
    opened.page.route("**/captures", lambda route: route.fulfill(status=503, json=busy))
    opened.race(3, "different")
    opened.expect_verdict("0 captured, 3 not done; ask again with the same keys")
    expect(opened.page.get_by_role("button", name="Ask again with the same keys")).to_be_visible()
    opened.authorize()
    expect(opened.page.get_by_role("button", name="Ask again with the same keys")).to_be_hidden()


def test_on_a_small_screen_the_race_is_seen_beside_its_button(browser: Browser, server: Server) -> None:
    for page in _opened(browser, server, {"width": 1280, "height": 720}, "light"):
        page.authorize()
        page.race(10, "different")
        page.expect_verdict("1 captured, 9 refused")
        for seen in ("#verdict", "#lanes > li:last-child", "#race .said"):
            expect(page.page.locator(seen)).to_be_in_viewport()


def test_who_comes_too_late_is_refused(opened: Opened, shared_database: Database) -> None:
    opened.page.get_by_role("button", name="Miss the window").click()
    opened.expect_verdict("0 captured, 3 refused")
    opened.expect_state("authorized")
    expect(opened.page.locator("#remaining")).to_have_text("ended")
    assert attempts(shared_database, opened.payment_id) == {"capture_window_expired": 3}


def test_the_clock_of_a_demonstration_is_moved_past_the_window(
    browser: Browser, demonstration: Server, scheme: str
) -> None:
    for page in _opened(browser, demonstration, DESK, scheme):
        page.authorize()
        page.page.get_by_role("button", name="Move the clock").click()
        page.expect_verdict("0 captured, 3 refused")
        page.expect_state("authorized")
        expect(page.page.locator("#remaining")).to_have_text("ended")
        assert page.lanes() == {"refused": 3}
        expect(page.page.locator("#lanes .outcome").first).to_contain_text("window expired")
        expect(page.page.locator("#ahead")).to_have_text(re.compile(r"^\d+ min \d\d s$"))
        # Without a payment whose window is open it makes one; the clock goes on from where it stands.
        page.page.get_by_role("button", name="Move the clock").click()
        page.expect_verdict("0 captured, 3 refused")
        page.authorize()
        page.race(5, "different")
        page.expect_verdict("1 captured, 4 refused")
        assert contrast(page.page, "#advance p") > 4.5


def test_the_page_of_a_demonstration_fits_a_phone(
    browser: Browser, demonstration: Server, scheme: str
) -> None:
    for page in _opened(browser, demonstration, PHONE, scheme):
        page.page.get_by_role("button", name="Move the clock").click()
        page.expect_verdict("0 captured, 3 refused")
        assert page.overflow() == 0


def test_without_a_demonstration_there_is_nothing_to_move(opened: Opened) -> None:
    expect(opened.page.get_by_role("button", name="Miss the window")).to_be_visible()
    expect(opened.page.get_by_role("button", name="Move the clock")).to_have_count(0)
    assert opened.page.locator("#advance").count() == 0


def test_the_clock_of_the_device_makes_no_difference(opened: Opened) -> None:
    opened.page.add_init_script("Date.now = () => 0")
    opened.page.reload()
    opened.authorize()
    expect(opened.page.locator("#remaining")).to_have_text(re.compile(r"^(10 min 00|9 min \d\d) s$"))


def test_by_keyboard_alone(opened: Opened) -> None:
    opened.page.locator("#amount").focus()
    opened.page.keyboard.press("Enter")
    opened.expect_state("authorized")
    for _ in range(20):
        if opened.page.evaluate("document.activeElement.id") == "count":
            break
        opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Control+a")
    opened.page.keyboard.type("5")
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Race"
    opened.page.keyboard.press("Space")
    opened.expect_verdict("1 captured, 4 refused")
    expect(opened.page.get_by_role("button", name="Race", exact=True)).to_be_focused()


def test_everything_to_act_on_has_a_name(opened: Opened) -> None:
    controls = opened.page.locator("button, input, select, a, summary").all()
    assert len(controls) > 10
    for each in controls:
        labels = each.evaluate(
            "e => (e.labels && [...e.labels].map(l => l.textContent).join()) || e.textContent"
        )
        assert labels.strip()


def test_on_a_phone(browser: Browser, server: Server, scheme: str) -> None:
    for page in _opened(browser, server, PHONE, scheme):
        page.authorize()
        page.race(50, "different")
        page.expect_verdict("1 captured, 49 refused")
        assert page.overflow() == 0
        assert page.page.locator("#verdict").bounding_box() is not None
        page.page.goto(f"{server.url}/docs")
        assert page.overflow() == 0


def test_dark_is_dark_and_light_is_light(browser: Browser, server: Server, scheme: str) -> None:
    for page in _opened(browser, server, DESK, scheme):
        for path in ("/", "/docs", "/problems/already_captured"):
            page.page.goto(f"{server.url}{path}")
            assert contrast(page.page, "body") > 12
            assert contrast(page.page, "a:not(.brand)") > 4.5
            assert (luminance(page.page, "body", "backgroundColor") < 0.1) is (scheme == "dark")


def test_nothing_moves_while_a_race_runs(opened: Opened) -> None:
    opened.page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => { for (const e of list.getEntries()) "
        "window.shift += e.value; }).observe({type: 'layout-shift', buffered: true})"
    )
    opened.authorize()
    opened.race(10, "different")
    opened.expect_verdict("1 captured, 9 refused")
    assert opened.page.evaluate("window.shift") < 0.01


def test_what_the_service_refuses_is_said(opened: Opened) -> None:
    opened.page.route("**/payments", lambda route: route.fulfill(status=401, json={"detail": "send a token"}))
    opened.page.get_by_role("button", name="Create and authorize").click()
    opened.expect_verdict("Refused: send a token")
    expect(opened.page.get_by_label(re.compile("Bearer token"))).to_be_focused()
    sent: list[str | None] = []
    opened.page.unroute("**/payments")
    opened.page.on("request", lambda request: sent.append(request.headers.get("authorization")))
    opened.page.get_by_label(re.compile("Bearer token")).fill("secret")
    opened.authorize()
    assert set(sent) == {"Bearer secret"}
    kept = opened.page.evaluate(
        "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
    )
    assert "secret" not in kept


def luminance(page: Page, selector: str, name: str) -> float:
    """The relative luminance of a colour (WCAG 2.2)."""
    color = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{name}")
    channels = [int(each) / 255 for each in re.findall(r"\d+", color)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(page: Page, selector: str) -> float:
    """The contrast of a text with the page's ground (WCAG 2.2)."""
    pair = sorted((luminance(page, selector, "color"), luminance(page, "body", "backgroundColor")))
    return (pair[1] + 0.05) / (pair[0] + 0.05)
