"""A race as a program that a scheduler runs, each time with new payments.

Commands that come one after the other bring the payments to where the race begins; then the actors race, one
step at a time, as a chooser says; then each payment is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from payments_model import Pending, Record
from payments_verify.payments.actors import Race, body_of, send
from payments_verify.payments.known import Known
from payments_verify.payments.observations import Invocation, Observation
from payments_verify.payments.oracle import answer
from payments_verify.payments.scenarios import WINDOW, Actor, Client, Command, Holder, Tick
from payments_verify.payments.service_under_test import NO_ANSWER, ServiceUnderTest
from pgweave.gate import Fault
from pgweave.interleavings.execution import (
    Chooser,
    DivergenceError,
    Execution,
    OutdatedError,
    SchedulingError,
)
from pgweave.interleavings.strategy import FirstReady, InTurns, Plan, perform
from pgweave.scheduler import Conditions, Limits, Run
from pgweave.scheduler import Operation as RacedOperation

SERVE_AGAIN_LIMIT_S = 30.0
"""How long after a fault a service may answer nothing."""


_PROBE_APART_S = 0.2


class NotServingError(RuntimeError):
    """After a fault, the service does not serve again."""


@dataclass(frozen=True)
class Wait:
    """The database's clock moves on by so many µs."""

    us: int


_TRIES = 4
_QUICK_STALL = 100

Before: TypeAlias = Command | Wait
"""What happens before a race, one after the other."""


@dataclass(frozen=True)
class Exchange:
    """A command and its answer, outside the race."""

    invocation: Invocation
    observation: Observation


@dataclass(frozen=True)
class Raced:
    """What a run of a race was.

    Attributes:
        payments: the ids of its payments.
        before: the exchanges that prepared them.
        operations: what the actors did.
        after: the last look.
        now: where the database's clock stood at the end, in µs.
        strays: connections that sent statements while no process ran.
        left: what was wrong with the connections that were in use, once everything was answered; or empty.
    """

    payments: tuple[str, ...]
    before: tuple[Exchange, ...]
    operations: tuple[RacedOperation, ...]
    after: tuple[Exchange, ...]
    now: int
    strays: tuple[str, ...]
    left: str = ""

    @property
    def outcomes(self) -> tuple[Any, ...]:
        """Every answer, without what is different in each run: ids, instants, bytes."""
        raced = [_name(operation.result) for operation in self.operations]
        return (*raced, *(_name(exchange.observation) for exchange in self.after))


def _name(observation: Observation | None) -> Any:  # noqa: ANN401 - a word or a tuple of words
    if observation is None:
        return "no answer"
    value = observation.value
    if "payment" in value:
        return value["outcome"], value["payment"]["state"]
    if "attempts" in value:
        return tuple(sorted((each["key"], each["outcome"]) for each in value["attempts"]))
    return value.get("outcome", observation.kind) + (" again" if value.get("replayed") else "")


def rehearse(before: Iterable[Before], start: int, payments: int = 1) -> tuple[tuple[Record, ...], int]:
    """What the model stores of each payment, and where the clock stands, after some commands.

    Args:
        before: the commands.
        start: where the clock stands when they begin, in µs.
        payments: how many payments there are.
    """
    records, now = [Record()] * payments, start
    for each in before:
        if isinstance(each, Wait):
            now += each.us
        else:
            asked = Invocation(each.f, each.arguments)
            records[each.payment], _ = answer(records[each.payment], asked, now)
    return tuple(records), now


class RaceProgram:
    """A race over one service.

    Args:
        before: what brings the payments to where the race begins.
        actors: who races.
        service: the service behind its gate.
        start: where the database's clock stands when ``before`` begins, in µs.
        known: what earlier runs have shown; shared by programs of one race.
        faults: what goes wrong at which statement of which actor.
        patience: how often a client sends a command until it has a definite answer.

    Attributes:
        known: the same, and what its own runs have shown.
        injected: how many faults were injected.
        passed_over: how many statements were not hurt because PostgreSQL does not do it there.
        unready: how often a command outside a race got no definite answer.
    """

    def __init__(
        self,
        before: Sequence[Before],
        actors: Sequence[Actor],
        service: ServiceUnderTest,
        *,
        start: int,
        known: Known | None = None,
        faults: Mapping[tuple[int, int], Fault] | None = None,
        patience: int = 1,
    ) -> None:
        self.known = known or Known()
        self._before = tuple(before)
        self._actors = tuple(actors)
        self._service = service
        self._start = start
        self.injected = 0
        self.passed_over = 0
        self.unready = 0
        self._faults = faults or {}
        self._patience = patience
        self._clock: int | None = None

    @property
    def processes(self) -> int:
        """How many actors there are."""
        return len(self._actors)

    async def run(self, choose: Chooser) -> Execution:
        """Run it once, with new payments; the result is a `Raced`.

        Raises:
            SchedulingError: A process came neither to its next step nor to its end.
            NotServingError: After a fault, the service answers nothing any more.
            DivergenceError: The database served those who waited out of turn.
            OutdatedError: The run has shown something that belongs to `known`, and is there now.
        """
        race = self._race()
        before = [await self._prepare(each, race) for each in (Wait(0), *self._before)]
        run = Run(
            [(actor.name, body_of(actor, self._service, race)) for actor in self._actors],
            self._service.database,
            limits=self._limits(),
            conditions=Conditions(
                self._names(race),
                self.known.start_is_read,
                self._faults,
            ),
        )
        self._clock = None
        try:
            execution = await self._beside_holder(run, race, choose)
            self.injected += run.injected
            self.passed_over += run.passed_over
            self._require_known(run)
        except (DivergenceError, SchedulingError):
            await void(self._service, race.payments)
            raise
        self._clock = race.now
        after: list[Exchange] = []
        left = ""
        if execution.complete:
            left = await self._left(run, race.payments[0])
            looks = [(f, payment) for payment in race.payments for f in self._service.traits.looks]
            after = [await self._exchange(f, payment, {}) for f, payment in looks]
        else:
            await void(self._service, race.payments)
        raced = Raced(
            race.payments,
            tuple(before),
            tuple(operation for process in run.processes for operation in process.operations),
            tuple(after),
            race.now,
            tuple(run.strays),
            left,
        )
        return replace(execution, result=raced)

    async def _left(self, run: Run, payment: str) -> str:
        """What is wrong with the connections that a run has left in a transaction; empty if nothing is.

        One whose transaction has failed is wrong if a request finds it so: a pool may end that first.
        """
        if run.left_open:
            return run.left_open
        database, looks = self._service.database, self._service.traits.looks
        requests = 0 if database is None or not looks else 2 * len(database.gate.sessions)
        for _ in range(requests):
            left = [session for session in run.left_failed if session.has_failed and not session.closed]
            if not left:
                break
            seen = await _exchange(self._service, looks[0], payment, {})
            if seen.observation.kind == "unknown":
                return (
                    f"{left[0]} was left inside a transaction that had failed, and then a request that met"
                    f" nobody got no {NO_ANSWER}: {dict(seen.observation.value)}"
                )
        return ""

    def _limits(self) -> Limits:
        """Who answers without statements makes others wait inside the service, in many schedules."""
        limits = self._service.limits
        return replace(limits, stall=min(limits.stall, _QUICK_STALL)) if self.known.answers_alone else limits

    def _names(self, race: Race) -> Mapping[Hashable, Hashable]:
        ids = (self._service.id_of(payment) for payment in race.payments)
        return {UUID(each): UUID(int=number) for number, each in enumerate(ids)}

    def _race(self) -> Race:
        count = 1 + max(_payments_of(self._before, self._actors), default=0)
        records, now = rehearse(self._before, self._start, count)
        ids = tuple(str(uuid4()) for _ in records)
        ends = tuple(_end_of_window(record, now) for record in records)
        return Race(ids, ends, self._start, self._patience, sends_are_steps=self.known.answers_alone)

    async def _prepare(self, each: Before, race: Race) -> Exchange:
        if isinstance(each, Command):
            return await self._exchange(each.f, race.payments[each.payment], each.arguments)
        race.now += each.us
        if race.now != self._clock:
            await self._service.set_clock(race.now)
        return Exchange(Invocation("clock", {"now": race.now}), Observation("ok", {}))

    async def _beside_holder(self, run: Run, race: Race, choose: Chooser) -> Execution:
        if not any(isinstance(actor, Holder) for actor in self._actors):
            return await run(choose)
        assert self._service.open_row_holder is not None
        # Opened before the race: a new connection takes its time.
        async with self._service.open_row_holder() as race.holder:
            return await run(choose)

    async def _exchange(self, f: str, payment: str, arguments: Mapping[str, Any]) -> Exchange:
        exchange = await _exchange(self._service, f, payment, arguments)
        if exchange.observation.kind == "unknown":
            self.unready += 1
            if self._faults:
                await self._until_it_serves_again()
            raise SchedulingError(
                f"outside the race, {f} got no definite answer: {dict(exchange.observation.value)}"
            )
        return exchange

    async def _until_it_serves_again(self) -> None:
        last: Mapping[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(SERVE_AGAIN_LIMIT_S):
                while True:
                    seen = await _exchange(self._service, "create", str(uuid4()), {"amount": 1})
                    if seen.observation.kind != "unknown":
                        return
                    last = seen.observation.value
                    await asyncio.sleep(_PROBE_APART_S)
        raise NotServingError(
            "I9: it does not serve again after the fault: for"
            f" {SERVE_AGAIN_LIMIT_S:g} s no request got a definite answer; the last: {dict(last) or 'none'}"
        )

    async def warm_up(self) -> None:
        """Run it a few times, with nothing going wrong, so that the service and its connections are warm.

        What the runs show is known afterwards. Runs that cannot be made are left to who explores: it tells.
        """
        faults, self._faults = self._faults, {}
        for policy in (FirstReady(), InTurns()):
            for _ in range(_TRIES):
                try:
                    await perform(self, Plan((), policy))
                except (DivergenceError, SchedulingError):
                    continue
                break
        self._faults = faults

    def _require_known(self, run: Run) -> None:
        if run.start_was_read and not self.known.start_is_read:
            self.known.start_is_read = True
            raise OutdatedError("a statement asks when its transaction began, so BEGIN reads the clock")
        alone = (operation for process in run.processes for operation in process.operations)
        if not self.known.answers_alone and any(_is_answered_alone(operation) for operation in alone):
            self.known.answers_alone = True
            raise OutdatedError("a request was answered without a statement, so sending one is a step")


def _is_answered_alone(operation: RacedOperation) -> bool:
    answer: Observation | None = operation.result
    return operation.first is None and answer is not None and answer.kind != "unknown"


async def void(service: ServiceUnderTest, payments: Iterable[str]) -> None:
    """Void what may still be authorized, so that no later sweep finds it; where it can be voided."""
    if "fail" not in service.traits.commands:
        return
    for payment in payments:
        await _exchange(service, "fail", payment, {"reason": service.traits.reason("voided")})


async def _exchange(
    service: ServiceUnderTest, f: str, payment: str, arguments: Mapping[str, Any]
) -> Exchange:
    invocation = Invocation(f, {"payment": payment, **arguments})
    return Exchange(invocation, await send(service.client, invocation))


def _payments_of(before: Iterable[Before], actors: Iterable[Actor]) -> Iterable[int]:
    for each in (*before, *actors):
        match each:
            case Command() | Tick():
                yield each.payment
            case Client():
                yield from (command.payment for command in each.commands)


def _end_of_window(record: Record, now: int) -> int:
    payment = record.payment
    return now + WINDOW if payment is None or isinstance(payment, Pending) else payment.capture_expires_at
