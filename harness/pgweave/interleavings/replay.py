"""A schedule that is given: one that was found before, or made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgweave.interleavings.execution import DivergenceError, Execution, Program, Situation
from pgweave.interleavings.strategy import (
    Continuation,
    Coverage,
    PlanRun,
    SchedulePlan,
    described,
    perform,
)
from pgweave.visible import counted


@dataclass(frozen=True, slots=True)
class AtItsEnd:
    """Does not go on: the schedule must be complete."""

    def start(self) -> Continuation:
        """Return a continuation that raises `DivergenceError`."""

        def go_on(situations: Sequence[Situation]) -> int | None:
            depth = len(situations) - 1
            raise DivergenceError(
                f"the schedule ends after {counted(depth, 'step')}; {described(situations[-1])}"
            )

        return go_on


class Replay:
    """Runs one schedule.

    Args:
        schedule: the processes in the order of their steps.
        labels: what their steps must be, if that is known.
        shape_of: what of a label must be the same.
    """

    name = "replay"
    coverage = Coverage.SAMPLE

    def __init__(
        self,
        schedule: Sequence[int],
        labels: Sequence[str] | None = None,
        shape_of: Callable[[str], str] = str,
    ) -> None:
        if labels is not None and len(labels) != len(schedule):
            raise ValueError(f"{counted(len(labels), 'label')} for {counted(len(schedule), 'step')}")
        self._plan: SchedulePlan | None = SchedulePlan(tuple(schedule), AtItsEnd())
        self._labels = labels
        self._shape_of = shape_of

    def next(self) -> SchedulePlan | None:
        """Return the schedule, once."""
        plan, self._plan = self._plan, None
        return plan

    def learn(self, plan: SchedulePlan, run: PlanRun) -> None:
        """Check the run's length and labels.

        Raises:
            DivergenceError: They are others than were given.
        """
        steps = run.execution.steps
        if len(steps) < len(plan.prefix):
            raise DivergenceError(f"the run ended after {counted(len(steps), 'step')} of {len(plan.prefix)}")
        for index, (step, label) in enumerate(zip(steps, self._labels or (), strict=False)):
            if self._shape_of(step.label) != self._shape_of(label):
                raise DivergenceError(
                    f"step {index}: process {step.process} should take {label!r} and took {step.label!r}"
                )

    def forget(self, plan: SchedulePlan) -> None:
        """Do without it."""


async def replay(
    program: Program,
    schedule: Sequence[int],
    labels: Sequence[str] | None = None,
    shape_of: Callable[[str], str] = str,
) -> Execution:
    """Run one complete schedule, see `Replay`.

    Raises:
        DivergenceError: A process was not ready at its turn, a label was another, or the schedule was too
            long or too short; the message names the step, what was expected, and what was ready.
        SchedulingError: The run could not go on.
    """
    strategy = Replay(schedule, labels, shape_of)
    plan = strategy.next()
    assert plan is not None
    run = await perform(program, plan)
    strategy.learn(plan, run)
    return run.execution
