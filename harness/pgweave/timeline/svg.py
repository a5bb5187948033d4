"""A timeline as one SVG picture: a column a lane, a row a step, time downwards.

It is self-contained: its style is inside, it loads nothing. Colours follow the preference for light or
dark. A pointer that rests on a step is shown its full SQL, values and answer.
"""

from __future__ import annotations

from importlib import resources
from xml.etree import ElementTree as ET

from rich.cells import cell_len

from pgweave.timeline import elements as svg
from pgweave.timeline.elements import CHARACTER, Element
from pgweave.timeline.geometry import MARGIN, Geometry
from pgweave.timeline.gist import GistKind
from pgweave.timeline.model import Timeline
from pgweave.timeline.rows import PARTS, Row, RowKind, details, model_answers, outcome, short
from pgweave.visible import clipped, one_line, visible

STYLE = resources.files(__package__).joinpath("svg.css").read_text(encoding="utf-8")
"""The style of the picture, all of it below the class ``timeline``."""

_LEGEND = {
    "read": "reads",
    "lock": "locks",
    "write": "writes",
    "commit": "commits",
    "rollback": "rolls back",
    "clock": "moves the clock",
    "other": "other",
}
_LINE = 17


def render(timeline: Timeline) -> str:
    """Draw it, with its heading, a legend and its explanation.

    Args:
        timeline: What is drawn.

    Returns:
        An SVG document.
    """
    geometry = Geometry(timeline)
    above = 74 if timeline.subtitle else 56
    lines = [*([one_line(timeline.verdict)] if timeline.verdict else []), ""]
    lines += visible(timeline.explanation).split("\n") if timeline.explanation else []
    longest = max(map(cell_len, [*lines, one_line(timeline.title), one_line(timeline.subtitle)]))
    width = max(geometry.width, 640, 2 * MARGIN + longest * CHARACTER * 1.2)
    below = above + geometry.height
    root = svg.root(width, below + 56 + _LINE * len(lines), timeline.title)
    ET.SubElement(root, "style").text = STYLE
    svg.box(root, (0, 0, width, float(root.get("height", "0"))), "paper", 0)
    svg.text(root, MARGIN, 30, one_line(timeline.title), "heading")
    svg.text(root, MARGIN, 52, one_line(timeline.subtitle), "muted")
    drawn = svg.group(root, "drawing")
    drawn.set("transform", f"translate(0 {above})")
    _draw(drawn, geometry)
    _legend(root, timeline, below + 14)
    for number, line in enumerate(lines):
        is_verdict = number == 0 and bool(timeline.verdict)
        class_ = f"said{' parts' if timeline.is_violation else ''}" if is_verdict else "mono"
        svg.text(root, MARGIN, below + 60 + _LINE * number, line, class_)
    return svg.write(root)


def drawing(timeline: Timeline) -> str:
    """Draw the lanes alone, to stand in a page that has the style, the heading and the rest.

    Args:
        timeline: What is drawn.

    Returns:
        The text of an ``svg`` element.
    """
    return svg.write(drawn(timeline))


def drawn(timeline: Timeline) -> Element:
    """The same as an element."""
    geometry = Geometry(timeline)
    root = svg.root(geometry.width, geometry.height, timeline.title)
    _draw(root, geometry)
    return root


def legend(timeline: Timeline) -> dict[str, str]:
    """The classes of boxes that a timeline has, and what each means; nothing if there are but others."""
    used = {_class(timeline, number) for number in range(len(timeline.steps))}
    found = {class_: meaning for class_, meaning in _LEGEND.items() if class_ in used}
    if any(step.blocked_until is not None for step in timeline.steps):
        found["waiting"] = "waits for a lock"
    return {} if [*found] == ["other"] else found


def swatch(class_: str) -> Element:
    """A small ``svg`` element: a box of a class of the legend."""
    root = svg.root(22, 14, class_, "timeline swatch")
    root.set("aria-hidden", "true")
    _swatch(root, class_, 0, 0)
    return root


def hint(timeline: Timeline, number: int) -> str:
    """Everything about a step, a line each."""
    return "\n".join(f"{name}: {visible(content)}" for name, content in details(timeline, number))


def _class(timeline: Timeline, number: int) -> str:
    step = timeline.steps[number]
    if step.kind == "clock":
        return "clock"
    return "other" if short(step).kind is GistKind.OTHER else short(step).kind.name.lower()


def _draw(root: Element, geometry: Geometry) -> None:
    """What is drawn later lies on top."""
    svg.definitions(root)
    _lanes(root, geometry)
    for row in geometry.rows:
        if row.kind is RowKind.PARTING:
            _parting(root, geometry, row)
    for index in range(len(geometry.timeline.operations)):
        _operation(root, geometry, index)
    for number in range(len(geometry.timeline.steps)):
        _wait(root, geometry, number)
    for number in range(len(geometry.timeline.steps)):
        _step(root, geometry, number)


def _lanes(root: Element, geometry: Geometry) -> None:
    for number, lane in enumerate(geometry.timeline.lanes):
        left, width = geometry.left(number), geometry.widths[number]
        svg.box(root, (left, 0, width, geometry.height), "band", 6)
        name = clipped(one_line(lane.name), int((width - 20) / CHARACTER / 1.1), "…")
        svg.text(svg.group(root, "lane", lane.name), left + 10, 22, name, "name")


def _parting(root: Element, geometry: Geometry, row: Row) -> None:
    y = geometry.middle(row)
    found = svg.group(root, "part", step=row.index)
    svg.path(found, f"M{MARGIN} {svg.number(y + 7)}H{svg.number(geometry.width - MARGIN)}", "parting")
    svg.text(found, MARGIN + 2, y + 1, PARTS, "parts")


def _operation(root: Element, geometry: Geometry, index: int) -> None:
    operation = geometry.timeline.operations[index]
    called, answered = geometry.operation(index)
    top, bottom = geometry.middle(called), geometry.top(answered) + 12
    x = geometry.left(operation.lane) + 6
    title = f"{operation.text} → {operation.answer or 'no answer'}"
    found = svg.group(root, "operation violation" if operation.is_violation else "operation", title)
    bracket = f"M{svg.number(x + 7)} {svg.number(top)}H{svg.number(x)}V{svg.number(bottom)}"
    svg.path(found, bracket + (f"H{svg.number(x + 7)}" if operation.answer else ""), "span")
    room = geometry.room(operation.lane)
    asked = svg.group(found, "asked", step=min(called.before, len(geometry.timeline.steps) - 1))
    svg.text(asked, x + 16, top + 4, clipped(one_line(operation.text), room, "…"), "mono said")
    said = svg.group(found, "replied", step=max(answered.before - 1, 0))
    answer = clipped(one_line(operation.answer) or "no answer", room, "…")
    width = geometry.widths[operation.lane] - 24
    svg.box(said, (x + 10, bottom - 11, width, 22), "answer")
    svg.text(said, x + 16, bottom + 4, answer, "mono said")
    expected = model_answers(operation)
    if expected:
        model = svg.group(said, "instead", expected)
        svg.box(model, (x + 10, bottom + 15, width, 22), "model")
        svg.text(model, x + 16, bottom + 30, clipped(expected, room, "…"), "mono expected")


def _wait(root: Element, geometry: Geometry, number: int) -> None:
    """The hatched bar of a step that waits, and the arrow from the one that lets it go on."""
    timeline = geometry.timeline
    step = timeline.steps[number]
    if step.blocked_until is None:
        return
    x, top = geometry.left(step.lane) + 24, geometry.step(number) + 11
    is_granted = step.blocked_until < len(timeline.steps)
    bottom = geometry.step(step.blocked_until) - 11 if is_granted else geometry.height - 8
    found = svg.group(root, "waiting", "waits for a lock", number)
    svg.box(found, (x, top, 14, bottom - top), "wait", 0)
    if not is_granted:
        return
    releasing = timeline.steps[step.blocked_until]
    y = geometry.step(step.blocked_until)
    is_right = step.lane > releasing.lane
    start = geometry.right(releasing.lane) - 6 if is_right else geometry.left(releasing.lane) + 16
    end = geometry.left(step.lane) + 15 if is_right else geometry.right(step.lane) - 5
    arrow = svg.group(root, "release", step=step.blocked_until)
    place = f"M{svg.number(start)} {svg.number(y)}H{svg.number(end)}"
    svg.path(arrow, place, "arrow", marker_end="url(#timeline-tip)")


def _step(root: Element, geometry: Geometry, number: int) -> None:
    timeline = geometry.timeline
    step = timeline.steps[number]
    class_, title, y = _class(timeline, number), hint(timeline, number), geometry.step(number)
    is_waiting = step.blocked_until is not None
    failed = " failed" if step.error is not None and not is_waiting else ""
    found = svg.group(root, f"step {class_}{failed}", title, number)
    svg.text(found, geometry.left(0) - 8, y + 4, str(number), "number", "end")
    answer = "waits" if is_waiting else outcome(step)
    _labelled(found, geometry, (step.lane, y), (short(step).text, answer))
    if is_waiting and step.blocked_until != len(timeline.steps):
        until = timeline.completed(number)
        failed = " failed" if step.error is not None else ""
        found = svg.group(root, f"granted {class_}{failed}", title, until)
        y = geometry.step(until)
        ending = "ended with an error" if step.error is not None else "goes on"
        _labelled(found, geometry, (step.lane, y), (ending, outcome(step)))
    if step.error is not None:
        error = clipped(one_line(step.error), geometry.room(step.lane), "…")
        svg.text(found, geometry.left(step.lane) + 24, y + 24, error, "mono error")


def _labelled(parent: Element, geometry: Geometry, at: tuple[int, float], content: tuple[str, str]) -> None:
    """A box with a text and, at its right, an answer if both fit."""
    (lane, y), (label, answer) = at, content
    room = geometry.room(lane)
    svg.box(parent, (geometry.left(lane) + 16, y - 11, geometry.widths[lane] - 22, 22), "box")
    is_roomy = cell_len(label) + cell_len(answer) + 1 <= room
    svg.text(parent, geometry.left(lane) + 24, y + 4, clipped(label, room, "…"))
    if answer and is_roomy:
        svg.text(parent, geometry.right(lane) - 13, y + 4, answer, "mono muted", "end")


def _legend(root: Element, timeline: Timeline, y: float) -> None:
    x = float(MARGIN)
    for class_, meaning in legend(timeline).items():
        _swatch(root, class_, x, y)
        svg.text(root, x + 28, y + 11, meaning, "muted")
        x += 46 + len(meaning) * CHARACTER


def _swatch(root: Element, class_: str, x: float, y: float) -> None:
    found = svg.group(root, class_)
    svg.box(found, (x + 0.5, y + 0.5, 21, 13), "wait" if class_ == "waiting" else "box", 3)
