"""The state diagram as an SVG picture, its arrows and their names from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from lab.pages.transitions import NOTHING
from payments_model import TERMINAL
from pgweave.timeline import elements as svg

_STYLE = """
.states { color-scheme: light dark; font: 13px ui-monospace, monospace }
.states .paper { fill: #fff } .states .state { fill: #eef2ff; stroke: #4f46e5; stroke-width: 1.5 }
.states .inner { fill: none; stroke: #4f46e5; stroke-width: 1.5 }
.states .name { fill: #1e1b4b; font-weight: 600 } .states .command { fill: #334155 }
.states .arrow { fill: none; stroke: #475569; stroke-width: 1.5 } .states .start { fill: #475569 }
.states .tip { fill: #475569 }
@media (prefers-color-scheme: dark) {
.states .paper { fill: #0f172a } .states .state { fill: #1e1b4b; stroke: #a5b4fc }
.states .inner { stroke: #a5b4fc } .states .name { fill: #e0e7ff } .states .command { fill: #cbd5e1 }
.states .arrow { stroke: #94a3b8 } .states .start, .states .tip { fill: #94a3b8 } }
"""
_WIDTH, _HEIGHT = 116.0, 44.0
_PLACES: Mapping[str, tuple[float, float]] = {
    NOTHING: (30, 60),
    "pending": (170, 60),
    "authorized": (410, 60),
    "captured": (650, 60),
    "failed": (650, 160),
}
"""Where a state stands: the middle of its left side."""


class DiagramError(ValueError):
    """A state of the model that the drawing has no place for."""


def state_diagram(moves: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Draw the states and the moves between them.

    Args:
        moves: pairs of states, each with the commands that lead from the one to the other.

    Returns:
        An SVG document that loads nothing and follows the preference for light or dark.

    Raises:
        DiagramError: a state has no place.
    """
    states = list(dict.fromkeys(state for move in moves for state in move))
    if unknown := [state for state in states if state not in _PLACES]:
        raise DiagramError(f"no place in the diagram for {', '.join(unknown)}: see _PLACES in {__name__}")
    root = svg.root(
        800, 210, "The states of a payment, and the commands that lead from one to another", "states"
    )
    ET.SubElement(root, "style").text = _STYLE
    _tip(root)
    svg.box(root, (0, 0, 800, 210), "paper", 0)
    for move, commands in moves.items():
        _arrow(root, *move, " or ".join(commands))
    final = {state.name.lower() for state in TERMINAL}
    for state in states:
        _state(root, state, is_final=state in final)
    return svg.write(root)


def _tip(root: svg.Element) -> None:
    at = {
        "viewBox": "0 0 8 8",
        "refX": "7",
        "refY": "4",
        "markerWidth": "8",
        "markerHeight": "8",
        "orient": "auto",
    }
    marker = ET.SubElement(ET.SubElement(root, "defs"), "marker", {"id": "states-tip", **at})
    ET.SubElement(marker, "path", {"d": "M0 0L8 4L0 8z", "class": "tip"})


def _arrow(root: svg.Element, before: str, after: str, name: str) -> None:
    x, y = _PLACES[before]
    to_x, to_y = _PLACES[after]
    from_x = x + 10 if before == NOTHING else x + _WIDTH
    middle = (from_x + to_x) / 2
    line = f"M{from_x:g} {y:g}C{middle:g} {y:g} {middle:g} {to_y:g} {to_x - 2:g} {to_y:g}"
    svg.path(root, line, "arrow", marker_end="url(#states-tip)")
    above = -8 if y == to_y else 26
    svg.text(root, middle, (y + to_y) / 2 + above, name, "command", "middle" if y == to_y else "end")


def _state(root: svg.Element, state: str, *, is_final: bool) -> None:
    x, y = _PLACES[state]
    if state == NOTHING:
        svg.box(root, (x - 7, y - 7, 14, 14), "start", 7)
        return
    svg.box(root, (x, y - _HEIGHT / 2, _WIDTH, _HEIGHT), "state", 12)
    if is_final:
        svg.box(root, (x + 4, y - _HEIGHT / 2 + 4, _WIDTH - 8, _HEIGHT - 8), "inner", 9)
    svg.text(root, x + _WIDTH / 2, y + 4, state, "name", "middle")
