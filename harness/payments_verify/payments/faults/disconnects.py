"""Clients that hang up: at each statement of each command, and while it waits for a connection or a lock.

Afterwards the command, sent again, has a definite answer that the model explains; nothing is left inside a
transaction; and as many connections can be used at once as before. This is so each time, and not in the long
run: a connection that is lost once in a day is lost here where it is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

from payments_verify.patience import ask_until, comes_true, patient
from payments_verify.payments.faults.crowd import hang_up_in_a_crowd
from payments_verify.payments.faults.hang_ups import HangUp, hang_ups
from payments_verify.payments.faults.pool_probe import PoolProbe, stops
from payments_verify.payments.faults.turns import fail_in_a_crowd
from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.observed.observations import Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.races.judge import Violation, check_order
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.scenarios.catalogue import Command
from payments_verify.payments.service.under_test import NO_ANSWER, ServiceUnderTest
from pgweave.scheduler import ScheduledOperation
from pgweave.verdict import Verdict

DISCONNECT = "disconnect"
"""The name of this fault."""
_SEEN_S = 0.02
"""How long a service has to see that its client has gone, in seconds."""
CROWD = "captures that wait for one payment"
"""What a crowd hangs up in."""
PART_OF_A_CROWD = "requests of which some fail while others wait for the payment"
IDLE_CONNECTIONS = "connections that end while nobody uses them"
_LATE_S = 1.5
_ENDED_LIMIT_S = 30.0


@dataclass
class DisconnectReport:
    """What became of clients that hung up in one command.

    Attributes:
        command: which.
        places: at how many places one hung up.
        seconds: how long it took.
        violation: what was wrong at the last of them.
    """

    command: str
    places: int = 0
    seconds: float = 0.0
    violation: Violation | None = None

    @property
    def verdict(self) -> Verdict:
        """``holds`` if there was such a place, and everything was right after each."""
        if self.violation is not None:
            return "violated"
        return "holds" if self.places else "no verdict"

    @property
    def told(self) -> str | None:
        """What is wrong, or why nothing is known; ``None`` if all is right."""
        if self.violation is not None:
            return self.violation.explanation
        return None if self.places else f"no statement of {self.command} came to the gate"

    def as_json(self) -> dict[str, Any]:
        """The report as plain data, with the names that those of other faults have."""
        return {
            "scenario": self.command,
            "fault": DISCONNECT,
            "verdict": self.verdict,
            "places": self.places,
            "schedules": self.places,
            "injected": self.places,
            "unanswered": self.places,
            "acknowledged": 0,
            "lost": 0,
            "doubled": 0,
            "schedules_to_violation": None if self.violation is None else self.places,
            "seconds_to_violation": None if self.violation is None else round(self.seconds, 3),
            "statements": None if self.violation is None else self.places,
            "seconds": round(self.seconds, 3),
            "problem": self.told,
        }


async def explore_disconnects(
    service: ServiceUnderTest,
    on_report: Callable[[DisconnectReport], object],
    on_place: Callable[[str], object] = lambda _text: None,
    probe: PoolProbe | None = None,
) -> None:
    """Hang up in each command that a service knows, up to the first place after which something is wrong.

    Args:
        service: the service behind its gate.
        on_report: is told what became of each command.
        on_place: is told which place is next.
        probe: counts the service's connections; a new one if not given.
    """
    walk = _Walk(service, probe or PoolProbe(service), on_place)
    await service.set_clock(service.traits.instant(BEGIN))
    await walk.probe.measure()
    known = hang_ups(service.traits)
    last = next(reversed(known), None)
    for name, hang_up in known.items():
        report = DisconnectReport(name)
        started = time.perf_counter()
        await walk.hang_up_everywhere(report, hang_up)
        report.seconds = time.perf_counter() - started
        if name == last and report.verdict == "holds":
            await asyncio.sleep(_LATE_S)
            await walk.look_again(report)
        on_report(report)
        if report.verdict != "holds":
            return
    if not service.traits.waiting:
        return
    checks: dict[str, Callable[[], Coroutine[Any, Any, str | None]]] = {
        CROWD: partial(hang_up_in_a_crowd, service),
        PART_OF_A_CROWD: partial(fail_in_a_crowd, service),
        IDLE_CONNECTIONS: walk.probe.lose_idle,
        **service.whole_checks,
    }
    for what, find in checks.items():
        on_place(what)
        report = await _looked_at(what, find, service)
        on_report(report)
        if report.verdict != "holds":
            return


async def _looked_at(
    what: str, find: Callable[[], Coroutine[Any, Any, str | None]], service: ServiceUnderTest
) -> DisconnectReport:
    started = time.perf_counter()
    report = DisconnectReport(what, places=1)
    wrong = await find()
    if wrong is not None:
        report.violation = Violation(wrong.partition(":")[0], wrong).with_output(service.printed())
    report.seconds = time.perf_counter() - started
    return report


@dataclass
class _Walk:
    service: ServiceUnderTest
    probe: PoolProbe
    on_place: Callable[[str], object]

    async def hang_up_everywhere(self, report: DisconnectReport, hang_up: HangUp) -> None:
        for statement in count():
            if not await self._hang_up(report, f"at statement {statement}", hang_up, statement):
                break
        if report.verdict == "holds":
            await self._hang_up(report, "while it waits for a connection", hang_up, self._no_connection)
        can_hold = self.service.open_row_holder is not None
        if report.verdict == "holds" and can_hold and hang_up.command.f in ("authorize", "capture", "fail"):
            await self._hang_up(report, "while it waits for the lock", hang_up, self._no_lock)

    async def look_again(self, report: DisconnectReport) -> None:
        """See whether a connection was lost later than at once, by what a service does now and then."""
        wrong = await self.probe.problem()
        if wrong is not None:
            report.violation = Violation("I9", f"I9: {_LATE_S:g} s after the last client hung up\n{wrong}")

    async def _hang_up(
        self,
        report: DisconnectReport,
        where: str,
        hang_up: HangUp,
        place: int | Callable[[str], Any],
    ) -> bool:
        """Hang up at one place; whether there is more to see after it."""
        self.on_place(f"a client hangs up in {report.command} {where}")
        payment, command = str(uuid4()), hang_up.command
        prepared = [await self._exchange(each, payment) for each in hang_up.before]
        hung_up = (
            await self._at_statement(report, command, payment, place)
            if isinstance(place, int)
            else await self._while_waiting(command, payment, place)
        )
        if not hung_up:
            return False
        report.places += 1
        again = await self._exchange(command, payment)
        after = [await self._exchange(Command(f, {}), payment) for f in self.service.traits.looks]
        begin = self.service.traits.instant(BEGIN)
        wrong = _judged(begin, payment, prepared, again, after) or await self.probe.problem()
        if wrong is not None:
            told = f"I9: a client hung up in {report.command} {where}\n{wrong}"
            report.violation = Violation("I9", told).with_output(self.service.printed())
        return wrong is None

    async def _at_statement(
        self, report: DisconnectReport, command: Command, payment: str, statement: int
    ) -> bool:
        """Hang up where a statement is held; whether the command has so many. It has to go on, or to end."""
        async with self._sent(command, payment) as request, stops(self.probe.gate) as stopped:
            await asyncio.sleep(0)
            for number in count():
                await comes_true(lambda: bool(stopped.held_now) or request.done(), _ENDED_LIMIT_S)
                if not stopped.held_now:
                    if not request.done():
                        report.violation = self._stuck(report, number)
                    return False
                if number == statement:
                    break
                stopped.let_go()
            await _hung_up(request)
        return True

    def _stuck(self, report: DisconnectReport, statements: int) -> Violation:
        told = f"I9: {report.command} had {statements} statements, and then no other and no {NO_ANSWER}"
        limit = f"{told} for {_ENDED_LIMIT_S:g} s"
        return Violation("I9", limit).with_output(self.service.printed())

    async def _while_waiting(self, command: Command, payment: str, busy: Callable[[str], Any]) -> bool:
        async with busy(payment), self._sent(command, payment) as request:
            await asyncio.sleep(_SEEN_S)
            if request.done():
                return False
            await _hung_up(request)
        return True

    @asynccontextmanager
    async def _no_connection(self, _payment: str) -> AsyncIterator[None]:
        """Every connection has a statement that is held."""
        async with self.probe.all_in_use():
            yield

    @asynccontextmanager
    async def _no_lock(self, payment: str) -> AsyncIterator[None]:
        """Somebody else has the payment's lock."""
        async with self.service.row_held(payment):
            yield

    @asynccontextmanager
    async def _sent(self, command: Command, payment: str) -> AsyncIterator[asyncio.Future[Observation]]:
        """A command that was sent; at the block's end it has ended, whatever became of its client."""
        invocation = self.service.invocation(command.f, payment, command.arguments)
        request = asyncio.ensure_future(send(self.service.client, invocation))
        try:
            yield request
        finally:
            await asyncio.wait([request], timeout=patient(_ENDED_LIMIT_S))

    async def _exchange(self, command: Command, payment: str) -> Exchange:
        """Send a command until it has a definite answer, or for as long as a service may be busy."""
        invocation = self.service.invocation(command.f, payment, command.arguments)
        ask = partial(send, self.service.client, invocation)
        return Exchange(
            invocation, await ask_until(ask, lambda seen: seen.kind != "unknown", self.probe.limit_s)
        )


async def _hung_up(request: asyncio.Future[Observation]) -> None:
    """The client closes its connection, and the service has a moment to see it."""
    request.cancel()
    await asyncio.wait([request], timeout=_SEEN_S)


def _judged(
    begin: int, payment: str, before: Sequence[Exchange], again: Exchange, after: Sequence[Exchange]
) -> str | None:
    """What is wrong with the answers, if anything: of the command that was given up, nothing is known."""
    for each in (*before, again, *after):
        if each.observation.kind == "unknown":
            return f"{each.invocation.f} got no definite answer: {dict(each.observation.value)}"
    operations = (
        ScheduledOperation(0, again.invocation, None, first=0),
        ScheduledOperation(0, again.invocation, again.observation, first=1, last=1, answered=1),
    )
    judged = check_order(RaceResult((payment,), tuple(before), operations, tuple(after), begin), (0, 1))
    return judged.explanation if isinstance(judged, Violation) else None
