"""Random schedules, each with a seed that makes it again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pgweave.interleavings.execution import Situation
from pgweave.interleavings.strategy import Continuation, Coverage, PlanRun, Policy, SchedulePlan


@dataclass(frozen=True, slots=True)
class Uniform:
    """Chooses among the ready processes with equal chances.

    Attributes:
        seed: where the choices come from.
    """

    seed: int

    def start(self) -> Continuation:
        """Return a continuation that makes the same choices in the same situations."""
        chance = random.Random(self.seed)  # noqa: S311
        return lambda situations: chance.choice(sorted(situations[-1].ready))


@dataclass(frozen=True, slots=True)
class Priorities:
    """Chooses the ready process of the highest priority; a few times the priority of that one falls.

    Attributes:
        seed: where the first priorities come from.
        changes: before which steps the process whose turn it is falls behind all others; behind even those
            that fall for an earlier entry.
    """

    seed: int
    changes: tuple[int, ...]

    def start(self) -> Continuation:
        """Return a continuation that gives each process a priority when it meets it."""
        chance = random.Random(self.seed)  # noqa: S311
        priorities: dict[int, float] = {}

        def go_on(situations: Sequence[Situation]) -> int:
            ready = situations[-1].ready
            for process in sorted(ready):
                if process not in priorities:
                    priorities[process] = 1 + chance.random()
            depth = len(situations) - 1
            for number, change in enumerate(self.changes):
                if change == depth:
                    priorities[max(ready, key=priorities.__getitem__)] = -number
            return max(ready, key=priorities.__getitem__)

        return go_on


class Random:
    """Runs schedules in which each ready process is as likely to be next as any other.

    Args:
        runs: how many.
        seed: the first schedule's seed; the others' follow it.
    """

    coverage = Coverage.SAMPLE

    def __init__(self, runs: int, seed: int) -> None:
        self.name = f"random({runs}, seed {seed})"
        self._seeds = iter(range(seed, seed + runs))

    def next(self) -> SchedulePlan | None:
        """Return a plan with the next seed."""
        seed = next(self._seeds, None)
        return None if seed is None else SchedulePlan((), self._policy(seed), seed)

    def learn(self, plan: SchedulePlan, run: PlanRun) -> None:
        """Learn nothing: every schedule is by itself."""

    def forget(self, plan: SchedulePlan) -> None:
        """Miss one schedule."""

    def _policy(self, seed: int) -> Policy:
        return Uniform(seed)


class PCT(Random):
    """Probabilistic concurrency testing: random priorities that change at a few random steps.

    Of n processes that take k steps together, a bug that needs d orderings of steps is found in one run with
    a probability of at least 1 / (n · k^(d-1)) (Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized
    Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).

    Args:
        runs: how many.
        seed: the first schedule's seed; the others' follow it.
        depth: d, the number of orderings.
        steps: k, the number of steps of a run.
    """

    def __init__(self, runs: int, seed: int, *, depth: int, steps: int) -> None:
        if depth < 1 or steps < 1:
            raise ValueError(f"depth and steps must be positive: {depth}, {steps}")
        super().__init__(runs, seed)
        self.name = f"pct({runs}, seed {seed}, depth {depth}, steps {steps})"
        self._depth, self._steps = depth, steps

    def _policy(self, seed: int) -> Policy:
        chance = random.Random(seed)  # noqa: S311
        changes = tuple(chance.choices(range(self._steps), k=self._depth - 1))
        return Priorities(chance.getrandbits(64), changes)
