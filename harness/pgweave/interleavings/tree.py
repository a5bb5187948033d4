"""The tree of schedules, as far as a strategy has to remember it.

A node is a situation; a branch, a process that may step there. A node is kept while some branch below it is
still to be run: a later run through it must meet what earlier ones met, and may find that more branches are
needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgweave.interleavings.execution import DivergenceError, Situation
from pgweave.interleavings.footprint import Footprint
from pgweave.interleavings.strategy import described


class Branch:
    """A process that steps, or may step, at a node.

    Attributes:
        touched: what its step touched; ``None`` before it was run.
        planned: whether a plan for it may be handed out, or has been.
        ran: whether a run through it has been learned, or given up.
        child: the node after it, while that is kept.
    """

    __slots__ = ("child", "planned", "ran", "touched")

    def __init__(self) -> None:
        self.touched: Footprint | None = None
        self.planned = False
        self.ran = False
        self.child: TreeNode | None = None


class TreeNode:
    """A situation from which runs go on.

    Attributes:
        situation: what was ready and blocked there.
        depth: how many steps come before it.
        parent: the node before it, and the process that stepped there.
        sleep: processes that need not step here, because runs in which they do are explored elsewhere, until
            something dependent on their steps happens; with what their steps touch.
        branches: the processes that have stepped or will, in the order in which that was decided.
    """

    __slots__ = ("branches", "depth", "parent", "situation", "sleep", "unfinished")

    def __init__(
        self, situation: Situation, parent: tuple[TreeNode, int] | None, sleep: Mapping[int, Footprint]
    ) -> None:
        self.situation = situation
        self.depth: int = parent[0].depth + 1 if parent else 0
        self.parent = parent
        self.sleep = sleep
        self.branches: dict[int, Branch] = {}
        self.unfinished = 0
        if parent is not None:
            parent[0].branches[parent[1]].child = self

    def add(self, process: int) -> Branch:
        """Add a branch."""
        branch = self.branches[process] = Branch()
        self.unfinished += 1
        return branch

    def finish(self, process: int) -> None:
        """Note that everything below a branch has been run; forget what nobody will come back to."""
        node, branch = self, self.branches[process]
        while True:
            branch.child = None
            node.unfinished -= 1
            if node.unfinished or node.parent is None:
                return
            node, process = node.parent
            branch = node.branches[process]

    def prefix(self) -> tuple[int, ...]:
        """Return the processes that lead here."""
        found = []
        node = self
        while node.parent is not None:
            node, process = node.parent
            found.append(process)
        return tuple(reversed(found))


def check(expected: Sequence[Situation], situations: Sequence[Situation]) -> None:
    """Check that a run met the situations that earlier runs met.

    Raises:
        DivergenceError: It did not; the message says where the two part.
    """
    for depth, (earlier, met) in enumerate(zip(expected, situations, strict=False)):
        if met.blocked != earlier.blocked or met.ready != earlier.ready:
            raise DivergenceError(
                f"step {depth}: expected {described(earlier)}; met {described(met)}"
                + _footprints(earlier, met)
            )
    if len(situations) < len(expected):
        missed = described(expected[len(situations)])
        raise DivergenceError(f"step {len(situations)}: expected {missed}; met the end of the run")


def _footprints(earlier: Situation, met: Situation) -> str:
    """Say whose pending footprint changed, which the labels do not show."""
    changed = [
        str(process)
        for process, step in earlier.ready.items()
        if process in met.ready and met.ready[process].footprint != step.footprint
    ]
    return f"; other footprints than before of process {', '.join(changed)}" if changed else ""
