"""All that a process counts, as its metrics say: what a stretch of work adds to each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from payments_verify.binding import Http

_SAMPLE = re.compile(r"^payments_(\w+?)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_SHOWN = frozenset({"/metrics", "/readyz", "/healthz"})

Counts = Mapping[str, float]
"""How often each thing was counted: by the counter's name, and its labels."""


async def metrics_of(http: Http) -> str:
    """The metrics of a process, as text."""
    return (await http.request("GET", "/metrics", headers={}, json=None)).text


def counts(text: str) -> Counts:
    """Every counter, and of every histogram how many it has seen; not of requests for metrics and health."""
    found: defaultdict[str, float] = defaultdict(float)
    for name, labels, value in _SAMPLE.findall(text):
        of = dict(_LABEL.findall(labels))
        if name.endswith(("_total", "_count")) and of.get("route") not in _SHOWN:
            shown = ", ".join(of[label] for label in sorted(of))
            found[f"{name} {shown}".strip()] += float(value)
    return found


def seconds(text: str, histogram: str) -> float:
    """The sum of what a histogram has seen, but for requests for metrics and health."""
    return sum(
        float(value)
        for name, labels, value in _SAMPLE.findall(text)
        if name == f"{histogram}_seconds_sum" and dict(_LABEL.findall(labels)).get("route") not in _SHOWN
    )


def uneven(text: str) -> Iterator[str]:
    """Histograms whose buckets do not add up."""
    buckets: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for name, labels, value in _SAMPLE.findall(text):
        of = dict(_LABEL.findall(labels))
        if name.endswith("_bucket"):
            limit = float(of.pop("le"))
            buckets[name.removesuffix("_bucket"), str(sorted(of.items()))].append((limit, float(value)))
    for (name, labels), found in buckets.items():
        in_order = [value for _, value in sorted(found)]
        if in_order != sorted(in_order):
            yield f"the buckets of {name} {labels} do not add up: {in_order}"


def wrong_counts(before: str, after: str, expected: Mapping[str, float]) -> str | None:
    """What a stretch of work has added otherwise than it had to, if it has.

    Args:
        before: the metrics before it.
        after: the metrics after it.
        expected: what each counter had to count of it; what is not named counts nothing.
    """
    was, now = counts(before), counts(after)
    wrong = [
        f"{name}: expected {expected.get(name, 0):g} more, got {now.get(name, 0) - was.get(name, 0):g}"
        for name in sorted(now.keys() | was.keys() | expected.keys())
        if now.get(name, 0) - was.get(name, 0) != expected.get(name, 0)
    ]
    return "; ".join([*wrong, *uneven(after)]) or None
