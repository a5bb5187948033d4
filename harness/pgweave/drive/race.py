"""A race as a program that can be run again and again, each time in a world of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Generic, TypeAlias

from pgweave.drive.domain import Domain, Facts, Violation
from pgweave.gate import Fault
from pgweave.interleavings.execution import (
    Chooser,
    DivergenceError,
    Execution,
    OutdatedError,
    SchedulingError,
)
from pgweave.interleavings.strategy import FirstReady, InTurns, SchedulePlan, perform
from pgweave.scheduler import MOST_LOOKS, Conditions, Run

Place: TypeAlias = tuple[int, int]
"""An actor and the number of one of its statements, both from 0."""

_TRIES = 4
_SHORTER_ONCE_LEFT = 10  # times


class Race(Generic[Violation]):
    """A race of a domain.

    Args:
        domain: what is raced for, and who races.
        facts: what earlier runs have shown; shared by races on one service.
        faults: what goes wrong at which statement of which actor.

    Attributes:
        domain: the same.
        facts: the same, and what its own runs have shown.
        faults: the same; none in the dry run.
        injected: how many faults were injected.
        passed_over: how many statements were not hurt because PostgreSQL does not do it there.
    """

    def __init__(
        self,
        domain: Domain[Violation],
        *,
        facts: Facts | None = None,
        faults: Mapping[Place, Fault] | None = None,
    ) -> None:
        self.domain = domain
        self.facts = facts or Facts()
        self.injected = 0
        self.passed_over = 0
        self.faults = faults or {}
        self._is_prepared = False

    @property
    def processes(self) -> int:
        """How many actors there are."""
        return len(self.domain.actors)

    @property
    def is_hurt(self) -> bool:
        """Whether something goes wrong on purpose."""
        return bool(self.faults)

    def with_faults(self, faults: Mapping[Place, Fault]) -> Race[Violation]:
        """The same race, with something going wrong; what is known of the one is known of the other."""
        hurt = Race(self.domain, facts=self.facts, faults=faults)
        hurt._is_prepared = self._is_prepared
        return hurt

    def beside(self, domain: Domain[Violation]) -> Race[Violation]:
        """The same race in another world; what is known of the one is known of the other."""
        return Race(domain, facts=self.facts, faults=self.faults)

    async def prepare(self, *, dry_run: bool = True) -> None:
        """Make a dry run, unless that was done: then connections are warm, and what runs show is known.

        Nothing goes wrong in it on purpose. If it cannot be made, the first schedule says why.

        Args:
            dry_run: whether to make it. Without one, the first schedules that show something begin again.
        """
        if self._is_prepared:
            return
        self._is_prepared = True
        await self.domain.prepare()
        if not dry_run:
            return
        faults, self.faults = self.faults, {}
        for policy in (FirstReady(), InTurns()):
            for _ in range(_TRIES):
                try:
                    await perform(self, SchedulePlan((), policy))
                except (DivergenceError, SchedulingError):
                    continue
                break
        self.faults = faults

    async def run(self, choose: Chooser) -> Execution:
        """Run it once, in a new world; the result is what the domain observes at the end.

        Raises:
            SchedulingError: an actor came neither to its next step nor to its end.
            DivergenceError: the database served those who waited out of turn.
            OutdatedError: the run has shown a fact that it did not know of; it is known now.
            BrokenServiceError: after a fault, the service is found broken for good.
        """
        async with self.domain.world(self.facts, hurt=self.is_hurt) as world:
            facts = self.facts
            conditions = Conditions(world.names, facts.start_is_read, self.faults, facts.looks)
            limits = world.limits
            if facts.leaves_locks:
                limits = replace(limits, left=limits.left // _SHORTER_ONCE_LEFT)
            run = Run(world.bodies, self.domain.database, limits=limits, conditions=conditions)
            try:
                execution = await run(choose)
            finally:
                facts.polled = facts.polled or run.polling.has_held
            self.injected += run.injection.injected
            self.passed_over += run.injection.passed_over
            self._learn(run)
            if not execution.complete:
                return execution
            return replace(execution, result=await world.observe(run))

    def _learn(self, run: Run) -> None:
        """Note what a run has shown.

        Raises:
            OutdatedError: the run did not know of it.
        """
        self.facts.leaves_locks |= bool(run.left.locking)
        if run.start_was_read and not self.facts.start_is_read:
            self.facts.start_is_read = True
            raise OutdatedError("a statement asks when its transaction began, so BEGIN reads the clock")
        looks = max((each for each in run.polling.in_vain.values() if each <= MOST_LOOKS), default=0)
        if looks >= self.facts.looks and self.processes > 1:
            self.facts.looks = looks + 1
            raise OutdatedError(
                "an actor asked the same some times, and went on: it does not wait for others"
            )
        operations = (operation for process in run.processes for operation in process.operations)
        answered = (each for each in operations if each.answered is not None)
        alone = (each for each in answered if each.first is None and self.domain.is_answer(each.result))
        if not self.facts.answers_alone and next(alone, None) is not None:
            self.facts.answers_alone = True
            raise OutdatedError("a request was answered without a statement, so sending one is a step")
