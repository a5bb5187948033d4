"""A process that is killed (SIGKILL) as one of its transactions ends, and started again on the same database.

What a handler would have put right is not: a key that was claimed in a transaction before, and that nobody
gives back, is in progress for ever. In the middle of a transaction the database takes back what was done, so
that this is the end of the one before.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

from payments_verify.patience import ask_until, comes_true
from payments_verify.payments.faults.disconnects import DisconnectReport
from payments_verify.payments.faults.pool_probe import WHOLE_LIMIT_S, stops
from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.observed.in_flight import is_in_progress
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.races.judge import Violation, check_order
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.scenarios.catalogue import AUTHORIZE, CREATE, Command, capture
from payments_verify.payments.service.under_test import NO_ANSWER, ServiceUnderTest
from pgweave.gate import HeldStatement
from pgweave.gate.proxy import PassAll
from pgweave.scheduler import ScheduledOperation

KILLED = "killed"
"""The name of this fault."""
_CAPTURE = capture("k1")
_COMES_S = 30.0
_SECOND = 1_000_000
_ENDS = re.compile(r"\s*(commit|end)\b", re.IGNORECASE)
_BEGINS = re.compile(r"\s*(begin|start\s+transaction)\b", re.IGNORECASE)


@dataclass
class KillReport(DisconnectReport):
    """What became of a service whose process was killed in a command."""

    def as_json(self) -> dict[str, Any]:
        """The report as plain data, with the names that those of other faults have."""
        return {**super().as_json(), "fault": KILLED}


async def explore_kills(service: ServiceUnderTest, on_place: Callable[[str], object]) -> KillReport:
    """Kill the service as each transaction of a capture ends, up to the first after which something is wrong.

    Args:
        service: the service behind its gate, which can be started again.
        on_place: is told which place is next.

    Raises:
        CommandError: it does not come to serve again.
    """
    report, started = KillReport("capture"), time.perf_counter()
    for number in count():
        on_place(f"a process is killed in a capture, at the end of transaction {number}")
        await service.set_clock(service.traits.instant(BEGIN))
        payment = str(uuid4())
        before = [await _exchange(service, each, payment) for each in _opening(service)]
        if not await _killed(service, payment, number):
            break
        report.places += 1
        wrong = await _asked_again(service, payment, before)
        if wrong is not None:
            told = f"I9: the process was killed in a capture, as transaction {number} ended\n{wrong}"
            report.violation = Violation("I9", told).with_output(service.printed())
            break
    report.seconds = time.perf_counter() - started
    return report


def _opening(service: ServiceUnderTest) -> Sequence[Command]:
    return [each for each in (CREATE, AUTHORIZE) if each.f in service.traits.commands]


async def _killed(service: ServiceUnderTest, payment: str, number: int) -> bool:
    """Kill it where a transaction's end is on its way to the database; whether a capture has so many."""
    assert service.database is not None
    assert service.restart is not None
    gate, ends = service.database.gate, count()
    request = asyncio.ensure_future(send(service.client, _asked(service, _CAPTURE, payment)))
    try:
        async with stops(gate) as stopped:
            while await comes_true(lambda: bool(stopped.held_now) or request.done(), _COMES_S):
                if not stopped.held_now:
                    return False
                if any(_ends_a_transaction(each) for each in stopped.held_now) and next(ends) == number:
                    gate.observer = PassAll()  # nothing is held of what is started
                    await service.restart(killed=True)
                    return True
                stopped.let_go()
            return False
    finally:
        await asyncio.wait([request])


def _ends_a_transaction(held: HeldStatement) -> bool:
    if held.session.block.is_open:
        return _ENDS.match(held.sql) is not None
    return _BEGINS.match(held.sql) is None


async def _asked_again(service: ServiceUnderTest, payment: str, before: Sequence[Exchange]) -> str | None:
    """What is wrong with the answers of the service that was started, if anything is."""
    begin = service.traits.instant(BEGIN)
    after = [await _exchange(service, _CAPTURE, payment)]
    if is_in_progress(after[0].observation) and service.traits.lease:
        after = [await _lease_ended(service, begin), await _exchange(service, _CAPTURE, payment)]
    after += [await _exchange(service, Command(f, {}), payment) for f in service.traits.looks]
    for each in (*before, *after):
        if each.observation.kind == "unknown":
            return f"{each.invocation.f} got no {NO_ANSWER}: {dict(each.observation.value)}"
        if is_in_progress(each.observation):
            return f"{each.invocation.f} is in progress for ever: {dict(each.observation.value)}"
    killed = ScheduledOperation(0, _asked(service, _CAPTURE, payment), None, first=0)
    raced = RaceResult((payment,), (_clock(begin), *before), (killed,), tuple(after), begin)
    judged = check_order(raced, (0,))
    return judged.explanation if isinstance(judged, Violation) else None


async def _lease_ended(service: ServiceUnderTest, begin: int) -> Exchange:
    """Wait until a request that failed holds its key no longer; by the clock that is moved, or for real."""
    lease = service.traits.lease
    if not service.traits.moves_clock:
        await asyncio.sleep(lease / _SECOND)
        return _clock(begin)
    await service.set_clock(begin + lease)
    return _clock(begin + lease)


def _clock(now: int) -> Exchange:
    return Exchange(Invocation("clock", {"now": now}), Observation("ok", {"now": now}))


async def _exchange(service: ServiceUnderTest, command: Command, payment: str) -> Exchange:
    """Send a command until it has an answer that lasts, or for as long as a service may be busy."""
    invocation = _asked(service, command, payment)

    def lasts(seen: Observation) -> bool:
        return seen.kind != "unknown" and (service.traits.lease > 0 or not is_in_progress(seen))

    return Exchange(
        invocation, await ask_until(partial(send, service.client, invocation), lasts, WHOLE_LIMIT_S)
    )


def _asked(service: ServiceUnderTest, command: Command, payment: str) -> Invocation:
    return service.invocation(command.f, payment, command.arguments)
