"""A schedule in stretches: who goes on, and for how many steps. Made to be drawn and shrunk.

A schedule that names a process for every step is a poor thing to shrink: without one of its steps, all that
come later mean something else. Here the shortest schedule, the empty one, lets each process run until it has
to stop, and each stretch adds at most one switch that need not have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pgweave.interleavings.execution import Situation
from pgweave.interleavings.strategy import Continuation


class Stretch(NamedTuple):
    """Some steps of one process in a row.

    Attributes:
        other: which of the other ready processes it is, by their numbers; counted round if there are fewer.
        steps: how many it takes, at least one; fewer if it blocks or ends before.
    """

    other: int
    steps: int


@dataclass(frozen=True, slots=True)
class Stretches:
    """Chooses stretch by stretch; after the last, each process goes on as long as it can.

    Attributes:
        stretches: the first stretches.
    """

    stretches: tuple[Stretch, ...]

    def start(self) -> Continuation:
        """Return a continuation that uses the stretches up."""
        coming = iter(self.stretches)
        current: int | None = None
        left: int | None = 0

        def go_on(situations: Sequence[Situation]) -> int:
            nonlocal current, left
            others = sorted(process for process in situations[-1].ready if process != current)
            may_go_on = current in situations[-1].ready and left != 0
            if current is None or (others and not may_go_on):
                stretch = next(coming, None)
                current = others[0 if stretch is None else stretch.other % len(others)]
                left = None if stretch is None else stretch.steps
            if left:
                left -= 1
            return current

        return go_on
