"""The states of a payment as a picture: boxes from left to right, arrows with commands and answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pgweave.timeline import elements as svg
from pgweave.timeline.elements import Element

_BOX = (132.0, 58.0)
_COLUMN, _ROW = 330.0, 150.0
_MARGIN = 14.0
_LINE = 15.0

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything that leads from one state to another.

    Attributes:
        before: The state.
        after: The other; the same for what changes nothing.
        labels: Commands with their answers, and how often each was taken.
    """

    before: str
    after: str
    labels: tuple[tuple[str, int], ...]


def edges(exercised: Mapping[str, int]) -> tuple[Edge, ...]:
    """The transitions of a report, by their two states.

    Args:
        exercised: How often each was taken: ``"authorized | capture | captured | captured"``.
    """
    found: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for written, count in exercised.items():
        before, command, answer, after = written.split(" | ")
        found[before, after].append((f"{command}: {answer}", count))
    return tuple(Edge(before, after, tuple(labels)) for (before, after), labels in found.items())


def picture(states: Mapping[str, int], exercised: Mapping[str, int]) -> Element:
    """Draw it.

    Args:
        states: The states of a payment, and how many states of the model each stands for.
        exercised: The transitions.
    """
    found = edges(exercised)
    places = _places(states, found)
    width = max((x for x, _ in places.values()), default=0) + _BOX[0] + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _BOX[1] + _MARGIN
    root = svg.root(width, height, "the states of a payment", "state-graph")
    _tip(root)
    for edge in found:
        if edge.before != edge.after:
            _arrow(root, edge, places)
    for name, count in states.items():
        staying = next((edge for edge in found if edge.before == edge.after == name), None)
        _box(root, name, count, staying, places[name])
    return root


def _places(states: Mapping[str, int], found: tuple[Edge, ...]) -> dict[str, Place]:
    """A column for each distance from the first state, the states of one below each other."""
    distance = dict.fromkeys(list(states)[:1], 0)
    waiting = list(distance)
    while waiting:
        name = waiting.pop(0)
        for edge in found:
            if edge.before == name and edge.after not in distance:
                distance[edge.after] = distance[name] + 1
                waiting.append(edge.after)
    rows: dict[int, int] = defaultdict(int)
    places = {}
    for name in states:
        column = distance.get(name, 0)
        places[name] = (_MARGIN + column * _COLUMN, _MARGIN + rows[column] * _ROW)
        rows[column] += 1
    return places


def _box(root: Element, name: str, count: int, staying: Edge | None, place: Place) -> None:
    x, y = place
    labels = () if staying is None else staying.labels
    total = sum(times for _, times in labels)
    title = f"{name}: {count:,} states; {total:,} answers change nothing:\n" + "\n".join(
        f"{label}, {times:,} times" for label, times in labels
    )
    found = svg.group(root, "state", title)
    svg.box(found, (x, y, *_BOX), "box", 8)
    middle = x + _BOX[0] / 2
    svg.text(found, middle, y + 22, "no payment" if name == "none" else name, "name", "middle")
    svg.text(found, middle, y + 38, f"{count:,} states", "muted", "middle")
    svg.text(found, middle, y + 51, f"{total:,} stay", "muted", "middle")


def _arrow(root: Element, edge: Edge, places: Mapping[str, Place]) -> None:
    (x1, y1), (x2, y2) = places[edge.before], places[edge.after]
    width, height = _BOX
    if x1 == x2:
        is_down = y2 > y1
        start = (x1 + width / 2, y1 + (height if is_down else 0))
        end = (x2 + width / 2, y2 + (0 if is_down else height))
    else:
        is_right = x2 > x1
        start = (x1 + (width if is_right else 0), y1 + height / 2)
        end = (x2 + (0 if is_right else width), y2 + height / 2)
    found = svg.group(root, "edge", "\n".join(f"{label}, {times:,} times" for label, times in edge.labels))
    d = "M{} {}L{} {}".format(*map(svg.number, (*start, *end)))
    svg.path(found, d, "arrow", marker_end="url(#state-tip)")
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    lines = [f"{label} ×{times:,}" for label, times in edge.labels]
    top = middle[1] - 6 - _LINE * (len(lines) - 1) if y1 == y2 else middle[1] - _LINE * len(lines) / 2 + 9
    for number, line in enumerate(lines):
        svg.text(found, middle[0], top + _LINE * number, line, "label", "middle")


def _tip(root: Element) -> None:
    defs = ET.SubElement(root, "defs")
    at = {"viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "8", "markerHeight": "8"}
    marker = ET.SubElement(defs, "marker", {"id": "state-tip", "orient": "auto", **at})
    ET.SubElement(marker, "path", {"d": "M0 0L8 4L0 8Z", "class": "tip"})
