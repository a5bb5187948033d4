"""Which schedule to run next: what a strategy of exploration is, and how one of its plans is run.

A strategy hands out plans and learns from the runs that they led to. A plan is data: it can be sent to
another process, and the run sent back. So one strategy can serve many workers, which need to know nothing of
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeAlias

from pgweave.interleavings.execution import (
    DivergenceError,
    Execution,
    Pending,
    Program,
    SchedulingError,
    Situation,
    Step,
)
from pgweave.interleavings.footprint import WAITED, Footprint

Continuation: TypeAlias = Callable[[Sequence[Situation]], int | None]
"""Chooses as a `Chooser` does, from all situations of the run so far; the last is the present one."""


class Policy(Protocol):
    """How a run goes on after the prefix of its plan. It must be possible to pickle it."""

    def start(self) -> Continuation:
        """Return a continuation for one run."""


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """One schedule to run.

    Attributes:
        prefix: the processes that take the first steps.
        policy: who takes the steps after them.
        seed: where the random choices come from, if there are any.
    """

    prefix: tuple[int, ...]
    policy: Policy
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class PlanRun:
    """What running a plan led to.

    Attributes:
        execution: the run.
        situations: where each step was chosen; for a run that was ended by the chooser, its last as well.
    """

    execution: Execution
    situations: tuple[Situation, ...]


class Coverage(StrEnum):
    """What has been run when a strategy has no more plans.

    Attributes:
        SCHEDULES: every schedule.
        CLASSES: of every class of schedules that differ in the order of independent steps only, one.
        BOUNDED: every schedule within a bound.
        SAMPLE: some schedules.
    """

    SCHEDULES = "schedules"
    CLASSES = "classes"
    BOUNDED = "bounded"
    SAMPLE = "sample"


class Strategy(Protocol):
    """Decides which schedules are run.

    The answers depend on the order of the calls alone, so that an exploration can be repeated.
    """

    @property
    def name(self) -> str:
        """The strategy's name, with its parameters, for reports."""

    @property
    def coverage(self) -> Coverage:
        """What has been run when `next` returns None and every plan's run has been learned."""

    def next(self) -> SchedulePlan | None:
        """Return a plan; ``None`` if there is none until one that was handed out has been learned."""

    def learn(self, plan: SchedulePlan, run: PlanRun) -> None:
        """Take in what a plan led to.

        Raises:
            DivergenceError: The run did otherwise than an earlier one; the strategy is as before.
        """

    def forget(self, plan: SchedulePlan) -> None:
        """Take in that a plan could not be run."""


@dataclass(frozen=True, slots=True)
class FirstReady:
    """Goes on with the process that took the last step, while it is ready; else with the first that is."""

    def start(self) -> Continuation:
        """Return the continuation, which has no state."""
        return first_ready


def first_ready(situations: Sequence[Situation]) -> int:
    """Choose the process that took the last step if it is ready, else the first that is."""
    situation = situations[-1]
    return preferred(situation, list(situation.ready))


@dataclass(frozen=True, slots=True)
class InTurns:
    """Goes on with the process that comes after the one that took the last step, of those that are ready."""

    def start(self) -> Continuation:
        """Return the continuation, which has no state."""
        return in_turns


def in_turns(situations: Sequence[Situation]) -> int:
    """Choose the next of the ready processes, by their numbers, and after the last the first."""
    situation = situations[-1]
    later = (one for one in situation.ready if situation.last is not None and one > situation.last)
    return min(later, default=min(situation.ready))


def preferred(situation: Situation, candidates: Sequence[int]) -> int:
    """Choose among candidates: a run with few switches is easy to read."""
    last = situation.last
    return last if last is not None and last in candidates else min(candidates)


def touched(situations: Sequence[Situation]) -> Footprint:
    """Return what the last step touched, as far as is known before the next is taken."""
    situation, before = situations[-1], situations[-2]
    if situation.last is None:
        raise SchedulingError(f"after {situation.depth} steps the program does not say who took the last")
    announced = before.ready[situation.last].footprint
    if situation.last in situation.blocked:
        announced |= WAITED
    return announced if situation.touched is None else situation.touched | announced


async def perform(program: Program, plan: SchedulePlan) -> PlanRun:
    """Run one plan.

    Raises:
        DivergenceError: A process of the plan's prefix was not ready at its turn.
        SchedulingError: The run could not go on, or the program took other steps than were chosen.
    """
    recorder = _Recorder(plan)
    execution = await program.run(recorder)
    if recorder.divergence is not None:
        raise recorder.divergence
    if list(execution.schedule) != recorder.chosen:
        raise SchedulingError(
            f"chosen were {recorder.chosen}, but the run's steps are those of {list(execution.schedule)}"
        )
    situations = tuple(recorder.situations)
    steps = tuple(map(_with_announced_footprint, execution.steps, situations))
    return PlanRun(replace(execution, steps=steps), situations)


def _with_announced_footprint(step: Step, situation: Situation) -> Step:
    """Add to a step's footprint the one that was announced while the step was pending.

    A step may touch less than was announced, because of the steps before it: an update that waits has not
    published anything yet. In another order it would touch more, and steps that depend on that must keep
    their order with it.
    """
    announced = situation.ready[step.process].footprint
    if step.footprint is announced:
        return step
    together = step.footprint | announced
    return replace(step, footprint=announced if together == announced else together)


class _Recorder:
    """Chooses as the plan says, and keeps the situations."""

    def __init__(self, plan: SchedulePlan) -> None:
        self.situations: list[Situation] = []
        self.chosen: list[int] = []
        self.divergence: DivergenceError | None = None
        self._prefix = plan.prefix
        self._go_on = plan.policy.start()
        self._known: dict[Pending, Pending] = {}
        self._kept: dict[int, Pending] = {}

    def __call__(self, situation: Situation) -> int | None:
        # An error that passed through the program might leave it in the middle of a run.
        try:
            process = self._choose(situation)
        except DivergenceError as divergence:
            self.divergence = divergence
            return None
        if process is not None:
            self.chosen.append(process)
        return process

    def _choose(self, situation: Situation) -> int | None:
        depth = len(self.chosen)
        self.situations.append(self._small(situation))
        if depth >= len(self._prefix):
            return self._go_on(self.situations)
        process = self._prefix[depth]
        if process not in situation.ready:
            raise DivergenceError(
                f"step {depth}: process {process} should come next and is not ready; {described(situation)}"
            )
        return process

    def _small(self, situation: Situation) -> Situation:
        """The same with one object for equal steps, so that a run is small when it is sent."""
        for step in situation.ready.values():
            if id(step) not in self._kept:
                break
        else:
            return situation
        ready = {process: self._known.setdefault(step, step) for process, step in situation.ready.items()}
        for step in ready.values():
            self._kept[id(step)] = step
        return replace(situation, ready=ready)


def described(situation: Situation) -> str:
    """Say who is ready with what and who is blocked."""
    ready = ", ".join(f"{process}: {step.label}" for process, step in sorted(situation.ready.items()))
    blocked = ", ".join(map(str, sorted(situation.blocked)))
    return f"ready {{{ready}}}, blocked {{{blocked}}}"
