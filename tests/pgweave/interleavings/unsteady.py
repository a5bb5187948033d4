"""A program that does not always do the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pgweave.interleavings.execution import (
    Chooser,
    Execution,
    Pending,
    Program,
    SchedulingError,
    Situation,
    Step,
)


class Unsteady:
    """Changes what another program shows in some of its runs.

    Args:
        program: the other program.
        runs: in which runs, counted from 1.
        depth: at which step.
        pending: what is done to what is ready there.
        step: what is done to the step that was taken there.
        result: what is done to the result.
        stuck: whether the run cannot go on there.
    """

    def __init__(
        self,
        program: Program,
        runs: Callable[[int], bool],
        depth: int,
        *,
        pending: Callable[[dict[int, Pending]], dict[int, Pending]] = lambda ready: ready,
        step: Callable[[Step], Step] = lambda step: step,
        result: Callable[[Any], Any] = lambda result: result,
        stuck: bool = False,
    ) -> None:
        self._program, self._runs, self._depth = program, runs, depth
        self._pending, self._step, self._result, self._stuck = pending, step, result, stuck
        self.count = 0

    @property
    def processes(self) -> int:
        return self._program.processes

    async def run(self, choose: Chooser) -> Execution:
        self.count += 1
        if not self._runs(self.count):
            return await self._program.run(choose)

        def unsteadily(situation: Situation) -> int | None:
            if situation.depth != self._depth:
                return choose(situation)
            if self._stuck:
                raise SchedulingError("process 0 neither comes to its next step nor ends")
            return choose(replace(situation, ready=self._pending(dict(situation.ready))))

        execution = await self._program.run(unsteadily)
        steps = list(execution.steps)
        if self._depth < len(steps):
            steps[self._depth] = self._step(steps[self._depth])
        return replace(execution, steps=tuple(steps), result=self._result(execution.result))
