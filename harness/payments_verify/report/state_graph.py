"""States as a picture: boxes from left to right by their distance from the first, and arrows with names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pgweave.timeline import elements as svg
from pgweave.timeline.elements import Element

_BOX = (132.0, 58.0)
_ROW = 100.0
_MARGIN = 14.0
_LINE = 15.0
_NARROWEST = 110.0
_BESIDE = 24.0

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A box.

    Attributes:
        name: What arrows name it by, and its title.
        lines: What stands below the title, two lines at most.
        hint: What is shown when a pointer rests on it.
        is_final: Whether nothing leaves it: it has a second border.
    """

    name: str
    lines: tuple[str, ...] = ()
    hint: str = ""
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """What leads from one state to another.

    Attributes:
        before: The name of the one.
        after: The name of the other.
        lines: What stands on it.
        hint: What is shown when a pointer rests on it.
    """

    before: str
    after: str
    lines: tuple[str, ...]
    hint: str = ""


def draw_state_graph(states: Sequence[Box], arrows: Sequence[Arrow], label: str) -> Element:
    """Draw states and what leads from one to another.

    Args:
        states: The states; the first is that in which everything begins.
        arrows: The arrows, between two states that differ.
        label: What the picture shows, for those who cannot see it.
    """
    places = _places(states, arrows)
    width = max((x for x, _ in places.values()), default=0) + _BOX[0] + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _BOX[1] + _MARGIN
    root = svg.root(width, height, label, "state-graph")
    _tip(root)
    for arrow in arrows:
        _draw_arrow(root, arrow, places)
    for state in states:
        _draw_state(root, state, places[state.name])
    return root


def _places(states: Sequence[Box], arrows: Sequence[Arrow]) -> dict[str, Place]:
    """A column for each distance from the first state, the states of one below each other."""
    distance = {state.name: 0 for state in states[:1]}
    waiting = list(distance)
    while waiting:
        name = waiting.pop(0)
        for arrow in arrows:
            if arrow.before == name and arrow.after not in distance:
                distance[arrow.after] = distance[name] + 1
                waiting.append(arrow.after)
    longest = max((len(line) for arrow in arrows for line in arrow.lines), default=0)
    column_width = _BOX[0] + max(_NARROWEST, longest * svg.CHARACTER + _BESIDE)
    row_height = _ROW + _LINE * max((len(arrow.lines) for arrow in arrows), default=0)
    rows: dict[int, int] = defaultdict(int)
    places = {}
    for state in states:
        column = distance.get(state.name, 0)
        places[state.name] = (_MARGIN + column * column_width, _MARGIN + rows[column] * row_height)
        rows[column] += 1
    return places


def _draw_state(root: Element, state: Box, place: Place) -> None:
    x, y = place
    found = svg.group(root, "state", state.hint)
    svg.box(found, (x, y, *_BOX), "box", 8)
    if state.is_final:
        svg.box(found, (x + 4, y + 4, _BOX[0] - 8, _BOX[1] - 8), "box inner", 6)
    middle = x + _BOX[0] / 2
    svg.text(found, middle, y + (22 if state.lines else 34), state.name, "name", "middle")
    for number, line in enumerate(state.lines):
        svg.text(found, middle, y + 38 + 13 * number, line, "muted", "middle")


def _draw_arrow(root: Element, arrow: Arrow, places: Mapping[str, Place]) -> None:
    (x1, y1), (x2, y2) = places[arrow.before], places[arrow.after]
    width, height = _BOX
    if x1 == x2:
        is_down = y2 > y1
        start = (x1 + width / 2, y1 + (height if is_down else 0))
        end = (x2 + width / 2, y2 + (0 if is_down else height))
    else:
        is_right = x2 > x1
        start = (x1 + (width if is_right else 0), y1 + height / 2)
        end = (x2 + (0 if is_right else width), y2 + height / 2)
    found = svg.group(root, "edge", arrow.hint)
    d = "M{} {}L{} {}".format(*map(svg.number, (*start, *end)))
    svg.path(found, d, "arrow", marker_end="url(#state-tip)")
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    above = _LINE * (len(arrow.lines) - 1)
    top = middle[1] - 6 - above if y1 == y2 else middle[1] - _LINE * len(arrow.lines) / 2 + 9
    for number, line in enumerate(arrow.lines):
        svg.text(found, middle[0], top + _LINE * number, line, "label", "middle")


def _tip(root: Element) -> None:
    defs = ET.SubElement(root, "defs")
    at = {"viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "8", "markerHeight": "8"}
    marker = ET.SubElement(defs, "marker", {"id": "state-tip", "orient": "auto", **at})
    ET.SubElement(marker, "path", {"d": "M0 0L8 4L0 8Z", "class": "tip"})
