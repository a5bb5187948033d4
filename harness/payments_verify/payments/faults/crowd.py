"""A crowd of clients that hang up while they wait for one payment: others find as much room as before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from payments_verify.patience import patient
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.service.under_test import NO_ANSWER, ServiceUnderTest

_COME_TO_WAIT_S = 0.1
_LIMIT_S = 30.0
_CROWDS, _PART, _TRIES = 2, 4, 5
"""How often a crowd hangs up; which part of it comes then, and how often: what is lost is lost for good."""


async def hang_up_in_a_crowd(service: ServiceUnderTest) -> str | None:
    """Let as many clients as may wait for a payment hang up at once, and again; then a part of them come.

    Returns:
        What is wrong: however often they came, not each of them got an answer.
    """
    payment, waiting = str(uuid4()), service.traits.waiting
    for f, asked in service.traits.opening(payment, 500, service.traits.window(60_000_000)):
        await send(service.client, Invocation(f, asked))
    for _ in range(_CROWDS):
        async with _crowd(service, payment, waiting) as requests:
            for request in requests:
                request.cancel()
    for _ in range(_TRIES):  # a busy machine may be too slow for one of them
        async with _crowd(service, payment, waiting // _PART) as requests:
            pass
        answers = await asyncio.gather(*requests)
        unanswered = [each for each in answers if each.kind == "unknown"]
        if not unanswered:
            return None
    return (
        f"I9: {_CROWDS * waiting} clients hung up while they waited for one payment; of {len(answers)} that "
        f"then waited for it, {len(unanswered)} got no {NO_ANSWER}: {dict(unanswered[0].value)}"
    )


@asynccontextmanager
async def _crowd(
    service: ServiceUnderTest, payment: str, size: int
) -> AsyncIterator[Sequence[asyncio.Future[Observation]]]:
    """Captures that wait, as the block begins, for a payment which somebody else holds until its end."""
    async with service.row_held(payment):
        captures = [
            Invocation("capture", {"payment": payment, "key": f"crowd {number}", "amount": 501})
            for number in range(size)
        ]
        requests = [asyncio.ensure_future(send(service.client, each)) for each in captures]
        await asyncio.sleep(_COME_TO_WAIT_S)
        yield requests
    await asyncio.wait(requests, timeout=patient(_LIMIT_S))
