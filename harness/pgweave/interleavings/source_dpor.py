"""Source-DPOR: of all schedules that differ only in the order of independent steps, run one.

The algorithm is that of Abdulla, Aronis, Jonsson and Sagonas ("Optimal Dynamic Partial Order Reduction", POPL
2014, algorithm 1; "Source Sets: A Foundation for Optimal Dynamic Partial Order Reduction", JACM 2017). For
every race in a run, the steps that do not need the first of the two, and then the second, could have been
taken instead from where the first was: unless a process that can begin that is a branch there already, one
becomes a branch. A process that was a branch before sleeps in the branches after it, until something happens
that depends on its step. When every ready process sleeps, all that can follow is explored elsewhere: the run
is abandoned.

Two things are particular to steps that wait for locks. A step that cannot have its lock is taken all the
same, and waits; what wakes it is the end of another transaction, whose order with it is a race like any
other, for the end could have come first. And the woken process's next step comes after what woke it, which is
no race.

Branches of a node may be run at the same time. A branch sleeps on those that were added before it, whether or
not everything below them has been run: no branch waits for itself, and in the end all have been run. Only the
first run of each is needed, which tells what its step touches; the next branch of the node waits for that.

Where processes are interchangeable, they take one of their steps in turns, as `symmetry` says: of the classes
that differ only in who of them does what, one is run.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgweave.interleavings.execution import Situation, Step
from pgweave.interleavings.footprint import Footprint
from pgweave.interleavings.happens_before import Dependence, Turns, causality, has_turn
from pgweave.interleavings.strategy import (
    Continuation,
    Coverage,
    PlanRun,
    SchedulePlan,
    preferred,
    touched,
)
from pgweave.interleavings.symmetry import Groups, turns_in
from pgweave.interleavings.tree import TreeNode, check


@dataclass(frozen=True, slots=True)
class Awake:
    """Goes on with a process that is not asleep and has its turn; ends the run when no ready one is.

    Attributes:
        sleep: who sleeps where the last step of the prefix was chosen, with what their steps touch.
        turns: who has to wait for whom.
    """

    sleep: Mapping[int, Footprint]
    turns: Turns = field(default_factory=dict)

    def start(self) -> Continuation:
        """Return a continuation that wakes the sleepers of one run."""
        sleep = dict(self.sleep)

        def go_on(situations: Sequence[Situation]) -> int | None:
            if len(situations) > 1:
                wake(sleep, touched(situations))
            situation = situations[-1]
            taken = [each.last for each in situations]
            awake = [
                process
                for process in situation.ready
                if process not in sleep and has_turn(process, taken, self.turns)
            ]
            return preferred(situation, awake) if awake else None

        return go_on


def wake(sleep: dict[int, Footprint], happened: Footprint) -> None:
    """Remove the processes whose steps depend on what happened."""
    for process in [one for one, footprint in sleep.items() if footprint.dependent(happened)]:
        del sleep[process]


class SourceDPOR:
    """Explores one schedule of each class, depth first.

    Args:
        dependence: which steps depend on each other.
        groups: the processes that are interchangeable; of classes in which they change places, one is run.
    """

    name = "source-dpor"
    coverage = Coverage.CLASSES

    def __init__(self, dependence: Dependence | None = None, groups: Groups = ()) -> None:
        self._dependence = dependence or Dependence()
        self._groups = groups
        self._turns: Turns = {}
        self.root: TreeNode | None = None
        self._first: SchedulePlan | None = SchedulePlan((), Awake({}))
        # Deepest first; among equals, in the order in which they were added.
        self._todo: list[tuple[int, int, TreeNode, int]] = []
        self._added = 0

    def next(self) -> SchedulePlan | None:
        """Return the plan for the deepest branch that can be run."""
        if self._first is not None:
            plan, self._first = self._first, None
            return plan
        if not self._todo:
            return None
        _, _, node, process = heapq.heappop(self._todo)
        return SchedulePlan((*node.prefix(), process), Awake(_asleep_below(node, process), self._turns))

    def learn(self, plan: SchedulePlan, run: PlanRun) -> None:
        """Take in a run: its new nodes, and the branches that its races call for."""
        path = self._path(plan.prefix)
        check([node.situation for node in path], run.situations)
        steps = run.execution.steps
        known = len(path)
        if path:
            self._ran(path[-1], steps[known - 1])
        else:
            self._turns = turns_in(steps, self._groups, self._dependence)
        self._extend(path, run)
        found = causality(steps, self._dependence, first=known - 1, turns=self._turns)
        for earlier, later in found.races:
            self._reverse(path[earlier], _initials(steps, found.before, earlier, later))
        if path:
            path[-1].finish(steps[-1].process)

    def forget(self, plan: SchedulePlan) -> None:
        """Give up a branch; the ones after it do not sleep on it."""
        if plan.prefix:
            node, process = self._path(plan.prefix)[-1], plan.prefix[-1]
            node.branches[process].ran = True
            self._schedule(node)
            node.finish(process)

    def _path(self, prefix: Sequence[int]) -> list[TreeNode]:
        """Return the nodes at which the processes of a prefix stepped."""
        path: list[TreeNode] = []
        node = self.root
        for process in prefix:
            if node is None:
                raise RuntimeError(f"no node is kept for {tuple(prefix)}, which was planned")
            path.append(node)
            node = node.branches[process].child
        return path

    def _extend(self, path: list[TreeNode], run: PlanRun) -> None:
        """Add the nodes and branches of a run that are new."""
        for depth in range(len(path), len(run.execution.steps)):
            situation, sleep, parent = run.situations[depth], {}, None
            if depth:
                parent = (path[-1], run.execution.steps[depth - 1].process)
                sleep = _asleep_below(*parent)
                wake(sleep, touched(run.situations[: depth + 1]))
            node = TreeNode(situation, parent, sleep)
            if parent is None:
                self.root = node
            path.append(node)
            node.add(run.execution.steps[depth].process)
            self._ran(node, run.execution.steps[depth])

    def _ran(self, node: TreeNode, step: Step) -> None:
        branch = node.branches[step.process]
        branch.ran, branch.touched = True, step.touched
        self._schedule(node)

    def _reverse(self, node: TreeNode, initials: Sequence[int]) -> None:
        """See to it that a process that can begin a reversal is run where the race's first was."""
        # None of them sleeps here: what woke it since comes before its step, so it could not begin.
        if any(process in node.branches for process in initials):
            return
        ready = node.situation.ready
        able = [process for process in initials if process in ready]
        # None is ready if a footprint said too little; what may be missed then begins with some other one.
        for process in able[:1] or self._with_turn(node):
            if process not in node.branches and process not in node.sleep:
                node.add(process)
                self._schedule(node)

    def _with_turn(self, node: TreeNode) -> list[int]:
        taken = node.prefix()
        return [process for process in sorted(node.situation.ready) if has_turn(process, taken, self._turns)]

    def _schedule(self, node: TreeNode) -> None:
        """Put the next branch of a node on the list, if those before it have been run."""
        waiting = [process for process, branch in node.branches.items() if not branch.ran]
        if waiting and not node.branches[waiting[0]].planned:
            node.branches[waiting[0]].planned = True
            self._added += 1
            heapq.heappush(self._todo, (-node.depth, self._added, node, waiting[0]))


def _asleep_below(node: TreeNode, process: int) -> dict[int, Footprint]:
    """Return who sleeps while a process steps at a node: who slept there or stepped before it."""
    sleep = dict(node.sleep)
    for earlier, branch in node.branches.items():
        if earlier == process:
            break
        if branch.touched is not None:
            sleep[earlier] = branch.touched
    return sleep


def _initials(steps: Sequence[Step], before: Sequence[int], first: int, second: int) -> list[int]:
    """Return who can begin the reversal of a race, the second step's process first if it can.

    The reversal is made of the steps between the two that need not come after the first, and the second.
    """
    reversal = 1 << second
    for index in range(first + 1, second):
        if not before[index] >> first & 1:
            reversal |= 1 << index
    able = [
        steps[index].process
        for index in range(second, first, -1)
        if reversal >> index & 1 and not before[index] & reversal
    ]
    return list(dict.fromkeys(able))
