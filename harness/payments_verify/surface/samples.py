"""What a process says of itself in its metrics, and what a stretch of work adds to all that it counts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from payments_verify.binding import Http, Response
from payments_verify.patience import ask_until

_SAMPLE = re.compile(r"^payments_(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_SHOWN = frozenset({"/metrics", "/readyz", "/healthz"})
_REJECTED = "http_requests_rejected_total"
_OK = 200
_READERS: Mapping[str, Callable[[str], Iterable[Metric]]] = {
    "text/plain": text_string_to_metric_families,
    "application/openmetrics-text": openmetrics.text_string_to_metric_families,
}
_KINDS = {"_total": "counter", "_bucket": "histogram", "_count": "histogram", "_sum": "histogram"}
_OTHER_KIND = "gauge"


class Sample(NamedTuple):
    """One line of a process's metrics; its name is without ``payments_``."""

    name: str
    labels: Mapping[str, str]
    value: float


Metrics: TypeAlias = Sequence[Sample]


async def metrics_of(http: Http) -> Metrics:
    """The metrics of a process."""
    return read_metrics((await http.request("GET", "/metrics", headers={}, json=None)).text)


async def wrong_scrape(http: Http) -> str | None:
    """How the metrics of a process are not what a scraper can take, read as they are declared to be."""
    answer = await http.request("GET", "/metrics", headers={}, json=None)
    wrong = "; ".join(_unreadable(answer))
    return f"I12: a scraper does not take the metrics: {wrong}" if wrong else None


def _unreadable(answer: Response) -> Iterator[str]:
    fields = answer.headers
    if answer.status_code != _OK:
        yield f"the status is {answer.status_code}"
    for name, value in (("cache-control", "no-store"), ("x-content-type-options", "nosniff")):
        if fields.get(name) != value:
            yield f"{name} is {fields.get(name)!r}"
    declared = fields.get("content-type", "")
    reader = _READERS.get(declared.partition(";")[0].strip())
    if reader is None or "version=" not in declared:
        yield f"content-type is {declared!r}"
        return
    try:
        families = list(reader(answer.text))
    except (ValueError, KeyError, IndexError) as error:
        yield f"as {declared} it cannot be read: {error}"
        return
    for family in families:
        for name in {each.name for each in family.samples}:
            kind = next((_KINDS[end] for end in _KINDS if name.endswith(end)), _OTHER_KIND)
            if family.type != kind or not family.documentation:
                yield f"{name} is declared as {family.type}, {family.documentation!r}, and is a {kind}"


async def metrics_until(http: Http, are_so: Callable[[Metrics], bool], within_s: float) -> Metrics:
    """The metrics once they are so, or what they are when the time is over."""
    return await ask_until(partial(metrics_of, http), are_so, within_s)


def read_metrics(text: str) -> Metrics:
    """The service's own samples in an exposition; not those of its runtime."""
    return [
        Sample(name, dict(_LABEL.findall(labels)), float(value))
        for name, labels, value in _SAMPLE.findall(text)
    ]


def value_of(metrics: Metrics, name: str) -> float | None:
    """The first sample of a name; ``None`` if there is none."""
    return next((each.value for each in metrics if each.name == name), None)


def is_counted(name: str) -> bool:
    """Whether a sample of this name never falls."""
    return name.endswith(("_total", "_count", "_sum", "_bucket"))


def rejected(metrics: Metrics) -> Mapping[str, float]:
    """How many requests and connections were refused, by reason."""
    return {each.labels["reason"]: each.value for each in metrics if each.name == _REJECTED}


def stopped_tasks(metrics: Metrics) -> list[str]:
    """The tasks beside the requests that a process says do not run any more."""
    return [
        each.labels["task"] for each in metrics if each.name == "background_task_running" and not each.value
    ]


def last_sweep(metrics: Metrics) -> float | None:
    """When a process's last sweep ended; nothing if it has not swept yet, or does not."""
    return value_of(metrics, "last_sweep_timestamp_seconds") or None


async def after_a_sweep(http: Http, before: Metrics, within_s: float) -> Metrics:
    """The metrics once a sweep has ended since those, or what they are when the time is over."""
    return await metrics_until(http, lambda now: last_sweep(now) != last_sweep(before), within_s)


def wrong_counts(before: Metrics, after: Metrics, expected: Mapping[str, float]) -> str | None:
    """What a stretch of work has added otherwise than it had to, if it has.

    Args:
        before: the metrics before it.
        after: the metrics after it.
        expected: what each counter had to count of it; what is not named counts nothing.
    """
    was, now = _counts(before), _counts(after)
    wrong = [
        f"{name}: expected {expected.get(name, 0):g} more, got {now.get(name, 0) - was.get(name, 0):g}"
        for name in sorted(now.keys() | was.keys() | expected.keys())
        if now.get(name, 0) - was.get(name, 0) != expected.get(name, 0)
    ]
    return "; ".join([*wrong, *_uneven(after)]) or None


def seconds(metrics: Metrics, histogram: str) -> float:
    """The sum of what a histogram has seen, but for requests for metrics and health."""
    return sum(
        each.value
        for each in metrics
        if each.name == f"{histogram}_seconds_sum" and each.labels.get("route") not in _SHOWN
    )


def buckets(metrics: Metrics, histogram: str) -> Mapping[float, float]:
    """How many a histogram has seen up to each bound, but for requests for metrics and health."""
    found: defaultdict[float, float] = defaultdict(float)
    for name, labels, value in metrics:
        if name == f"{histogram}_seconds_bucket" and labels.get("route") not in _SHOWN:
            found[float(labels["le"])] += value
    return found


def _counts(metrics: Metrics) -> Mapping[str, float]:
    """Every counter, and of every histogram how many it has seen; not of requests for metrics and health."""
    found: defaultdict[str, float] = defaultdict(float)
    for name, labels, value in metrics:
        if name.endswith(("_total", "_count")) and labels.get("route") not in _SHOWN:
            shown = ", ".join(labels[label] for label in sorted(labels))
            found[f"{name} {shown}".strip()] += value
    return found


def _uneven(metrics: Metrics) -> Iterator[str]:
    """Histograms whose buckets do not add up."""
    buckets: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for name, labels, value in metrics:
        if name.endswith("_bucket"):
            others = sorted((label, of) for label, of in labels.items() if label != "le")
            buckets[name.removesuffix("_bucket"), str(others)].append((float(labels["le"]), value))
    for (name, shown), found in buckets.items():
        in_order = [value for _, value in sorted(found)]
        if in_order != sorted(in_order):
            yield f"the buckets of {name} {shown} do not add up: {in_order}"
