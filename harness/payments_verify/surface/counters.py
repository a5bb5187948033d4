"""The service's metrics against what was answered: each request and each capture is counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from payments_verify.surface.samples import Metrics, metrics_until, value_of
from payments_verify.surface.witness import Witness

_SETTLED_S = 2.0
"""How long an answer that was read may be uncounted, in seconds: 10 ms, and some."""

_MOST_TIMES, _MORE_S = 10, 1.0
"""How much longer than their clients a process may say that requests took: no other unit fits in that."""

_Each = TypeVar("_Each", str, tuple[str, str, str])


async def wrong_counters(witness: Witness) -> str | None:
    """How a process's metrics differ from what it answered; ``None`` if they do not.

    Nothing may be under way.
    """
    if not witness.is_whole:
        return None
    told = await metrics_until(witness.http, lambda now: not any(_differences(witness, now)), _SETTLED_S)
    wrong = "; ".join(_differences(witness, told))
    return f"I12: the metrics do not say what was answered: {wrong}" if wrong else None


def _differences(witness: Witness, metrics: Metrics) -> Iterator[str]:
    requests: Counter[tuple[str, str, str]] = Counter()
    captures: dict[str, Counter[str]] = {"captures_total": Counter(), "capture_replays_total": Counter()}
    for name, labels, value in metrics:
        if name in captures:
            captures[name][labels["outcome"]] += int(value)
        elif name == "http_request_duration_seconds_count" and _is_of_payments(labels["route"]):
            requests[labels["method"], labels["route"], labels["status"]] += int(value)
    yield from _unequal("requests", witness.requests, requests)
    yield from _unequal("captures decided", witness.decided, captures["captures_total"])
    yield from _unequal("captures repeated", witness.repeated, captures["capture_replays_total"])
    yield from _too_long(witness, metrics)
    in_flight = value_of(metrics, "http_requests_in_flight") or 0
    if in_flight != 1:  # the request for the metrics
        yield f"requests in flight: expected 1, got {in_flight:g}"


def _is_of_payments(route: str) -> bool:
    return route.startswith("/payments")


def _too_long(witness: Witness, metrics: Metrics) -> Iterator[str]:
    """Times that cannot be: requests took their clients less, and what waits else, less than it is there."""
    for name in ("http_request_duration", "pool_wait", "lock_wait"):
        told = sum(
            each.value
            for each in metrics
            if each.name == f"{name}_seconds_sum"
            and (not each.labels or _is_of_payments(each.labels["route"]))
        )
        is_of_requests = name == "http_request_duration"
        limit = witness.seconds if is_of_requests else witness.seconds + witness.age_s
        if told > _MOST_TIMES * limit + _MORE_S:
            yield f"{name} is {told:g} s in all, and its requests took {witness.seconds:g} s"


def _unequal(what: str, answered: Counter[_Each], told: Counter[_Each]) -> Iterator[str]:
    for each in sorted(answered.keys() | told.keys()):
        if answered[each] != told[each]:
            yield f"{what}: {each}: {answered[each]} were answered, {told[each]} are counted"
