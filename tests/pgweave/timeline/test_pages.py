"""Timelines as SVG and HTML."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from pgweave.timeline import elements, html, svg
from pgweave.timeline.model import Lane, Timeline, TimelineOperation, TimelineStep
from pgweave.timeline.rows import short
from pgweave.visible import one_line, visible
from tests.pgweave.timeline.examples import CLOCK, UPDATE, blocked, lost_update
from tests.pgweave.timeline.hostile import MARKUP, hostile

SVG = f"{{{elements.NAMESPACE}}}"
TIMELINES = [lost_update, blocked, hostile, lambda: Timeline("nothing", "", (), ())]
NAMES = ["lost update", "blocked", "hostile", "nothing"]
Example = Callable[[], Timeline]

every_timeline = pytest.mark.parametrize("example", TIMELINES, ids=NAMES)
every_picture = pytest.mark.parametrize("render", [svg.render, html.render], ids=["svg", "html"])


def texts(root: ET.Element, class_: str) -> list[str]:
    """What is written in the groups of a class."""
    groups = [group for group in root.iter(f"{SVG}g") if class_ in group.get("class", "").split()]
    return ["|".join(text.text or "" for text in group.iter(f"{SVG}text")) for group in groups]


@every_timeline
@every_picture
def test_they_are_well_formed_and_the_same_each_time(
    example: Example, render: Callable[[Timeline], str]
) -> None:
    page = render(example())
    ET.fromstring(page)
    assert render(example()) == page
    page.encode()


@every_timeline
@every_picture
def test_they_name_no_other_host(example: Example, render: Callable[[Timeline], str]) -> None:
    page = render(example())
    assert set(re.findall(r"\w+://[^\"'\s<]*", page)) == {elements.NAMESPACE}
    assert not re.search(r"@import|\bsrc=|\bhref=", page)
    assert set(re.findall(r"url\([^)]*\)", page)) <= {"url(#timeline-hatch)", "url(#timeline-tip)"}


def test_a_lost_update_is_drawn() -> None:
    root = ET.fromstring(svg.render(lost_update()))
    assert texts(root, "lane") == ["capture k1", "capture k2", "clock"]
    assert texts(root, "step") == [
        "0|BEGIN",
        "1|BEGIN",
        "2|SELECT payments|1 row",
        "3|SELECT payments|1 row",
        "4|SELECT capture_attempts|0 rows",
        "5|SELECT capture_attempts|0 rows",
        "6|SELECT payment_clock()|1 row",
        "7|clock → window's end − 1 µs",
        "8|SELECT payment_clock()|1 row",
        "9|UPDATE payments|1 row",
        "10|UPDATE payments|waits",
        "11|INSERT capture_attempts|1 row",
        "12|COMMIT",
        "13|INSERT capture_attempts|1 row",
        "14|COMMIT",
    ]
    assert texts(root, "granted") == ["goes on|1 row"]
    assert texts(root, "operation") == [
        "capture k1 500|201 captured",
        "capture k2 500|201 captured|the model answers 409 already_captured",
    ]
    assert texts(root, "violation") == ["capture k2 500|201 captured|the model answers 409 already_captured"]
    assert texts(root, "part") == ["here the run and the model part"]
    written = [text.text or "" for text in root.iter(f"{SVG}text")]
    for line in (lost_update().title, lost_update().subtitle, lost_update().verdict):
        assert line in written
    for line in lost_update().explanation.split("\n"):
        assert line in written


def test_without_a_violation_nothing_is_marked() -> None:
    for render in (svg.render, svg.drawing):
        root = ET.fromstring(render(blocked()))
        assert texts(root, "violation") == texts(root, "part") == texts(root, "instead") == []
    assert 'class="verdict violated"' in html.render(lost_update())
    assert 'class="verdict violated"' not in html.render(blocked())


def test_time_goes_down_and_a_wait_lasts_until_its_release() -> None:
    root = ET.fromstring(svg.drawing(blocked()))
    tops = {
        int(group.get("data-step", "")): float(rect.get("y", ""))
        for group in root.iter(f"{SVG}g")
        if group.get("class", "").startswith("step ")
        for rect in group.iter(f"{SVG}rect")
    }
    assert sorted(tops) == list(range(11))
    assert sorted(tops.values()) == [tops[number] for number in range(11)]
    waits = {
        int(group.get("data-step", "")): rect
        for group in root.iter(f"{SVG}g")
        if group.get("class") == "waiting"
        for rect in group.iter(f"{SVG}rect")
    }
    assert sorted(waits) == [3, 4]
    for number, until in ((3, 7), (4, 6)):
        top, height = (float(waits[number].get(name, "")) for name in ("y", "height"))
        assert top == tops[number] + 22
        assert top + height == tops[until]
    arrows = {
        int(group.get("data-step", "")): path.get("d", "")
        for group in root.iter(f"{SVG}g")
        if group.get("class") == "release"
        for path in group.iter(f"{SVG}path")
    }
    assert sorted(arrows) == [6, 7]
    for number, d in arrows.items():
        assert float(d.split("H")[0].split(" ")[1]) == tops[number] + 11


@every_timeline
def test_nothing_lies_on_something_else(example: Example) -> None:
    timeline = example()
    root = ET.fromstring(svg.drawing(timeline))
    places = [(float(one.get("x", "")), float(one.get("y", ""))) for one in root.iter(f"{SVG}text")]
    bands = [one for one in root.iter(f"{SVG}rect") if one.get("class") == "band"]
    assert len(bands) == len(timeline.lanes)
    for band in bands:
        left, width = float(band.get("x", "")), float(band.get("width", ""))
        lines = sorted({y for x, y in places if left < x < left + width})
        assert min(below - above for above, below in pairwise(lines)) >= 18
    bottoms = [
        float(one.get("y", "")) + float(one.get("height", ""))
        for one in root.iter(f"{SVG}rect")
        if one.get("y")
    ]
    assert max(bottoms, default=0) <= float(root.get("height", ""))


def test_a_wait_without_an_end_reaches_the_bottom() -> None:
    steps = (TimelineStep(0, "UPDATE t"), TimelineStep(1, "UPDATE t", blocked_until=2))
    operation = TimelineOperation(1, "write", first=1)
    root = ET.fromstring(svg.drawing(Timeline("stuck", "", (Lane("a"), Lane("b")), steps, (operation,))))
    assert texts(root, "granted") == texts(root, "release") == []
    assert texts(root, "operation") == ["write|no answer"]
    (wait,) = (rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "wait")
    assert float(wait.get("y", "")) + float(wait.get("height", "")) == float(root.get("height", "")) - 8


def test_a_pointer_is_shown_everything() -> None:
    assert svg.hint(lost_update(), 10).split("\n") == [
        "step 10: capture k2",
        f"statement: {UPDATE}",
        "values: 'pay_1', '2026-01-01 00:59:59.999999+00'",
        "waits: for a lock, until step 12",
        "answer: UPDATE 1",
    ]
    assert svg.hint(lost_update(), 12).split("\n")[-1] == "wakes: step 10"
    assert "error: canceling statement due to lock timeout" in svg.hint(blocked(), 4)
    root = ET.fromstring(svg.drawing(lost_update()))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    for number in range(15):
        assert svg.hint(lost_update(), number) in titles


def test_the_legend_has_what_is_drawn() -> None:
    assert svg.legend(lost_update()) == {
        "read": "reads",
        "write": "writes",
        "commit": "commits",
        "clock": "moves the clock",
        "other": "other",
        "waiting": "waits for a lock",
    }
    assert "lock" in svg.legend(blocked())
    steps = (TimelineStep(0, CLOCK), TimelineStep(0, "ROLLBACK"))
    assert list(svg.legend(Timeline("t", "", (Lane("a"),), steps))) == ["read", "rollback"]


def test_a_legend_of_nothing_but_others_is_left_out() -> None:
    steps = (TimelineStep(0, "GET /a", "other"), TimelineStep(0, "GET /b", "other"))
    assert svg.legend(Timeline("t", "", (Lane("a"),), steps)) == {}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/payments/d80978c0-b2f4-4d67-9a07-24c8a01ba1a1/capture", "/payments/d80978c0…/capture"),
        ("/intents/pi_3MtwBwLkdIwHu7ix28/capture?a=1", "/intents/pi_3MtwB…/capture?a=1"),
        ("/payment_intents_of_a_shop/41/capture", "/payment_intents_of_a_shop/41/capture"),
    ],
)
def test_a_command_is_seen_behind_a_long_id(path: str, shown: str) -> None:
    step = TimelineStep(0, f"POST {path}", "other")
    timeline = Timeline("t", "", (Lane("a"),), (step,))
    assert short(step).text == f"POST {shown}"
    assert path in svg.hint(timeline, 0)


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, and what is text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_text_stays_text() -> None:
    timeline = hostile()
    page = Reader(html.render(timeline))
    assert page.elements == Reader(html.render(hostile("harmless" * 20))).elements
    for text in (timeline.title, timeline.lanes[1].name, timeline.steps[0].label, timeline.explanation):
        assert visible(text) in page.text
    drawn = ET.fromstring(svg.render(timeline))
    titles = [title.text or "" for title in drawn.iter(f"{SVG}title")]
    for text in (timeline.lanes[0].name, timeline.steps[1].label, timeline.operations[0].text):
        assert any(visible(text) in title for title in titles)
    for page_text in (svg.render(timeline), html.render(timeline)):
        assert MARKUP not in page_text
        assert all(one.isprintable() or one == "\n" for one in unescape(page_text))


def test_the_policy_allows_the_script_of_the_page_and_no_other() -> None:
    page = html.render(lost_update())
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert unescape(policy) == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert not re.search(r"[<&]|\]\]>", html.SCRIPT.replace("=>", ""))


def test_what_the_script_looks_for_is_there() -> None:
    root = ET.fromstring(html.render(lost_update()).removeprefix("<!DOCTYPE html>"))
    (figure,) = (one for one in root.iter("figure") if one.get("class") == "schedule")
    (walk,) = (one for one in figure.iter("div") if one.get("class") == "walk")
    assert walk.get("hidden") is not None
    assert (len(list(walk.iter("button"))), len(list(walk.iter("output"))), len(list(walk.iter("pre")))) == (
        3,
        1,
        1,
    )
    groups = [one for one in figure.iter(f"{SVG}g") if one.get("class", "").startswith("step ")]
    assert [one.get("data-step") for one in groups] == [str(number) for number in range(15)]
    assert all(one.find(f"{SVG}title") is not None for one in groups)


def test_a_page_has_every_step_in_full() -> None:
    root = ET.fromstring(html.render(blocked()))
    (details,) = root.iter("details")
    listed = [pre.text for pre in details.iter("pre")]
    assert listed == [svg.hint(blocked(), number) for number in range(11)]


def test_both_colour_schemes_name_the_same_colours() -> None:
    for style, selector in ((svg.STYLE, ".timeline"), (html.STYLE, ":root")):
        start = style.index(f"{selector} {{")
        light, dark = style[start:].split("@media (prefers-color-scheme: dark)", 1)
        names = [re.findall(r"(--[\w-]+):", part.split("}", 1)[0]) for part in (light, dark)]
        assert names[0] == names[1] != []
        used = set(re.findall(r"var\((--[\w-]+)\)", style))
        assert used <= set(re.findall(r"(--[\w-]+):", style))


def test_long_names_are_cut_in_the_picture_and_whole_beside_it() -> None:
    name = "client " + "x" * 200
    root = ET.fromstring(
        svg.drawing(Timeline("t", "", (Lane(name),), (TimelineStep(0, f"SELECT 1 FROM {name}"),)))
    )
    (lane,) = texts(root, "lane")
    assert lane.endswith("…")
    assert name.startswith(lane.removesuffix("…"))
    assert name in [title.text for title in root.iter(f"{SVG}title")]
    assert float(root.get("width", "")) < 420
    assert one_line(name) == name
