"""The service's metrics against what was answered: each request and each capture is counted once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TypeVar

from payments_verify.surface.samples import metrics_of
from payments_verify.surface.witness import Witness

_SETTLED_S = 2.0
"""How long an answer that was read may be uncounted, in seconds: 10 ms, and some."""

_MOST_TIMES, _MORE_S = 10, 1.0
"""How much longer than their clients a process may say that requests took: no other unit fits in that."""

_Each = TypeVar("_Each", str, tuple[str, str, str])
_SAMPLE = re.compile(
    r"^payments_(http_request_duration_seconds_count|http_requests_in_flight|captures_total"
    r"|capture_replays_total)(?:\{(.*)\})? (\S+)$",
    re.MULTILINE,
)
_SECONDS = re.compile(
    r"^payments_(http_request_duration|pool_wait|lock_wait)_seconds_sum(?:\{(.*)\})? (\S+)$", re.MULTILINE
)
_EXPIRED = re.compile(r"^payments_expired_total (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


async def wrong_counters(witness: Witness) -> str | None:
    """How a process's metrics differ from what it answered; ``None`` if they do not.

    Nothing may be under way.
    """
    if not witness.is_whole:
        return None
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLED_S
    while True:
        wrong = "; ".join(_differences(witness, await metrics_of(witness.http)))
        if not wrong or loop.time() > until:
            return f"I12: the metrics do not say what was answered: {wrong}" if wrong else None
        await asyncio.sleep(0.01)


def _differences(witness: Witness, text: str) -> Iterator[str]:
    requests: Counter[tuple[str, str, str]] = Counter()
    captures: dict[str, Counter[str]] = {"captures_total": Counter(), "capture_replays_total": Counter()}
    in_flight = 0.0
    for name, labels, value in _SAMPLE.findall(text):
        of = dict(_LABEL.findall(labels))
        if name in captures:
            captures[name][of["outcome"]] += int(float(value))
        elif name == "http_requests_in_flight":
            in_flight = float(value)
        elif of["route"].startswith("/payments"):
            requests[of["method"], of["route"], of["status"]] += int(float(value))
    yield from _unequal("requests", witness.requests, requests)
    yield from _unequal("captures decided", witness.decided, captures["captures_total"])
    yield from _unequal("captures repeated", witness.repeated, captures["capture_replays_total"])
    yield from _too_long(witness, text)
    if in_flight != 1:  # the request for the metrics
        yield f"requests in flight: expected 1, got {in_flight:g}"


def _too_long(witness: Witness, text: str) -> Iterator[str]:
    """Times that cannot be: requests took their clients less, and what waits else, less than it is there."""
    told: dict[str, float] = defaultdict(float)
    for name, labels, value in _SECONDS.findall(text):
        if not labels or dict(_LABEL.findall(labels))["route"].startswith("/payments"):
            told[name] += float(value)
    for name, seconds in told.items():
        is_of_requests = name == "http_request_duration"
        limit = witness.seconds if is_of_requests else witness.seconds + witness.age_s
        if seconds > _MOST_TIMES * limit + _MORE_S:
            yield f"{name} is {seconds:g} s in all, and its requests took {witness.seconds:g} s"


def expired(text: str) -> int:
    """How many payments a process says that it has expired by itself."""
    return sum(int(float(value)) for value in _EXPIRED.findall(text))


def _unequal(what: str, answered: Counter[_Each], told: Counter[_Each]) -> Iterator[str]:
    for each in sorted(answered.keys() | told.keys()):
        if answered[each] != told[each]:
            yield f"{what}: {each}: {answered[each]} were answered, {told[each]} are counted"
