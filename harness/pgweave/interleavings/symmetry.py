"""Processes that do the same but for names of their own: of runs in which they change places, one is enough.

With such processes renamed, each run is a run again (Clarke, Enders, Filkorn and Jha, "Exploiting Symmetry in
Temporal Logic Model Checking", FMSD 1996). So the members of a group may be made to take one of their steps
in a fixed order: whatever run there is, renaming its processes gives one in which they do. Any step will do;
the reduction is best where the order makes a difference, so it is the first step in which each member depends
on each other. Waiting for one's turn is like waiting for a semaphore: an order that no run can reverse, and
so no race.

That processes are interchangeable is an assumption about the program. It is checked by runs of the same plan
with other processes in each other's place: they must take the same steps and come to the same end.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import Any, NamedTuple, TypeAlias

from pgweave.interleavings.execution import Execution, Pending, Situation, Step
from pgweave.interleavings.happens_before import Dependence, Turn, Turns
from pgweave.interleavings.strategy import Continuation, Policy, SchedulePlan

Groups: TypeAlias = Sequence[Sequence[int]]
"""Processes that may take each other's place, in groups of at least two."""


def turns_in(steps: Sequence[Step], groups: Groups, dependence: Dependence) -> Turns:
    """Return the order in which members have to take one of their steps, as they did in this run.

    A group whose members' steps do not depend on each other has none.

    Args:
        steps: the steps of a run, in which nobody had to wait for a turn.
        groups: which processes are interchangeable.
        dependence: which footprints are dependent.
    """
    found: dict[int, Turn] = {}
    for group in groups:
        taken = {member: _steps_of(member, steps, dependence) for member in group}
        for number, of_each in enumerate(zip(*taken.values(), strict=False)):
            if all(
                dependence.dependent(one.footprint, other.footprint)
                for one, other in combinations(of_each, 2)
            ):
                order = sorted(taken, key=lambda member: taken[member][number].place)
                found.update((later, Turn(earlier, number + 1)) for earlier, later in pairwise(order))
                break
    return found


class _Taken(NamedTuple):
    place: int
    footprint: int


def _steps_of(process: int, steps: Sequence[Step], dependence: Dependence) -> list[_Taken]:
    return [
        _Taken(place, dependence.number(step.touched))
        for place, step in enumerate(steps)
        if step.process == process
    ]


@dataclass(frozen=True, slots=True)
class Renaming:
    """Processes in each other's place, and their names with them.

    Attributes:
        processes: who takes whose place; who is not there stays where it is.
        names: what takes the place of which name.
    """

    processes: Mapping[int, int]
    names: Mapping[Hashable, Hashable] = field(default_factory=dict)

    @property
    def inverse(self) -> Renaming:
        """What undoes it."""
        return Renaming(_inverse(self.processes), _inverse(self.names))

    def process(self, process: int) -> int:
        """Return who takes a process's place."""
        return self.processes.get(process, process)

    def text(self, text: str) -> str:
        """Return a text with names replaced where they stand as words."""
        names = {str(name): str(other) for name, other in self.names.items()}
        if not names:
            return text
        return re.sub(rf"\b(?:{'|'.join(map(re.escape, names))})\b", lambda found: names[found[0]], text)

    def plan(self, plan: SchedulePlan) -> SchedulePlan:
        """Return the plan in which others take the steps."""
        return replace(plan, prefix=tuple(map(self.process, plan.prefix)), policy=Renamed(plan.policy, self))

    def situation(self, situation: Situation) -> Situation:
        """Return the situation in which others stand, with labels as they are: no policy reads them."""
        return replace(
            situation,
            ready={self.process(process): self._pending(step) for process, step in situation.ready.items()},
            blocked=frozenset(map(self.process, situation.blocked)),
            last=None if situation.last is None else self.process(situation.last),
            touched=None if situation.touched is None else situation.touched.renamed(self.names),
        )

    def execution(self, execution: Execution) -> Execution:
        """Return the run of others; its result stays as it is."""
        return replace(execution, steps=tuple(map(self._step, execution.steps)))

    def _step(self, step: Step) -> Step:
        return replace(
            step,
            process=self.process(step.process),
            label=self.text(step.label),
            footprint=step.footprint.renamed(self.names),
            woke=tuple(map(self.process, step.woke)),
            shape=self.text(step.shape),
        )

    def _pending(self, step: Pending) -> Pending:
        return replace(step, footprint=step.footprint.renamed(self.names))


def _inverse(mapping: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return {value: key for key, value in mapping.items()}


@dataclass(frozen=True, slots=True)
class Renamed:
    """Goes on as a policy would if processes were in each other's place.

    Attributes:
        policy: the policy.
        renaming: who takes whose place.
    """

    policy: Policy
    renaming: Renaming

    def start(self) -> Continuation:
        """Return a continuation that lets the policy see the processes that it knows."""
        go_on, back = self.policy.start(), self.renaming.inverse
        known: list[Situation] = []

        def go_on_renamed(situations: Sequence[Situation]) -> int | None:
            known.extend(map(back.situation, situations[len(known) :]))
            process = go_on(known)
            return None if process is None else self.renaming.process(process)

        return go_on_renamed


@dataclass(frozen=True, slots=True)
class Symmetry:
    """Which processes of a program are interchangeable.

    Attributes:
        groups: they, in groups of at least two.
        names: the names that a process alone uses; those of one group's members correspond, in their order.
        result_key: what of a run's result must be the same if processes are renamed so.
    """

    groups: Groups
    names: Mapping[int, Sequence[Hashable]] = field(default_factory=dict)
    result_key: Callable[[Any, Renaming], Any] = lambda result, _renaming: result

    def renaming(self, processes: Mapping[int, int]) -> Renaming:
        """Return the renaming that lets processes take each other's place."""
        names = {
            name: other
            for process, place in processes.items()
            for name, other in zip(self.names.get(process, ()), self.names.get(place, ()), strict=True)
        }
        return Renaming(processes, names)

    def image(self, execution: Execution, renaming: Renaming) -> Execution:
        """Return the run of others, with what of its result can be compared in the place of that."""
        result = self.result_key(execution.result, renaming) if execution.complete else None
        return replace(renaming.execution(execution), result=result)

    def draw(self, chance: random.Random) -> Renaming:
        """Draw a renaming in which some process takes another's place."""
        processes: dict[int, int] = {}
        while all(process == place for process, place in processes.items()):
            for group in self.groups:
                processes.update(zip(group, chance.sample(list(group), len(group)), strict=True))
        return self.renaming(processes)
