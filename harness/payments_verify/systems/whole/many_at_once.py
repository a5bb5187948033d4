"""As many requests at once as may be, of as many payments, while the database is slow: each is served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import uuid4

from payments_core.entrypoints.settings import Settings
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import Sent
from payments_verify.systems.whole.behind_gate import busy, gated_application
from payments_verify.systems.whole.every_kind import Kind, wrong_among
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop
from pgweave.gate import Gate

_SHIPPED = ("pool_max", "max_requests", "pool_timeout_s", "request_timeout_s", "lock_timeout_ms")
"""Settings that are as they are shipped: other bounds than theirs show at their sizes alone."""
_SLOW = 0.5
"""The share of the time for a connection for which the database is slow; the rest is for its work."""
_PAUSE_S, _PAUSES = 0.02, 50
_CREATED, _NOT_FOUND = 201, 404


async def wrong_of_many(dsn: str) -> str | None:
    """Which of so many requests is not served, though none waits for longer than it may, if one is not.

    Args:
        dsn: a prepared database.
    """
    return await in_stopped_time(_wrong, dsn)


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    shipped = {name: Settings.model_fields[name].default for name in _SHIPPED}
    connections, most, timeout_s = (shipped[name] for name in ("pool_max", "max_requests", "pool_timeout_s"))
    slow_s = _SLOW * timeout_s
    async with gated_application(dsn, connections, **shipped) as (gate, app):
        with loop.stopped():
            kinds = [*islice(_endlessly(), most)]
            async with stops(gate) as stopped:
                sent = [asked.send(app.http, each.request) for each in kinds]
                await loop.until(lambda: stopped.connections == connections)
                await loop.pause(slow_s)
            await _done(loop, gate, sent)
            wrong = wrong_among(kinds, sent)
            await loop.end(sent)
    return wrong and (
        f"I9: {most} requests are under way, as many as may be, each for another payment; the database "
        f"answers none for {slow_s:g} s, where one may wait for a connection for {timeout_s:g} s, and {wrong}"
    )


def _endlessly() -> Iterator[Kind]:
    """Requests of each kind: creations, and others of payments that there are not, which need none before."""
    while True:
        yield Kind(asked.create(uuid4()), _CREATED)
        yield Kind(asked.read(uuid4()), _NOT_FOUND)
        yield Kind(asked.authorize(uuid4()), _NOT_FOUND)
        yield Kind(asked.capture(uuid4(), "k"), _NOT_FOUND)
        yield Kind(asked.void(uuid4()), _NOT_FOUND)


async def _done(loop: StoppedLoop, gate: Gate, sent: Sequence[Sent]) -> None:
    """Wait for all. Where nothing is under way, creations pause: they may have met while the table grew."""
    for _ in range(_PAUSES):
        await loop.until(lambda: all(each.done() for each in sent) or not busy(gate))
        await loop.rest()
        if not busy(gate):
            loop.moved += _PAUSE_S
        if all(each.done() for each in sent):
            break
