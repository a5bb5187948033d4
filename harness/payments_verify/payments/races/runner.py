"""Races as tests: commands, who sends them, and in which order their SQL statements reach the database.

The stateful machine prints what it finds in these words, so that it can be pasted among a service's tests::

    def test_race() -> None:
        check_race(
            gated_service,
            before=[create(500), authorize(60_000_000)],
            actors=[client(capture("k1", 500)), client(capture("k2", 500))],
            schedule=[*[0] * 4, *[1] * 7, *[0] * 3],
        )

Amounts are in cents, times in µs. ``payment`` says which payment of the race is meant, and ``instance`` which
instance of the service is asked; both are counted from 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import uvloop

from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.races.domain import RaceDomain, void
from payments_verify.payments.races.judge import Judge, Violation
from payments_verify.payments.races.preparation import Before, Wait
from payments_verify.payments.scenarios.catalogue import Actor, Command, Sweeper, Tick, capture, client
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.specification.steps import PaymentState
from pgweave.drive.domain import Facts
from pgweave.drive.minimization import minimize_race
from pgweave.drive.race import Race
from pgweave.drive.single import run_race
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.minimize import Follow
from pgweave.interleavings.strategy import Policy

__all__ = [
    "attempts",
    "authorize",
    "capture",
    "check_race",
    "client",
    "create",
    "fail",
    "read",
    "sweep",
    "tick",
    "wait",
]


_MINIMIZING_RUNS = 300


def create(amount: int, payment: int = 0, instance: int = 0) -> Command:
    """A creation."""
    return Command("create", {"amount": amount}, payment, instance)


def authorize(window: int, payment: int = 0, instance: int = 0) -> Command:
    """An authorization, with a capture window of so many µs: whole seconds."""
    return Command("authorize", {"window": window}, payment, instance)


def fail(reason: Literal["declined", "voided"], payment: int = 0, instance: int = 0) -> Command:
    """A decline or a void."""
    return Command("fail", {"reason": reason}, payment, instance)


def read(payment: int = 0, instance: int = 0) -> Command:
    """A look at the payment."""
    return Command("read", {}, payment, instance)


def attempts(payment: int = 0, instance: int = 0) -> Command:
    """A look at the payment's stored capture attempts."""
    return Command("attempts", {}, payment, instance)


def wait(us: int) -> Wait:
    """Before the race, the database's clock moves on by so many µs."""
    return Wait(us)


def tick(offset: int = 0, payment: int = 0) -> Tick:
    """In the race, the database's clock moves to the end of the payment's window and ``offset`` µs."""
    return Tick(offset, payment)


def sweep() -> Sweeper:
    """In the race, one batch of the expiry sweep."""
    return Sweeper()


def check_race(
    open_service: OpenService,
    *,
    before: Sequence[Before] = (),
    actors: Sequence[Actor],
    schedule: Sequence[int] = (),
) -> None:
    """Run one race, and judge it by the model.

    A service that has changed since may not be able to take a step when its turn comes, because it waits for
    a lock, or may need other steps. They are then taken in the order of the schedule as far as they can be,
    and after it each actor goes on as long as it can. So a test stays of use when the service is mended.

    Args:
        open_service: makes the service ready, behind its gate, and ends it.
        before: what brings the payments to where the race begins, one after the other.
        actors: who races: clients, ticks of the clock, sweeps.
        schedule: the numbers of the actors, from 0, in the order of their steps.

    Raises:
        MismatchError: if the model does not explain the answers and what is stored in the end.
        DivergenceError: if the database served those who waited out of turn, each time that it was tried.
        SchedulingError: if the race could not be run to its end.
        ValueError: if the schedule names an actor that there is not.
    """
    unknown = sorted({number for number in schedule if not 0 <= number < len(actors)})
    if unknown:
        raise ValueError(f"the actors are 0 to {len(actors) - 1}; the schedule names {unknown}")

    async def race() -> Violation | Mapping[str, PaymentState]:
        async with open_service() as service:
            runner = RaceRunner(service)
            execution, judged = await runner.run(before, actors, Follow(tuple(schedule)), BEGIN)
            await void(service, execution.result.payments)
            return judged

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        judged = loop.run(race())
    if isinstance(judged, Violation):
        raise MismatchError(judged.explanation)


class RaceRunner:
    """Runs races on one service, and judges them.

    Args:
        service: the service behind its gate.

    Attributes:
        repeated: how many runs could not be used and were made again.
    """

    def __init__(self, service: ServiceUnderTest) -> None:
        self.service = service
        self.repeated = 0
        self._judge = Judge()
        self._facts = Facts()

    async def run(
        self, before: Sequence[Before], actors: Sequence[Actor], policy: Policy, start: int
    ) -> tuple[Execution, Violation | Mapping[str, PaymentState]]:
        """Run a race, again if it must be, each time with new payments.

        Args:
            before: what brings the payments to where the race begins.
            actors: who races.
            policy: who steps next.
            start: where the database's clock stands when ``before`` begins, in µs.

        Returns:
            The run; and what is wrong with it, or where it leaves each payment.

        Raises:
            DivergenceError: the last of the tries could not be repeated.
            SchedulingError: the last of the tries could not be run to its end, or not all was scheduled.
        """
        execution = await run_race(self._race(before, actors, start), policy, on_failed=self._count)
        return execution, self._judge.judge(execution)

    async def minimize(
        self,
        before: Sequence[Before],
        actors: Sequence[Actor],
        wrong: Execution,
        start: int,
        on_better: Callable[[Execution, Violation], object],
    ) -> None:
        """Look for runs of a wrong race that are wrong as well, and have fewer switches between actors.

        Args:
            before: what brings the payments to where the race begins.
            actors: who races.
            wrong: a run that the model does not explain.
            start: where the database's clock stands when ``before`` begins, in µs.
            on_better: is told of each, and of what is wrong with it.
        """
        race = self._race(before, actors, start)
        await minimize_race(race, self._judge, wrong, max_runs=_MINIMIZING_RUNS, on_better=on_better)

    def _race(self, before: Sequence[Before], actors: Sequence[Actor], start: int) -> Race[Violation]:
        return Race(RaceDomain(before, actors, self.service, start=start), facts=self._facts)

    def _count(self, _error: Exception) -> None:
        self.repeated += 1
