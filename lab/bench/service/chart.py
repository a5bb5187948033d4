"""The figure: captures a second of each contestant, and the processor time of a capture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.bench.figure import COLOURS, CONFIG, INK, LINE, MUTED
from lab.bench.service.results import (
    CONTESTANTS,
    FLOOR_ONE,
    OTHER_ONE,
    OTHER_TWO,
    PGBENCH,
    PGBENCH_ONE,
    MeasuredRun,
    median,
)

_KINDS = {
    **dict.fromkeys((PGBENCH, PGBENCH_ONE, FLOOR_ONE), "pgbench"),  # what can be reached
    **dict.fromkeys((OTHER_ONE, OTHER_TWO), "FastAPI"),
}
_SERVICE = "payments-core"


def bars(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """A bar for each contestant: the median of its rounds."""
    return [
        {
            "name": name,
            "kind": _KINDS.get(name, _SERVICE),
            "value": round(value, 1),
            "said": f"{value:,.0f}",
        }
        for name in CONTESTANTS
        for value in [median(runs, name, lambda run: run.per_second)]
        if value is not None
    ]


def dots(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """A dot for each round of each contestant."""
    return [{"name": run.name, "value": round(run.per_second, 1)} for run in runs]


def parts(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """The processor time of a capture, of the server and of the database."""
    found = []
    for name in CONTESTANTS:
        for part, of in (("server", lambda run: run.server_us), ("PostgreSQL", lambda run: run.database_us)):
            value = median(runs, name, of)
            if value:
                found.append({"name": name, "part": part, "value": round(value, 1)})
    return found


def chart(runs: Sequence[MeasuredRun]) -> dict[str, Any]:
    """The figure, as Vega-Lite."""
    order = [name for name in CONTESTANTS if any(run.name == name for run in runs)]
    y = {
        "field": "name",
        "type": "nominal",
        "sort": order,
        "title": None,
        "axis": {"labelLimit": 400, "labelPadding": 12, "ticks": False, "domain": False},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "vconcat": [_throughput(runs, y), _cost(runs, y)],
        "spacing": 28,
        "resolve": {"scale": {"color": "independent"}},
        "config": CONFIG,
    }


def _throughput(runs: Sequence[MeasuredRun], y: dict[str, Any]) -> dict[str, Any]:
    kinds = [_SERVICE, "FastAPI", "pgbench"]
    x = {
        "field": "value",
        "type": "quantitative",
        "title": "captures a second (median; a dot for each round)",
    }
    scale = {"domain": kinds, "range": [COLOURS[0], COLOURS[1], LINE]}
    return {
        "width": 480,
        "height": {"step": 26},
        "data": {"values": bars(runs)},
        "encoding": {"y": y, "x": x},
        "layer": [
            {
                "mark": {"type": "bar", "height": 14},
                "encoding": {"color": {"field": "kind", "type": "nominal", "scale": scale, "legend": None}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 10, "dy": -9, "fontSize": 11},
                "encoding": {"text": {"field": "said"}, "color": {"value": MUTED}},
            },
            {
                "data": {"values": dots(runs)},
                "mark": {"type": "point", "filled": True, "size": 20},
                "encoding": {"color": {"value": INK}},
            },
        ],
    }


def _cost(runs: Sequence[MeasuredRun], y: dict[str, Any]) -> dict[str, Any]:
    colour = {
        "field": "part",
        "type": "nominal",
        "title": None,
        "sort": ["server", "PostgreSQL"],
        "scale": {"domain": ["server", "PostgreSQL"], "range": [COLOURS[2], LINE]},
    }
    x = {
        "field": "value",
        "type": "quantitative",
        "stack": "zero",
        "title": "processor time of a capture, in µs",
    }
    return {
        "width": 480,
        "height": {"step": 26},
        "data": {"values": parts(runs)},
        "mark": {"type": "bar", "height": 14},
        "encoding": {"y": y, "x": x, "color": colour, "order": {"field": "part", "sort": "descending"}},
    }
