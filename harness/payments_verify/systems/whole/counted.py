"""Each thing that the service counts, made to happen a known number of times, conflicts included."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from time import perf_counter
from typing import Any
from uuid import uuid4

from payments_verify.binding import Http, Response
from payments_verify.patience import comes_true
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.surface.samples import Metrics, buckets, metrics_of, seconds, wrong_counts
from payments_verify.systems.whole.application import whole_application
from pgweave.gate import Fault, Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

_LIMIT_S = 20.0
_HELD_S = 0.2
_DEADLINES_S = (0.5, 2.0, 8.0)
"""How long a request may take; where a busy machine was too slow for one, the next is tried."""
_REQUESTS, _CONNECTIONS = 3, 2
_LIMITS: Mapping[str, Any] = {
    "max_requests": _REQUESTS,
    "pool_min": _CONNECTIONS,
    "pool_max": _CONNECTIONS,
    "lock_timeout_ms": 400,
}
_IN_A_ROW = 7
"""Conflicts that a transaction meets and its client does not hear of: it is tried eight times."""
_HISTOGRAMS: Mapping[str, int] = {"http_request_duration": 5, "pool_wait": 1, "lock_wait": 1}
"""How many of what each histogram sees take longer than `_QUICK_S`, at least: so many are held."""
_QUICK_S = 0.1
_FIRST_S, _LAST_S, _APART = 0.001, 10.0, 2.5
"""The first bound of a histogram and its last, and how many times the one before each may be."""
_UNAVAILABLE = 503
_COMMIT = "COMMIT"
_AMOUNT, _WINDOW = {"amount_cents": 500}, {"capture_window_seconds": 60}


@dataclass
class _Hurting(PassAll):
    """Refuses some statements: by a part of the text, what befalls the next ones that have it."""

    faults: dict[str, list[Fault]] = field(default_factory=dict)

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        hurt = (each for each, left in self.faults.items() if left and re.search(rf"{each}\b", statement.sql))
        part = next(hurt, None)
        if part is None:
            statement.release()
        else:
            # A transaction that fails at its end is over.
            statement.release(self.faults[part].pop(), "ROLLBACK" if part == _COMMIT else "")


@dataclass
class _Asked:
    """What was asked of an application, and what it has to have counted.

    Attributes:
        heard: the first conflict of which a client was told; empty if none was.
        took: how long each answer took to come, in seconds: longer than the application says.
    """

    http: Http
    expected: Counter[str] = field(default_factory=Counter)
    heard: str = ""
    took: list[float] = field(default_factory=list)

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Response:
        """Send a request, and keep how long it takes."""
        began = perf_counter()
        answer = await self.http.request(method, path, headers=headers, json=json)
        self.took.append(perf_counter() - began)
        return answer

    async def request(
        self,
        method: str,
        path: str,
        json: Mapping[str, Any] | None = None,
        *,
        tries: int = 1,
        locks: bool = False,
        **headers: str,
    ) -> Response:
        """Send a request, which needs so many transactions; those before the last meet a conflict.

        Args:
            method: the method.
            path: the path.
            json: the body.
            tries: transactions; 0 if it does not come to the database.
            locks: whether each waits for a payment's lock.
            headers: more header fields; ``_`` stands for ``-``.
        """
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.send(method, path, fields, json)
        self.answered(method, path, answer, tries=tries, locks=locks)
        if tries > 1 and answer.status_code == _UNAVAILABLE and not self.heard:
            self.heard = f"I9: {method} {path} is not tried again after {tries - 1} conflicts: {answer.text}"
        return answer

    def answered(self, method: str, path: str, answer: Response, *, tries: int, locks: bool = False) -> None:
        """Count what was answered."""
        first, *rest = path.strip("/").split("/")
        route = "/".join(["", first, *(["{payment_id}", *rest[1:]] if rest else [])])
        self.expected[f"http_request_duration_seconds_count {method}, {route}, {answer.status_code}"] += 1
        self.expected["pool_wait_seconds_count"] += tries
        self.expected["lock_wait_seconds_count"] += tries if locks else 0
        self.expected["transaction_conflicts_total"] += max(0, tries - 1)

    async def decided(self, path: str, key: str, amount: int, outcome: str, *, tries: int = 1) -> None:
        """Send a capture that is decided, or answered with what was decided before."""
        body = {"amount_cents": amount}
        answer = await self.request("POST", path, body, tries=tries, locks=True, Idempotency_Key=key)
        is_repeated = "idempotent-replayed" in answer.headers
        self.expected[f"{'capture_replays' if is_repeated else 'captures'}_total {outcome}"] += 1


async def wrong_counts_of_all(dsn: str) -> str | None:
    """How what the service counts differs from what was made to happen; ``None`` if it does not.

    Args:
        dsn: a prepared database.
    """
    wrong = None
    for deadline_s in _DEADLINES_S:
        wrong = await _wrong_counts(dsn, deadline_s)
        if not wrong:
            return None
    return wrong


async def _wrong_counts(dsn: str, deadline_s: float) -> str | None:
    loop = asyncio.get_running_loop()
    limits = {**_LIMITS, "request_timeout_s": deadline_s}
    async with Gate.open(dsn, bool) as gate, whole_application(gate.socket_dsn, **limits) as app:
        gate.observer = hurting = _Hurting()
        asked = _Asked(app.http)
        began, before = loop.time(), await metrics_of(app.http)
        payment = f"/payments/{uuid4()}"
        await _answered(asked, payment, hurting)
        await _refused(asked, payment)
        await _overloaded(asked, payment, gate)
        await _too_late(asked, payment, gate, deadline_s)
        await _waits_for_a_lock(asked, payment, gate)
        after, lasted = await metrics_of(app.http), loop.time() - began
    wrong = wrong_counts(before, after, asked.expected) or "; ".join(
        [*_wrong_seconds(before, after, lasted), *_wrong_buckets(before, after, asked.took)]
    )
    return asked.heard or (f"I12: the metrics do not say what happened: {wrong}" if wrong else None)


async def _answered(asked: _Asked, payment: str, hurting: _Hurting) -> None:
    """Each command, most after a conflict at another statement."""
    captures = f"{payment}/captures"
    hurting.faults["INSERT INTO payments"] = [Fault.SERIALIZATION_FAILURE] * _IN_A_ROW
    await asked.request("PUT", payment, _AMOUNT, tries=_IN_A_ROW + 1)
    hurting.faults["UPDATE payments"] = [Fault.DEADLOCK]
    await asked.request("POST", f"{payment}/authorize", _WINDOW, tries=2, locks=True)
    hurting.faults["INSERT INTO capture_attempts"] = [Fault.SERIALIZATION_FAILURE]
    await asked.decided(captures, "refused", 501, "amount_mismatch", tries=2)
    await asked.decided(captures, "refused", 501, "amount_mismatch")
    hurting.faults[_COMMIT] = [Fault.SERIALIZATION_FAILURE]
    await asked.decided(captures, "captured", 500, "captured", tries=2)
    await asked.decided(captures, "captured", 500, "captured")
    await asked.request("GET", payment)
    await asked.request("GET", captures)
    await asked.request("GET", "/payments")


async def _refused(asked: _Asked, payment: str) -> None:
    """What is refused, before the database is asked and afterwards."""
    await asked.request("POST", f"{payment}/authorize", _WINDOW, locks=True)
    await asked.request("POST", f"{payment}/captures", _AMOUNT, tries=0)
    await asked.request("GET", f"/payments/{uuid4()}")
    many = {f"X_{number}": "" for number in range(101)}
    for reason, status, headers in (
        ("head_too_large", 431, many),
        ("unsupported_transfer_coding", 501, {"Transfer_Encoding": "gzip"}),
    ):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        await asked.send("GET", payment, fields, None)
        asked.expected[f"http_request_duration_seconds_count GET, unmatched, {status}"] += 1
        asked.expected[f"http_requests_rejected_total {reason}"] += 1


async def _overloaded(asked: _Asked, payment: str, gate: Gate) -> None:
    """As many requests as may be are under way, one of them without a connection, and one more comes."""
    async with stops(gate) as stopped:
        reads = [asyncio.ensure_future(asked.request("GET", payment)) for _ in range(_REQUESTS)]
        await comes_true(lambda: stopped.connections == _CONNECTIONS, _LIMIT_S)
        await asyncio.sleep(_HELD_S)
        answer = await asked.send("GET", payment, {}, None)
        asked.expected[f"http_request_duration_seconds_count GET, unmatched, {answer.status_code}"] += 1
        asked.expected["http_requests_rejected_total overloaded"] += 1
    await asyncio.gather(*reads)


async def _too_late(asked: _Asked, payment: str, gate: Gate, deadline_s: float) -> None:
    async with stops(gate) as stopped:
        read = asyncio.ensure_future(asked.request("GET", payment))
        await comes_true(lambda: bool(stopped.held_now), _LIMIT_S)
        await asyncio.sleep(deadline_s + _HELD_S)
    await read
    asked.expected["http_requests_rejected_total deadline"] += 1


async def _waits_for_a_lock(asked: _Asked, payment: str, gate: Gate) -> None:
    async with stops(gate) as stopped:
        sent = asyncio.ensure_future(asked.request("POST", f"{payment}/authorize", _WINDOW, locks=True))
        await comes_true(lambda: bool(stopped.held_now), _LIMIT_S)
        await asyncio.sleep(_HELD_S)
    await sent


def _wrong_seconds(before: Metrics, after: Metrics, lasted: float) -> Iterator[str]:
    """Times that cannot be: shorter than what was held, or longer than everything took."""
    for name in ("http_request_duration", "pool_wait", "lock_wait"):
        took = seconds(after, name) - seconds(before, name)
        if not _HELD_S <= took <= lasted * _REQUESTS:
            yield f"{name}: {took:g} s, where {_HELD_S:g} s and more were waited for, within {lasted:g} s"


def _wrong_buckets(before: Metrics, after: Metrics, took: list[float]) -> Iterator[str]:
    """Bounds that do not tell a quick request from a slow one, and what is counted beside its bound."""
    for name, held in _HISTOGRAMS.items():
        was, now = buckets(before, name), buckets(after, name)
        bounds = [each for each in sorted(now) if each < inf]
        if not (bounds and bounds[0] <= _FIRST_S and bounds[-1] >= _LAST_S) or any(
            later > _APART * each for each, later in pairwise(bounds)
        ):
            yield f"{name}: the bounds are {bounds}, not of {_FIRST_S:g} s to {_LAST_S:g} s"
            continue
        counted = {each: now[each] - was.get(each, 0) for each in now}
        for bound in bounds:
            quick = sum(each <= bound for each in took) if name == "http_request_duration" else 0
            most = counted[inf] - (held if bound <= _QUICK_S else 0)
            if not quick <= counted[bound] <= most:
                yield f"{name}: {counted[bound]:g} took {bound:g} s at most: {quick} did, and {most:g} may"
