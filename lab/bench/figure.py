"""The figure: runs until the first violation, by bug, for the explorer and for chance.

It is described in Vega-Lite, which is plain data, and drawn by ``vl-convert``, which needs no browser. Both
are needed for nothing else, so the renderer stands in an extra of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from lab.bench.arrivals import ARRIVALS
from lab.bench.searches import EXPLORER, Searched, by_how, median

RENDERER = "vl_convert"
KINDS = (EXPLORER, *(arrivals.name for arrivals in ARRIVALS))
SHAPES = ("diamond", "circle", "square", "triangle-up")

# Each role in light; the style gives the colours that stand for them in dark.
INK, MUTED, LINE = "#1f2328", "#59636e", "#d1d9e0"
COLOURS = ("#1a7f37", "#0969da", "#9a6700", "#cf222e")
DARK = {
    INK: "#f0f6fc",
    MUTED: "#9198a1",
    LINE: "#3d444d",
    "#1a7f37": "#3fb950",
    "#0969da": "#4493f8",
    "#9a6700": "#d29922",
    "#cf222e": "#f85149",
}


class RendererMissingError(RuntimeError):
    """The figure cannot be drawn; the message says what to install."""


def points(searched: Sequence[Searched]) -> list[dict[str, Any]]:
    """A point for each bug and kind of search."""
    return [
        {
            "bug": one.bug,
            "kind": how,
            "runs": found.runs,
            "said": str(found) if found.above else "",
            "end": "not found" if found.above else "found",
        }
        for one in searched
        for how, searches in by_how(one.searches).items()
        for found in [median(searches)]
    ]


_BUGS_AXIS = {
    # A label of two parts has two lines; the lines of the grid part the bugs from each other.
    "labelExpr": "split(datum.label, ', ')",
    "labelLimit": 400,
    "labelPadding": 12,
    "tickBand": "extent",
    "grid": True,
    "ticks": False,
    "domain": False,
}


def chart(searched: Sequence[Searched]) -> dict[str, Any]:
    """The figure, as Vega-Lite."""
    values = points(searched)
    y = {
        "field": "bug",
        "type": "nominal",
        "sort": [one.bug for one in searched],
        "title": None,
        "axis": _BUGS_AXIS,
    }
    offset = {"field": "kind", "type": "nominal", "sort": list(KINDS)}
    x = {
        "field": "runs",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [1, 300]},
        "axis": {"values": [1, 2, 5, 10, 20, 50, 100, 200], "format": "d"},
        "title": "runs until the first violation (median; hollow: none in so many)",
    }
    kind = {"field": "kind", "type": "nominal", "sort": list(KINDS), "title": None}
    colour = {**kind, "scale": {"domain": list(KINDS), "range": list(COLOURS)}}
    shape = {**kind, "scale": {"domain": list(KINDS), "range": list(SHAPES)}}
    hollow = {"condition": {"test": "datum.end === 'not found'", "value": 0}, "value": 1}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "width": 480,
        "height": {"step": 12},
        "encoding": {"y": y, "yOffset": offset, "x": x},
        "layer": [
            {
                "mark": {"type": "point", "filled": False, "size": 55, "strokeWidth": 1.6},
                "encoding": {"color": colour, "shape": shape},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 55},
                "encoding": {"color": colour, "shape": shape, "opacity": hollow},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "fontSize": 10},
                "encoding": {"text": {"field": "said"}, "color": {"value": MUTED}},
            },
        ],
        "config": CONFIG,
    }


CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "Helvetica, Arial, sans-serif",
    # Room for readers whose font is wider than the renderer's.
    "padding": {"left": 56, "right": 8, "top": 8, "bottom": 8},
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "labelFontSize": 12,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "gridColor": LINE,
        "tickColor": LINE,
        "domainColor": LINE,
    },
    "legend": {
        "orient": "top",
        "labelColor": INK,
        "labelFontSize": 12,
        "columnPadding": 24,
        "symbolOpacity": 1,
    },
}


def style() -> str:
    """A style sheet for readers that prefer dark."""
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items()
    )
    return f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"


def draw(described: dict[str, Any]) -> str:
    """A figure that is described in Vega-Lite, as SVG, with its own style for light and dark.

    Raises:
        RendererMissingError: the renderer is not installed.
    """
    try:
        renderer = importlib.import_module(RENDERER)
    except ImportError:
        raise RendererMissingError(
            "the figure is drawn by vl-convert-python, which `make bench-explore` and `make bench-service` "
            "install"
        ) from None
    svg: str = renderer.vegalite_to_svg(described)
    start = svg.index(">", svg.index("<svg")) + 1
    return svg[:start] + style() + svg[start:] + "\n"
