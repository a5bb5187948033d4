"""A scenario raced without control: clients over sockets, server processes, and whatever order comes of it.

What the actors do, and the model that judges it, are those of the explorer. Only the order is the machine's:
each run is judged by the order in which its invocations and answers were recorded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import uuid4

from lab.bench.arrivals import Arrivals
from lab.bench.lingering import hold
from payments_verify.payments.inputs.classes import EPOCH
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.actors import RacedPayments, body_of, send
from payments_verify.payments.races.judge import Violation, violation_in
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.scenarios.catalogue import (
    AMOUNT,
    WINDOW,
    Actor,
    Holder,
    Prepared,
    Scenario,
    Sweeper,
)
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems import servers
from pgweave.scheduler import Process, ScheduledOperation

_SERVERS = 2
_WARMING = 4
_BEYOND_EVERY_WINDOW = 32 * 24 * 60 * 60 * 1_000_000
_PREPARATION = (("create", {"amount": AMOUNT}), ("authorize", {"window": WINDOW}))


class FreeProcess(Process):
    """An actor that nobody schedules; its operations are numbered as they begin and end.

    Args:
        index: its number.
        name: its name, for people.
        events: numbers the invocations and answers of the whole race, in real time.
    """

    def __init__(self, index: int, name: str, events: Iterator[int]) -> None:
        super().__init__(index, name, lambda: 0)
        self.free_running = True
        self._events = events

    def begin(self, value: object) -> ScheduledOperation:
        """Record an invocation; it is sent after that."""
        operation = super().begin(value)
        operation.first = next(self._events)
        return operation

    def end(self, operation: ScheduledOperation, result: object) -> None:
        """Record an answer, which has arrived before that."""
        operation.result = result
        operation.answered = operation.last = next(self._events)


class Uncontrolled:
    """A scenario over a running service, each time with a new payment.

    Args:
        scenario: what is raced.
        system: the service; the clients of a race are spread over its processes.
        rng: draws when actors begin.
    """

    def __init__(self, scenario: Scenario, system: ServiceUnderTest, rng: random.Random) -> None:
        self._scenario = scenario
        self._system = system
        self._rng = rng
        self._now = EPOCH
        self._sweeps = any(isinstance(actor, Sweeper) for actor in scenario.actors)

    async def prepare(self) -> None:
        """Set the clock, leave nothing that a sweep could find, and open every connection beforehand."""
        await self._system.set_clock(self._now)
        if self._sweeps:
            self._now += _BEYOND_EVERY_WINDOW
            await self._system.set_clock(self._now)
            await self._system.sweep()
        nobody = Invocation("read", {"payment": str(uuid4())})
        await asyncio.gather(*(send(one, nobody) for one in self._system.clients * _WARMING))

    async def attempt(self, arrivals: Arrivals) -> Violation | None:
        """Race once; what is wrong with it, if anything."""
        raced = await self._race(arrivals)
        events = sum(1 if one.answered is None else 2 for one in raced.operations)
        return violation_in(raced, range(events))

    async def _race(self, arrivals: Arrivals) -> RaceResult:
        race = RacedPayments((str(uuid4()),), (self._now + WINDOW,), self._now)
        before = await self._prepared(race)
        events = count()
        actors = self._scenario.actors
        processes = [FreeProcess(index, actor.name, events) for index, actor in enumerate(actors)]
        starts = arrivals.starts(actors, self._rng)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(
            *(
                self._act(actor, process, race, arrivals, began + start)
                for actor, process, start in zip(actors, processes, starts, strict=True)
            )
        )
        self._now = race.now
        after = [await self._exchange(f, race, {}) for f in ("read", "attempts")]
        if self._sweeps and after[0].observation.value["payment"]["state"] == "authorized":
            await self._exchange("fail", race, {"reason": "voided"})
        operations = tuple(operation for process in processes for operation in process.operations)
        return RaceResult(race.payments, tuple(before), operations, tuple(after), race.now)

    async def _prepared(self, race: RacedPayments) -> list[Exchange]:
        steps = _PREPARATION[: self._scenario.prepared.value]
        before = [await self._exchange(f, race, arguments) for f, arguments in steps]
        if self._scenario.prepared is Prepared.AUTHORIZED:
            race.ends = (before[-1].observation.value["payment"]["capture_expires_at"],)
        if self._scenario.past_window:
            race.now = race.ends[0]
            await self._system.set_clock(race.now)
            before.append(Exchange(Invocation("clock", {"now": race.now}), Observation("ok", {})))
        return before

    async def _act(
        self, actor: Actor, process: FreeProcess, race: RacedPayments, arrivals: Arrivals, at: float
    ) -> None:
        if isinstance(actor, Holder):
            held = arrivals.held(self._rng)
            assert self._system.open_row_holder is not None
            async with self._system.open_row_holder() as holder:
                await _until(at)
                await hold(process, actor.leaving, holder, race.payments[0], held)
            return
        clients = self._system.clients
        service = replace(self._system, clients=(clients[process.index % len(clients)],))
        await _until(at)
        await body_of(actor, service, race)(process)

    async def _exchange(self, f: str, race: RacedPayments, arguments: dict[str, Any]) -> Exchange:
        invocation = Invocation(f, {"payment": race.payments[0], **arguments})
        return Exchange(invocation, await send(self._system.clients[0], invocation))


async def _until(at: float) -> None:
    """Sleep until an instant of the event loop's clock."""
    await asyncio.sleep(at - asyncio.get_running_loop().time())


@asynccontextmanager
async def uncontrolled(scenario: Scenario, dsn: str, rng: random.Random) -> AsyncIterator[Uncontrolled]:
    """The scenario over two server processes; ``dsn`` has a clock that can be set."""
    async with servers(dsn, _SERVERS) as system:
        racing = Uncontrolled(scenario, system, rng)
        await racing.prepare()
        yield racing
