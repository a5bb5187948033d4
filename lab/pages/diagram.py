"""The state diagram of the specification: its arrows and their names come from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from payments_model import TERMINAL
from payments_verify.report.state_graph import Arrow, Box, draw_state_graph
from pgweave.timeline import elements as svg

_STYLE = """
.state-graph { color-scheme: light dark; font: 13px ui-monospace, monospace; background: #fff }
.state-graph .box { fill: #eef2ff; stroke: #4f46e5; stroke-width: 1.5 }
.state-graph .name { fill: #1e1b4b; font-weight: 600 } .state-graph .label { fill: #334155 }
.state-graph .arrow { fill: none; stroke: #475569; stroke-width: 1.5 } .state-graph .tip { fill: #475569 }
.state-graph .label { paint-order: stroke; stroke: #fff; stroke-width: 4px }
@media (prefers-color-scheme: dark) {
.state-graph { background: #0f172a } .state-graph .box { fill: #1e1b4b; stroke: #a5b4fc }
.state-graph .name { fill: #e0e7ff } .state-graph .label { fill: #cbd5e1; stroke: #0f172a }
.state-graph .arrow { stroke: #94a3b8 } .state-graph .tip { fill: #94a3b8 } }
"""


def state_diagram(moves: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Draw the states and the moves between them.

    Args:
        moves: pairs of states, each with the commands that lead from the one to the other.

    Returns:
        An SVG document that loads nothing and follows the preference for light or dark.
    """
    final = {state.name.lower() for state in TERMINAL}
    names = dict.fromkeys(state for move in moves for state in move)
    root = draw_state_graph(
        [Box(name, is_final=name in final) for name in names],
        [Arrow(before, after, (" or ".join(commands),)) for (before, after), commands in moves.items()],
        "The states of a payment, and the commands that lead from one to another",
    )
    style = ET.Element("style")
    style.text = _STYLE
    root.insert(0, style)
    return svg.write(root)
