"""A crowd that wants one payment, of which some fail in one way: the rest are answered all the same.

What a failed request keeps (a turn of the payment, a connection, a lock) is missed only by those who wait for
the same payment meanwhile: a service may forget all that it knows of a payment that nobody wants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import cycle, islice, product
from typing import Any, TypeAlias
from uuid import uuid4

from payments_verify.payments.faults.pool_probe import Stops, stops
from payments_verify.payments.observed.observations import Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.scenarios.catalogue import AUTHORIZE, CREATE, VOID, Command, capture
from payments_verify.payments.service.under_test import NO_ANSWER, ServiceUnderTest
from pgweave.gate import Fault

_COME_S = 0.1
_PART, _TRIES = 4, 5
"""Which part of those who may wait comes, and how often: a busy machine may be too slow for one of them."""
_FAILED_TWICE = 2
_Sent: TypeAlias = asyncio.Future[Observation]
_Fail: TypeAlias = Callable[[Stops, Sequence[_Sent]], Coroutine[Any, Any, int]]
"""Lets some of those fail who have come to a statement or wait for a turn; how many may have no answer."""

_AUTHORIZED = (CREATE, AUTHORIZE)
_CAPTURES = [capture(f"k{number}", 501) for number in range(64)]
_CROWDS: Mapping[str, tuple[Sequence[Command], Sequence[Command]]] = {
    "creations": ((), (CREATE,)),
    "captures": (_AUTHORIZED, _CAPTURES),
    # What is not stored is refused by leaving the transaction.
    "refusals": (
        (*_AUTHORIZED, capture("known", 501), VOID),
        (AUTHORIZE, VOID, capture("known", 502)),
    ),
    "captures of what there is not": ((), (capture("k", 500),)),
}
_LOCKING = ("creations", "captures")


async def fail_in_a_crowd(service: ServiceUnderTest) -> str | None:
    """Let a part of each crowd fail in each way; what is wrong with the answers of the rest, if anything."""
    for crowd, way in (*((each, _ANSWERED) for each in _CROWDS), *product(_LOCKING, _WAYS)):
        # Once more where a busy machine was too slow: what is kept is kept each time.
        for _ in range(_TRIES):
            wrong = await _failed(service, crowd, _WAYS.get(way))
            if wrong is None:
                break
        else:
            return f"I9: {crowd} of one payment {way} while others waited for it; {wrong}"
    return None


async def _failed(service: ServiceUnderTest, crowd: str, fail: _Fail | None) -> str | None:
    assert service.database is not None
    payment, (before, commands) = str(uuid4()), _CROWDS[crowd]
    for each in before:
        await send(service.client, service.invocation(each.f, payment, each.arguments))
    size = service.traits.waiting // _PART
    async with stops(service.database.gate) as stopped:
        asked = [
            service.invocation(each.f, payment, each.arguments) for each in islice(cycle(commands), size)
        ]
        requests = [asyncio.ensure_future(send(service.client, each)) for each in asked]
        await asyncio.sleep(_COME_S)
        may_fail = 0 if fail is None else await fail(stopped, requests)
    answers = await asyncio.gather(*requests, return_exceptions=True)
    heard = [each for each in answers if isinstance(each, Observation)]
    unanswered = [each for each in heard if each.kind == "unknown"]
    if len(unanswered) <= may_fail:
        return None
    told = f"{may_fail} may have none, and" if may_fail else "and"
    return (
        f"of {len(heard)} that were asked, {told} {len(unanswered)} got no {NO_ANSWER}: "
        f"{dict(unanswered[-1].value)}"
    )


async def _hang_up(_stopped: Stops, requests: Sequence[_Sent]) -> int:
    for request in requests[: len(requests) // 2]:
        request.cancel()
    await asyncio.sleep(_COME_S / 2)
    return 0


async def _lose_connections(stopped: Stops, _requests: Sequence[_Sent]) -> int:
    """Those who have a connection lose it, and those who come after them, too."""
    lost = 0
    for _ in range(_FAILED_TWICE):
        for held in list(stopped.held_now):
            held.session.cut()
            lost += 1
        await asyncio.sleep(_COME_S)
    return lost


async def _are_cancelled(stopped: Stops, _requests: Sequence[_Sent]) -> int:
    """Their statement takes too long, as far as the database says."""
    ended = 0
    for _ in range(_FAILED_TWICE):
        held, stopped.held_now = stopped.held_now, []
        for each in held:
            each.release(Fault.CANCELLED)
            ended += 1
        await asyncio.sleep(_COME_S / 2)
    return ended


_ANSWERED = "were answered"
_WAYS: Mapping[str, _Fail] = {
    "hung up": _hang_up,
    "lost their connections": _lose_connections,
    "were ended by the database (57014)": _are_cancelled,
}
