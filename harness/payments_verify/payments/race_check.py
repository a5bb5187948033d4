"""Races as tests: commands, who sends them, and in which order their SQL statements reach the database.

The stateful machine prints what it finds in these words, so that it can be pasted among a service's tests::

    def test_race() -> None:
        check_race(
            gated_service,
            before=[create(500), authorize(60_000_000)],
            actors=[client(capture("k1", 500)), client(capture("k2", 500))],
            schedule=[*[0] * 4, *[1] * 7, *[0] * 3],
        )

Amounts are in cents, times in µs. ``payment`` says which payment of the race is meant, counted from 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import uvloop

from payments_verify.payments.inputs import EPOCH
from payments_verify.payments.known import Known
from payments_verify.payments.oracle import MismatchError
from payments_verify.payments.race_domain import Before, RaceProgram, Wait, void
from payments_verify.payments.race_judge import Judge, Violation
from payments_verify.payments.scenarios import Actor, Command, Sweeper, Tick, capture, client
from payments_verify.payments.service_under_test import OpenService, ServiceUnderTest
from payments_verify.payments.spec import PaymentState
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.minimize import Follow, minimize
from pgweave.interleavings.strategy import Plan, Policy, perform

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


_TRIES = 4
_MINIMIZING_RUNS = 300


def create(amount: int, payment: int = 0) -> Command:
    """A creation."""
    return Command("create", {"amount": amount}, payment)


def authorize(window: int, payment: int = 0) -> Command:
    """An authorization, with a capture window of so many µs: whole seconds."""
    return Command("authorize", {"window": window}, payment)


def fail(reason: Literal["declined", "voided"], payment: int = 0) -> Command:
    """A decline or a void."""
    return Command("fail", {"reason": reason}, payment)


def read(payment: int = 0) -> Command:
    """A look at the payment."""
    return Command("read", {}, payment)


def attempts(payment: int = 0) -> Command:
    """A look at the payment's stored capture attempts."""
    return Command("attempts", {}, payment)


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
            races = Races(service)
            execution, judged = await races.run(before, actors, Follow(tuple(schedule)), EPOCH)
            await void(service, execution.result.payments)
            return judged

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        judged = runner.run(race())
    if isinstance(judged, Violation):
        raise MismatchError(judged.explanation)


class Races:
    """Runs races on a service, and judges them.

    Args:
        service: the service behind its gate.

    Attributes:
        repeated: how many runs could not be used and were made again.
    """

    def __init__(self, service: ServiceUnderTest) -> None:
        self.service = service
        self.repeated = 0
        self._judge = Judge()
        self._known = Known()

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
            DivergenceError: The last of the tries could not be repeated.
            SchedulingError: The last of the tries could not be run to its end, or not all was scheduled.
        """
        problem: DivergenceError | SchedulingError | None = None
        for _ in range(_TRIES):
            program = RaceProgram(before, actors, self.service, start=start, known=self._known)
            try:
                execution = await self._once(program, policy)
            except (DivergenceError, SchedulingError) as error:
                problem = error
                self.repeated += 1
                continue
            return execution, self._judge.judge(execution)
        assert problem is not None
        raise problem

    async def fewest_switches(
        self, before: Sequence[Before], actors: Sequence[Actor], failing: Execution, start: int
    ) -> tuple[Execution, Violation]:
        """Find a run of the same race that is wrong as well, with the fewest switches between actors.

        Args:
            before: what brings the payments to where the race begins.
            actors: who races.
            failing: a run that the model does not explain.
            start: where the database's clock stands when ``before`` begins, in µs.

        Raises:
            DivergenceError: The run is not wrong when it is run again.
            SchedulingError: It could not be run again.
        """
        program = RaceProgram(before, actors, self.service, start=start, known=self._known)
        found: dict[tuple[int, ...], Violation] = {}

        def still_fails(execution: Execution) -> bool:
            judged = self._judge.judge(execution)
            if isinstance(judged, Violation):
                found[execution.schedule] = judged
            return isinstance(judged, Violation)

        minimal = await minimize(program, failing, still_fails, max_runs=_MINIMIZING_RUNS)
        return minimal.execution, found[minimal.execution.schedule]

    async def _once(self, program: RaceProgram, policy: Policy) -> Execution:
        execution = (await perform(program, Plan((), policy))).execution
        strays = execution.result.strays
        if strays:
            await void(self.service, execution.result.payments)
            raise SchedulingError(f"statements were sent while no actor ran, and not scheduled: {strays}")
        return execution
