"""More captures at once than a service has connections: each gets an answer.

A request that holds one connection and waits for a second, as one that reads its key through another session,
starves where as many others do so as there are connections: mostly 5 to 20.
"""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.observed.observations import NOTHING_DONE, Observation, outcomes_in
from payments_verify.payments.races.actors import send
from payments_verify.payments.service.under_test import (
    EndedError,
    OpenService,
    ServiceUnderTest,
    UnansweredError,
    with_output,
)
from payments_verify.result import CheckResult
from pgweave.verdict import Verdict

_CAPTURES = 40
_TRIES = 3
"""How often: a busy machine may be too slow for one of them, and what starves does so each time."""
_AMOUNT, _WINDOW = 500, 60_000_000
_TOO_MANY = 429


def crowd_check(name: str, open_service: OpenService) -> CheckResult:
    """Send 40 captures at once, half of them of one payment, and require an answer to each.

    One that says that nothing was done, or 429, is an answer. Of the one payment one capture may succeed.

    Args:
        name: the service's name in the result.
        open_service: makes it ready and ends it.
    """
    started = time.monotonic()
    cases = 0

    async def run() -> tuple[Verdict, str | None]:
        nonlocal cases
        async with open_service() as service:
            for attempt in range(1, _TRIES + 1):
                cases += _CAPTURES
                try:
                    wrong = await _at_once(service)
                except UnansweredError as error:
                    stopped = isinstance(error, EndedError) and not error.end.is_its_own
                    if attempt == _TRIES or isinstance(error, EndedError):
                        told = with_output(str(error), service.printed())
                        return "no verdict" if stopped else "violated", told
                else:
                    return "holds" if wrong is None else "violated", wrong
        raise AssertionError

    verdict, wrong = asyncio.run(run())
    return CheckResult(
        name=f"{_CAPTURES} captures at once: {name}",
        kind="linearizability",
        cases=cases,
        verdict=verdict,
        seconds=time.monotonic() - started,
        counterexample=wrong,
    )


async def _at_once(service: ServiceUnderTest) -> str | None:
    traits = service.traits
    await service.set_clock(traits.instant(BEGIN))
    amount = traits.amount(_AMOUNT)
    one, *others = [str(uuid4()) for _ in range(1 + _CAPTURES // 2)]
    for payment in (one, *others):
        for f, asked in traits.opening(payment, amount, traits.window(_WINDOW)):
            await service.require_answered(
                f, await send(service.client, service.invocation(f, payment, asked))
            )
    captures = [
        service.invocation("capture", payment, {"key": f"k{number}", "amount": amount})
        for number, payment in enumerate([*others, *[one] * (_CAPTURES // 2)], 1)
    ]
    seen = await asyncio.gather(*(send(service.client, each) for each in captures))
    unanswered = [each for each in seen if not _is_answer(each)]
    for each in unanswered:
        told = (
            f"I9: {len(unanswered)} of {_CAPTURES} captures at once, half of them of one payment: the first"
        )
        await service.require_answered(told, each)
    captured = ["captured" in outcomes_in(each.value) for each in seen[len(others) :]]
    if sum(captured) > 1:
        return f"I1, I6: {sum(captured)} of {len(captured)} captures of one payment at once have succeeded"
    return None


def _is_answer(seen: Observation) -> bool:
    status = seen.exchanges[-1].status if seen.exchanges else None
    return seen.kind != "unknown" or status == _TOO_MANY or bool(seen.value.get(NOTHING_DONE))
