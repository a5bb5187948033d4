"""Races for payments: what the engine is told of them.

Commands that come one after the other bring new payments to where the race begins; then the actors race, one
step at a time; then each payment is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID, uuid4

from payments_verify.payments.observed.in_flight import asked_again, has_failed
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races import serving_again
from payments_verify.payments.races.actors import RacedPayments, body_of, send
from payments_verify.payments.races.judge import Judge
from payments_verify.payments.races.preparation import (
    Before,
    Wait,
    end_of_window,
    payments_of,
    records_after,
    with_its_window,
)
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.scenarios.catalogue import WINDOW, Actor, Command, Holder, Sweeper, instances_of
from payments_verify.payments.service.under_test import NO_ANSWER, ServiceUnderTest
from pgweave.drive.domain import Facts, World
from pgweave.interleavings.execution import DivergenceError, SchedulingError
from pgweave.scheduler import Limits, Run, ScheduledOperation

_PATIENCE = 4
"""How often a client sends a command until it has a definite answer, where a fault is injected."""
_QUICK_STALL = 100
_SECOND = 1_000_000
_FEWEST_DIGITS = 9
"""Of an id that is a number, and is none that stands for something else in a statement."""


class RaceDomain:
    """A race over one service.

    Args:
        before: what brings the payments to where the race begins.
        actors: who races.
        service: the service behind its gate.
        start: where the database's clock stands when ``before`` begins, in µs.
        name: the race's name.

    Attributes:
        name: the same.
        actors: the actors' names.
        database: where the service's statements appear.
        unready: how often a command outside a race got no definite answer.
    """

    def __init__(
        self,
        before: Sequence[Before],
        actors: Sequence[Actor],
        service: ServiceUnderTest,
        *,
        start: int,
        name: str = "a race",
    ) -> None:
        self.name = name
        self.actors = [actor.name for actor in actors]
        self.database = service.database
        self.unready = 0
        self._before = tuple(with_its_window(each, service.traits) for each in before)
        self._racing = tuple(actors)
        self._service = service
        self._start = service.traits.instant(start)
        self._clock: int | None = None
        self._instances = instances_of(actors)

    async def prepare(self) -> None:
        """Nothing: each schedule has payments of its own."""

    @asynccontextmanager
    async def world(self, facts: Facts, *, hurt: bool) -> AsyncIterator[World]:
        """Make new payments, and bring them to where the race begins.

        Raises:
            SchedulingError: a command before the race, or after one in which something was broken, got no
                definite answer.
            BrokenServiceError: after a fault, the service answers nothing any more.
        """
        payments = self._new_payments(facts, hurt=hurt)
        before = [await self._take(each, payments, hurt=hurt) for each in (Wait(0), *self._prepared())]
        if len(self._instances) > 1:  # each may remember what it has seen
            looks = self._looks(payments)
            before += [await self._exchange(f, each, {}, at, hurt=hurt) for each, at, f in looks]
        self._clock = None
        is_usable = False

        async def observe(run: Run) -> RaceResult:
            nonlocal is_usable
            left = await self._left(run, payments.payments[0])
            operations = tuple(operation for process in run.processes for operation in process.operations)
            again = asked_again((each.value, each.result) for each in operations)
            after = await self._let_lease_end(payments, operations, again)
            after += [await self._again(each, hurt=hurt) for each in again]
            after += [await self._look(*each, hurt=hurt) for each in self._looks(payments)]
            is_usable = not run.strays
            return RaceResult(
                payments.payments,
                tuple(before),
                operations,
                tuple(after),
                payments.now,
                left,
                has_lease=self._service.traits.lease > 0,
            )

        bodies = [(actor.name, body_of(actor, self._service, payments)) for actor in self._racing]
        try:
            async with AsyncExitStack() as stack:
                if any(isinstance(actor, Holder) for actor in self._racing):
                    assert self._service.open_row_holder is not None
                    # Opened before the race: a new connection takes its time.
                    payments.holder = await stack.enter_async_context(self._service.open_row_holder())
                yield World(bodies, observe, self._names(payments), self._limits(facts))
        except (DivergenceError, SchedulingError):
            await self._end(payments, is_usable=False)
            raise
        self._clock = payments.now
        await self._end(payments, is_usable=is_usable)

    def is_answer(self, result: Observation | None) -> bool:
        """Whether the result of an operation is a definite answer."""
        return result is not None and result.kind != "unknown"

    def outcomes(self, result: RaceResult) -> Hashable:
        """Every answer of a run, without what differs between runs."""
        return result.outcomes

    def judge(self, *, hurt: bool) -> Judge:
        """Make a judge that asks the model."""
        return Judge(faults=hurt)

    async def _end(self, payments: RacedPayments, *, is_usable: bool) -> None:
        """Void what a run that cannot be used has left authorized."""
        if not is_usable:
            await void(self._service, payments.payments)

    async def _left(self, run: Run, payment: str) -> str:
        """What is wrong with the connections that a run has left in a transaction; empty if nothing is.

        One whose transaction has failed is wrong if a request finds it so: a pool may end that first.
        """
        if run.left.problem:
            return run.left.problem
        looks = self._service.traits.looks
        requests = 0 if self.database is None or not looks else 2 * len(self.database.gate.sessions)
        for number in range(requests):
            left = [session for session in run.left.failed if session.block.has_failed and not session.closed]
            if not left:
                break
            seen = await _exchange(self._service, looks[0], payment, {}, number)
            if seen.observation.kind == "unknown":
                return (
                    f"{left[0]} was left inside a transaction that had failed, and then a request that met"
                    f" nobody got no {NO_ANSWER}: {dict(seen.observation.value)}"
                )
        return ""

    def _limits(self, facts: Facts) -> Limits:
        """Who answers without statements makes others wait inside the service, in many schedules."""
        limits = self._service.limits
        return replace(limits, stall=min(limits.stall, _QUICK_STALL)) if facts.answers_alone else limits

    def _names(self, payments: RacedPayments) -> Mapping[Hashable, Hashable]:
        ids = (self._service.id_of(payment) for payment in payments.payments)
        return dict(
            name for number, each in enumerate(ids) if (name := _name_of_id(each, number)) is not None
        )

    def _new_payments(self, facts: Facts, *, hurt: bool) -> RacedPayments:
        count = 1 + max(payments_of(self._before, self._racing), default=0)
        records, now = records_after(self._before, self._start, count)
        ids = tuple(str(uuid4()) for _ in records)
        window = self._service.traits.window(WINDOW)
        ends = tuple(end_of_window(record, now + window) for record in records)
        patience = _PATIENCE if hurt else 1
        return RacedPayments(ids, ends, self._start, patience, sends_are_steps=facts.answers_alone)

    def _prepared(self) -> Iterator[Before]:
        """What comes before the race, but for what the service does with something else."""
        known = self._service.traits.commands
        return (each for each in self._before if not isinstance(each, Command) or each.f in known)

    async def _take(self, each: Before, payments: RacedPayments, *, hurt: bool) -> Exchange:
        """Send one command of those before the race, sweep, or move the clock."""
        if isinstance(each, Command):
            return await self._exchange(each.f, payments.payments[each.payment], each.arguments, hurt=hurt)
        if isinstance(each, Sweeper):
            await self._service.sweep()
            return Exchange(Invocation("sweep", {}), Observation("ok", {}))
        payments.now += each.us
        if payments.now != self._clock:
            await self._service.set_clock(payments.now)
        return Exchange(Invocation("clock", {"now": payments.now}), Observation("ok", {}))

    async def _let_lease_end(
        self, payments: RacedPayments, operations: Sequence[ScheduledOperation], again: Sequence[Invocation]
    ) -> list[Exchange]:
        """Wait until no request that failed may hold a key; by the clock that is moved, or for real."""
        traits = self._service.traits
        if not traits.lease or not any(has_failed(operations, each) for each in again):
            return []
        if not traits.moves_clock:
            await asyncio.sleep(traits.lease / _SECOND)
            return []
        payments.now += traits.lease
        await self._service.set_clock(payments.now)
        return [Exchange(Invocation("clock", {"now": payments.now}), Observation("ok", {}))]

    async def _again(self, asked: Invocation, *, hurt: bool) -> Exchange:
        """Ask again what was answered "in progress", now that nothing is in flight."""
        arguments = dict(asked.value)
        return await self._ask(asked.f, arguments.pop("payment"), arguments, hurt=hurt)

    async def _exchange(
        self, f: str, payment: str, arguments: Mapping[str, Any], instance: int = 0, *, hurt: bool
    ) -> Exchange:
        exchange = await _exchange(self._service, f, payment, arguments, instance)
        if exchange.observation.kind == "unknown":
            self.unready += 1
            if hurt:
                await self._require_serving_again()
            raise SchedulingError(
                f"outside the race, {f} got no definite answer: {dict(exchange.observation.value)}"
            )
        return exchange

    def _looks(self, payments: RacedPayments) -> list[tuple[str, int, str]]:
        """The payments, the instances that are asked, and the commands that show a payment."""
        return [*product(payments.payments, self._instances, self._service.traits.looks)]

    async def _look(self, payment: str, instance: int, f: str, *, hurt: bool) -> Exchange:
        """Look at a payment; once more after a fault: it may have ended a process that is started again."""
        if hurt:
            with suppress(SchedulingError):
                return await self._ask(f, payment, {}, instance, hurt=True)
        return await self._ask(f, payment, {}, instance, hurt=hurt)

    async def _ask(
        self, f: str, payment: str, arguments: Mapping[str, Any], instance: int = 0, *, hurt: bool
    ) -> Exchange:
        """Ask after the race; where nothing was broken, the judge says what no definite answer means."""
        if hurt:
            return await self._exchange(f, payment, arguments, instance, hurt=True)
        return await _exchange(self._service, f, payment, arguments, instance)

    async def _require_serving_again(self) -> None:
        wait = serving_again.WaitForService(self._service.end)
        while True:
            seen = await _exchange(
                self._service, "create", str(uuid4()), {"amount": self._service.traits.min_amount}
            )
            if seen.observation.kind != "unknown":
                return
            await wait.before_next(seen.observation.value)


async def void(service: ServiceUnderTest, payments: Iterable[str]) -> None:
    """Void what may still be authorized, so that no later sweep finds it; where it can be voided."""
    if "fail" not in service.traits.commands:
        return
    for payment in payments:
        await _exchange(service, "fail", payment, {"reason": "voided"})


async def _exchange(
    service: ServiceUnderTest, f: str, payment: str, arguments: Mapping[str, Any], instance: int = 0
) -> Exchange:
    invocation = service.invocation(f, payment, arguments)
    client = service.clients[instance % len(service.clients)]
    return Exchange(invocation, await send(client, invocation))


def _name_of_id(given: str, number: int) -> tuple[Hashable, Hashable] | None:
    """An id, and what stands in its place; nothing for a small number, which only its column makes an id."""
    if given.isascii() and given.isdecimal():
        return (int(given), number) if len(given) >= _FEWEST_DIGITS else None
    with suppress(ValueError):
        return UUID(given), UUID(int=number)
    return given, f"payment-{number}"
