"""The page of a report in a real browser: it is opened from a file, and walked along by pointer and keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from payments_verify.report.page import make_page
from payments_verify.report.saved import of_json
from tests.browser.chromium import chromium
from tests.harness.report.saved_reports import green, mutants, red
from tests.pgweave.timeline.hostile import MARKUP

WIDTHS = {"wide": 1280, "narrow": 390}
REPORTS = {
    "green": {**green(), "mutants": mutants()},
    "red": red(),
    "hostile": red(MARKUP),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


class Opened:
    """A page from a file, and everything that must not happen on it."""

    def __init__(self, browser: Browser, file: Path, width: int, scheme: str) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def close(self, file: Path) -> None:
        assert self.said == []
        assert self.requests == [file.as_uri()]
        self.context.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, scheme: str) -> Iterator[Page]:
    file = tmp_path / "index.html"
    file.write_text(make_page(of_json(red(), "")))
    page = Opened(browser, file, WIDTHS["wide"], scheme)
    yield page.page
    page.close(file)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", REPORTS)
def test_it_opens_without_a_complaint_and_fits(
    browser: Browser, tmp_path: Path, name: str, width: str, scheme: str
) -> None:
    file = tmp_path / "index.html"
    file.write_text(make_page(of_json(REPORTS[name], "")))
    opened = Opened(browser, file, WIDTHS[width], scheme)
    wider = opened.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wider == 0
    if name != "hostile":  # whose words do not end
        # Nor is a table of what was checked wider than its room; those of all faults and scenarios may be.
        hidden = "all => all.map(e => e.scrollWidth - e.clientWidth)"
        tables = opened.page.locator("#checks .wide, #contracts .wide").evaluate_all(hidden)
        assert set(tables) == {0}, tables
    # The names stand beside their lanes.
    heights = "all => all.map(e => e.getBoundingClientRect().height)"
    pairs = opened.page.locator(".lanes svg").evaluate_all(heights)
    assert pairs[::2] == pairs[1::2]
    expect(opened.page.locator(".banner")).to_contain_text(str(REPORTS[name]["verdict"]))
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    red_, green_, blue = (int(each) for each in ground.removeprefix("rgb(").removesuffix(")").split(","))
    assert (red_ + green_ + blue < 3 * 80) is (scheme == "dark")
    opened.close(file)


def test_what_would_be_a_complaint_is_heard(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(
        make_page(of_json(green(), "")).replace("</main>", "<img src='http://127.0.0.1:9/x'/></main>")
    )
    opened = Opened(browser, file, 800, "light")
    expect(opened.page.locator(".banner")).to_be_visible()
    assert any("Content Security Policy" in each for each in opened.said)
    opened.context.close()


def test_the_point_of_failure_is_shown_from_the_start(opened: Page) -> None:
    figure = opened.locator("figure.attempt").first
    panel = figure.locator(".panel")
    expect(panel).to_contain_text("the model answers")
    expect(panel.locator("dd.model")).to_have_text("already_captured")
    expect(panel).to_contain_text("captured a=captured")
    expect(figure.locator("g.current")).to_have_count(1)
    expect(figure.locator("g.blocked.current")).to_have_count(1)


def test_a_pointer_on_an_operation_shows_its_call_and_the_states(opened: Page) -> None:
    figure = opened.locator("figure.attempt").first
    figure.locator("g.call.placed").nth(1).locator("rect").hover()
    panel = figure.locator(".panel")
    expect(panel.locator("dd.called")).to_have_text("authorize -> authorized")
    expect(panel).to_contain_text('{"payment": "p1", "window": 60000000}')
    expect(panel).to_contain_text("state beforependingstate afterauthorized")
    figure.locator("g.call.blocked").locator("rect").hover()
    expect(panel.locator("dd.model")).to_have_text("already_captured")


def test_the_keys_walk_along_the_order_to_the_models_answer(opened: Page) -> None:
    figure = opened.locator("figure.attempt").first
    other = opened.locator("figure.attempt").nth(1)
    figure.locator(".scroll").focus()
    opened.keyboard.press("Home")
    called = figure.locator("dd.called")
    expect(called).to_have_text("create 1000 -> created")
    expect(figure.locator("output")).to_have_text("1 of 4")
    for text in ("authorize -> authorized", "capture a 1000 -> captured"):
        opened.keyboard.press("ArrowRight")
        expect(called).to_have_text(text)
        expect(figure.locator("td.fits")).to_have_count(1 if text.startswith("authorize") else 2)
    opened.keyboard.press("ArrowRight")
    expect(figure.locator("dd.model")).to_have_text("already_captured")
    expect(figure.locator("td.misfit")).to_have_count(1)
    expect(figure.get_by_role("button", name="next")).to_be_disabled()
    opened.keyboard.press("ArrowLeft")
    expect(called).to_have_text("capture a 1000 -> captured")
    opened.keyboard.press("Escape")
    expect(figure.locator("g.current")).to_have_count(0)
    # Another figure, and the schedule, stay as they were.
    expect(other.locator("g.blocked.current")).to_have_count(1)
    expect(opened.locator("figure.schedule output").first).to_have_text("15 steps")


def test_the_buttons_do_the_same(opened: Page) -> None:
    figure = opened.locator("figure.attempt").first
    figure.get_by_role("button", name="first").click()
    expect(figure.locator("dd.called")).to_have_text("create 1000 -> created")
    figure.get_by_role("button", name="last").click()
    expect(figure.locator("dd.model")).to_have_text("already_captured")


def test_time_is_shown_to_scale_and_back(opened: Page) -> None:
    figure = opened.locator("figure.attempt").first
    bars = figure.locator("g.call rect")
    place = "all => all.map(e => [e.getAttribute('x'), e.getAttribute('width')])"
    before = bars.evaluate_all(place)
    figure.get_by_label("time to scale").check()
    assert len(bars.evaluate_all(place)) == len(before)
    figure.get_by_label("time to scale").uncheck()
    assert bars.evaluate_all(place) == before


def test_the_schedule_is_walked_along_when_it_has_the_focus(opened: Page) -> None:
    figure = opened.locator("figure.schedule").first
    opened.keyboard.press("ArrowRight")
    expect(figure.locator("output")).to_have_text("15 steps")
    figure.locator(".scroll").focus()
    opened.keyboard.press("ArrowRight")
    expect(figure.locator("output")).to_have_text("step 0 (0 to 14)")
    expect(figure.locator(".walk pre")).to_contain_text("BEGIN")
    expect(opened.locator("figure.attempt").first.locator("g.blocked.current")).to_have_count(1)


def test_without_a_script_the_failure_is_still_there(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(make_page(of_json(red(), "")))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    figure = page.locator("figure.attempt").first
    expect(figure.locator(".failure")).to_contain_text("One of these has to come next, and none can.")
    expect(figure.locator(".failure code.model")).to_have_text("already_captured")
    expect(figure.locator(".walk")).to_be_hidden()
    context.close()
