"""A scenario as a program that the explorer runs, each time with a new payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from payments_verify.gate import Fault
from payments_verify.interleavings.execution import (
    Chooser,
    DivergenceError,
    Execution,
    SchedulingError,
)
from payments_verify.payments.machine import EPOCH
from payments_verify.payments.observations import Invocation, Observation
from payments_verify.payments.racing import Race, body_of, send
from payments_verify.payments.scenarios import AMOUNT, WINDOW, Holder, Prepared, Scenario, Sweeper
from payments_verify.payments.system import GatedService
from payments_verify.scheduler import Conditions, Run
from payments_verify.scheduler import Operation as RacedOperation

_ANY_PAYMENT = UUID(int=0)
_BEYOND_EVERY_WINDOW = 32 * 24 * 60 * 60 * 1_000_000


@dataclass(frozen=True)
class Exchange:
    """A command and its answer, outside the race."""

    invocation: Invocation
    observation: Observation


@dataclass(frozen=True)
class Raced:
    """What a run of a scenario was.

    Attributes:
        payment: the id of its payment.
        expires_at: the end of the payment's window, in µs; 0 if it had none.
        before: the exchanges that prepared it.
        operations: what the actors did.
        after: the last look.
        strays: connections that sent statements while no process ran.
    """

    payment: str
    expires_at: int
    before: tuple[Exchange, ...]
    operations: tuple[RacedOperation, ...]
    after: tuple[Exchange, ...]
    strays: tuple[str, ...]

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


class ScenarioProgram:
    """A scenario over one service.

    Args:
        scenario: what is raced.
        service: the service behind its gate.
        faults: what goes wrong at which statement of which actor.
        patience: how often a client sends a command until it has a definite answer.
    """

    def __init__(
        self,
        scenario: Scenario,
        service: GatedService,
        *,
        faults: Mapping[tuple[int, int], Fault] | None = None,
        patience: int = 1,
    ) -> None:
        self.scenario = scenario
        self._service = service
        self._now = EPOCH
        self.start_is_read = False
        self.injected = 0
        self.unready = 0
        self._faults = faults or {}
        self._patience = patience
        self._sweeps = any(isinstance(actor, Sweeper) for actor in scenario.actors)

    @property
    def processes(self) -> int:
        """How many actors there are."""
        return len(self.scenario.actors)

    async def prepare(self) -> None:
        """Set the clock, and leave nothing in the database that a sweep could find."""
        await self._service.hands.set_clock(self._now)
        if self._sweeps:
            self._now += _BEYOND_EVERY_WINDOW
            await self._service.hands.set_clock(self._now)
            while await self._service.hands.sweep_batch():
                pass

    async def run(self, choose: Chooser) -> Execution:
        """Run it once, with a new payment; the result is a `Raced`."""
        race = Race(str(uuid4()), now=self._now, patience=self._patience)
        before = [await self._exchange(f, race, arguments) for f, arguments in _preparation(self.scenario)]
        if self.scenario.prepared is Prepared.AUTHORIZED:
            race.expires_at = _require(before[-1])["payment"]["capture_expires_at"]
        if self.scenario.past_window:
            race.now = race.expires_at
            await self._service.hands.set_clock(race.now)
            before.append(Exchange(Invocation("clock", {"now": race.now}), Observation("ok", {})))
        run = Run(
            [(actor.name, body_of(actor, self._service.hands, race)) for actor in self.scenario.actors],
            self._service.database,
            limits=self._service.limits,
            conditions=Conditions({UUID(race.payment): _ANY_PAYMENT}, self.start_is_read, self._faults),
        )
        execution = await self._beside_holder(run, race, choose)
        self._now = race.now
        self.injected += run.injected
        if run.start_was_read and not self.start_is_read:
            self.start_is_read = True
            raise DivergenceError("a statement asks when its transaction began, so BEGIN reads the clock")
        after = (
            [await self._exchange(f, race, {}) for f in ("read", "attempts")] if execution.complete else []
        )
        if self._sweeps and after and _require(after[0])["payment"]["state"] == "authorized":
            await self._exchange("fail", race, {"reason": "voided"})
        operations = [operation for process in run.processes for operation in process.operations]
        return replace(
            execution,
            result=Raced(
                race.payment,
                race.expires_at,
                tuple(before),
                tuple(operations),
                tuple(after),
                tuple(run.strays),
            ),
        )

    async def _beside_holder(self, run: Run, race: Race, choose: Chooser) -> Execution:
        if not any(isinstance(actor, Holder) for actor in self.scenario.actors):
            return await run(choose)
        async with self._service.hands.holder() as race.holder:
            return await run(choose)

    async def _exchange(self, f: str, race: Race, arguments: dict[str, Any]) -> Exchange:
        invocation = Invocation(f, {"payment": race.payment, **arguments})
        observation = await send(self._service.hands.client, invocation)
        self.unready += observation.kind == "unknown"
        return Exchange(invocation, observation)


def _require(exchange: Exchange) -> Mapping[str, Any]:
    """The answer to a command before or after the race, when nothing is broken any more.

    Raises:
        SchedulingError: it was refused, or not answered.
    """
    answer = exchange.observation
    if answer.kind != "ok":
        raise SchedulingError(
            f"outside the race, {exchange.invocation.f} was answered {answer.kind}: {dict(answer.value)}"
        )
    return answer.value


def _preparation(scenario: Scenario) -> Sequence[tuple[str, dict[str, Any]]]:
    steps = [("create", {"amount": AMOUNT}), ("authorize", {"window": WINDOW})]
    return steps[: scenario.prepared.value]
