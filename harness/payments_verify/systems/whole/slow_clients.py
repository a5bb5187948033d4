"""Clients that are slow, or too many, for a server in a thread whose event loop's time is moved on."""

from __future__ import annotations

from contextlib import AsyncExitStack

from payments_verify.surface.exchange import Answer, first_wrong
from payments_verify.surface.raw import NOBODY
from payments_verify.surface.samples import metrics_of, rejected, value_of
from payments_verify.surface.slow_clients import (
    CAPTURE,
    CAPTURED,
    READ,
    ends_by_time,
    slow_exchanges,
)
from payments_verify.systems.whole.ending import wrong_as_it_ends
from payments_verify.systems.whole.leavers import GAVE_WAY, MALFORMED, wrong_as_clients_leave
from payments_verify.systems.whole.moved_server import CONNECTIONS, Served, moved_server
from payments_verify.systems.whole.stopped_time import StoppedTime, in_stopped_time, stopped_loop

_BEGUN = 5
"""Bytes of a head that is not whole."""
_TOO_MANY = 2
_OF_YEARS, _AFTER_S = 10**9, 30 * 86_400.0
"""More requests than a process has served, and seconds than it has run, when anything may come to its end."""
_REFUSED = Answer(503, "overloaded")


async def wrong_for_slow_clients(dsn: str) -> str | None:
    """Where a process gives its clients other times than it says, or keeps more of them, if anywhere."""
    return await in_stopped_time(_wrong_in_stopped_time, dsn)


async def _wrong_in_stopped_time(_dsn: str) -> str | None:
    with stopped_loop().stopped():
        return await _wrong() or await wrong_as_it_ends()


async def _wrong() -> str | None:
    async with moved_server() as served:
        large = len((await served.witness.write("GET", "/openapi.json")).content)
        exchanges = list(slow_exchanges(large))
        wrong = await first_wrong(served.witness, served.server, exchanges, served.meant, StoppedTime())
        wrong = wrong or await _wrong_in_a_crowd(served) or await _wrong_at_work(served)
        wrong = wrong or await wrong_as_clients_leave(served) or await _wrong_after_years(served)
        expected = {
            **ends_by_time(exchanges),
            "connections": _TOO_MANY + 1 + GAVE_WAY,
            "malformed_http": MALFORMED,
        }
        metrics = await metrics_of(served.witness.http)
        counted, under_way = rejected(metrics), value_of(metrics, "http_requests_in_flight")
    if wrong is None and counted != expected:
        return f"I12: what was refused is counted as {dict(counted)}, and was {expected}"
    if wrong is None and under_way != 1:
        return f"I12: {under_way:g} requests are counted as under way, and the one for the metrics is"
    return wrong


async def _wrong_in_a_crowd(served: Served) -> str | None:
    """More clients than there may be have begun: who waits for longest gives way, the others are served."""
    async with served.sent(*[READ[:_BEGUN]] * (CONNECTIONS + _TOO_MANY)) as clients:
        for number, client in enumerate(clients):
            if number < _TOO_MANY:
                if not await served.is_ended(client):
                    return f"I9: of {len(clients)} connections, {CONNECTIONS} may be kept, and more are"
            elif (wrong := await served.answered(client, NOBODY, READ[_BEGUN:])) is not None:
                return f"I9: the last of {CONNECTIONS} clients, which may be kept: {wrong}"
    return None


async def _wrong_after_years(served: Served) -> str | None:
    """A process has no end of its own, however much it has served, and however long it has run."""
    served.uvicorn.server_state.total_requests = _OF_YEARS
    for pause_s in (1, _AFTER_S, 1):
        await served.loop.pause(pause_s)
        try:
            async with served.sent(READ) as (client,):
                wrong = await served.answered(client, NOBODY)
        except ConnectionError as error:
            wrong = str(error)
        if wrong is not None:
            return f"I9: a process that has served {_OF_YEARS} requests, for {_AFTER_S:g} s: {wrong}"
    return None


async def _wrong_at_work(served: Served) -> str | None:
    """As many clients as there may be are worked for, and one more comes: that one is refused."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(served.store.lock(served.payment))
        async with served.sent(*[CAPTURE] * CONNECTIONS, READ) as (*clients, last):
            wrong = await served.answered(last, _REFUSED)
            if wrong is not None or not await served.is_ended(last):
                return f"I9: {CONNECTIONS} clients are worked for, and another comes: {wrong or 'it is kept'}"
            await held.aclose()
            for client in clients:
                if (wrong := await served.answered(client, CAPTURED)) is not None:
                    return f"I9: a client that is worked for while others come: {wrong}"
    return None
