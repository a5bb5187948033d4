"""As many requests at once as may be, of as many payments, while the database is slow: each is served."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from uuid import UUID, uuid4

from payments_core.entrypoints.settings import Settings
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import Request
from payments_verify.systems.whole.behind_gate import gated_application
from payments_verify.systems.whole.stopped_time import in_stopped_time, stopped_loop

_SHIPPED = ("pool_max", "max_requests", "pool_timeout_s", "request_timeout_s", "lock_timeout_ms")
"""Settings that are as they are shipped: other bounds than theirs show at their sizes alone."""
_AROUND_S = 0.1
_KINDS = (asked.read, asked.authorize, asked.void, lambda payment: asked.capture(payment, "k"))


async def wrong_of_many(dsn: str) -> str | None:
    """Which of so many requests is not served, though none waits for longer than it may, if one is not.

    Args:
        dsn: a prepared database.
    """
    return await in_stopped_time(_wrong, dsn)


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    shipped = {name: Settings.model_fields[name].default for name in _SHIPPED}
    connections, most, timeout_s = (
        shipped.pop(name) for name in ("pool_max", "max_requests", "pool_timeout_s")
    )
    limits = {**shipped, "max_requests": most, "pool_timeout_s": timeout_s}
    async with gated_application(dsn, connections, **limits) as (gate, app):
        with loop.stopped():
            # Of payments that there are not: each waits for nothing but its connection.
            requests = _requests(most)
            async with stops(gate) as stopped:
                sent = [asked.send(app.http, each) for each in requests]
                await loop.until(lambda: stopped.connections == connections)
                await loop.pause(timeout_s - _AROUND_S)
            await loop.all_done(sent)
            wrong = asked.first_wrong(requests, sent, 404, "payment_not_found")
            await loop.end(sent)
    slow_s = timeout_s - _AROUND_S
    return wrong and (
        f"I9: {most} requests are under way, as many as may be, each for another payment; the database "
        f"answers none for {slow_s:g} s, where one may wait for a connection for {timeout_s:g} s, and {wrong}"
    )


def _requests(number: int) -> Sequence[Request]:
    def of(kind: int) -> Request:
        ask = _KINDS[kind]
        payment: UUID = uuid4()
        return ask(payment)

    return [of(kind) for kind in islice(cycle(range(len(_KINDS))), number)]
