"""A schedule in segments: which process goes on, and for how many steps. Made to be drawn and shrunk.

A schedule that names a process for every step shrinks badly: without one of its steps, all later ones mean
something else. Here the shortest schedule, the empty one, lets each process run until it has to stop, and
each segment adds at most one switch that need not have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pgweave.interleavings.execution import Situation
from pgweave.interleavings.strategy import Continuation


class Segment(NamedTuple):
    """Some steps of one process in a row.

    Attributes:
        other: which of the other ready processes it is, by their numbers; counted round if there are fewer.
        steps: how many it takes, at least one; fewer if it blocks or ends before.
    """

    other: int
    steps: int


@dataclass(frozen=True, slots=True)
class FollowSegments:
    """Takes segment by segment; after the last, each process goes on as long as it can.

    Attributes:
        segments: the first segments.
    """

    segments: tuple[Segment, ...]

    def start(self) -> Continuation:
        """Return a continuation that uses the segments up."""
        coming = iter(self.segments)
        current: int | None = None
        left: int | None = 0

        def go_on(situations: Sequence[Situation]) -> int:
            nonlocal current, left
            others = sorted(process for process in situations[-1].ready if process != current)
            may_go_on = current in situations[-1].ready and left != 0
            if current is None or (others and not may_go_on):
                segment = next(coming, None)
                current = others[0 if segment is None else segment.other % len(others)]
                left = None if segment is None else segment.steps
            if left:
                left -= 1
            return current

        return go_on
