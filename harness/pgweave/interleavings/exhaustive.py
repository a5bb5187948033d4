"""Every schedule, or every schedule with at most so many preemptions.

A preemption is a switch away from a process that is ready to go on. Most bugs need few (Musuvathi and Qadeer,
"Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

from pgweave.interleavings.execution import Situation
from pgweave.interleavings.strategy import Coverage, FirstReady, PlanRun, SchedulePlan
from pgweave.interleavings.tree import check


@dataclass(frozen=True, slots=True)
class _Past:
    """A process that stepped, or is to step, at some situation, and those before it."""

    situation: Situation
    process: int
    before: _Past | None
    preemptions: int


class Naive:
    """Explores every schedule, depth first."""

    coverage = Coverage.SCHEDULES
    name = "naive"

    def __init__(self) -> None:
        self._first: SchedulePlan | None = SchedulePlan((), FirstReady())
        self._todo: dict[int, list[_Past]] = {}
        self._running: dict[tuple[int, ...], _Past] = {}

    def next(self) -> SchedulePlan | None:
        """Return the plan for the deepest alternative, of those with the fewest preemptions."""
        if self._first is not None:
            plan, self._first = self._first, None
            return plan
        if not self._todo:
            return None
        fewest = min(self._todo)
        past = self._todo[fewest].pop()
        if not self._todo[fewest]:
            del self._todo[fewest]
        prefix = tuple(one.process for one in _path(past))
        self._running[prefix] = past
        return SchedulePlan(prefix, FirstReady())

    def learn(self, plan: SchedulePlan, run: PlanRun) -> None:
        """Take in a run: what else could have been chosen after the prefix of its plan."""
        past = self._running.get(plan.prefix)
        check([one.situation for one in _path(past)], run.situations)
        self._running.pop(plan.prefix, None)
        for depth in range(len(plan.prefix), len(run.execution.steps)):
            situation, chosen = run.situations[depth], run.execution.steps[depth].process
            spent = past.preemptions if past else 0
            for process in sorted(situation.ready, reverse=True):
                if process != chosen:
                    self._add(_Past(situation, process, past, spent + self._cost(situation, process)))
            past = _Past(situation, chosen, past, spent)

    def forget(self, plan: SchedulePlan) -> None:
        """Give up an alternative."""
        self._running.pop(plan.prefix, None)

    def _add(self, alternative: _Past) -> None:
        self._todo.setdefault(alternative.preemptions, []).append(alternative)

    def _cost(self, _situation: Situation, _process: int) -> int:
        """Return how many preemptions a choice counts for."""
        return 0


class Bounded(Naive):
    """Explores every schedule with at most so many preemptions, those with fewer first.

    Args:
        preemptions: how many.
    """

    def __init__(self, preemptions: int) -> None:
        if preemptions < 0:
            raise ValueError(f"the number of preemptions must not be negative: {preemptions}")
        super().__init__()
        self.preemptions = preemptions
        self.name = f"bounded({preemptions})"
        self.coverage = Coverage.SCHEDULES

    def _add(self, alternative: _Past) -> None:
        if alternative.preemptions > self.preemptions:
            self.coverage = Coverage.BOUNDED
        else:
            super()._add(alternative)

    def _cost(self, situation: Situation, process: int) -> int:
        return int(situation.last in situation.ready and process != situation.last)


def _path(past: _Past | None) -> list[_Past]:
    found = []
    while past is not None:
        found.append(past)
        past = past.before
    return found[::-1]
