"""What a run of the stateful machine has exercised, and the smallest mismatch that it has found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from payments_verify.payments.inputs.classes import BEGIN, DAY, EPOCH
from payments_verify.payments.programs.reproduction import Call, Program
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.state_edges import Edge, edge_counts
from pgweave.service.end import End

SHRINKING_LIMIT_S = 45.0
"""How long a mismatch is made smaller, in seconds; what is smallest then is told."""

_LATEST_BEGIN = EPOCH + 220 * 365 * DAY  # the clock can be set up to the year 2255


class NoMoreProgramsError(BaseException):
    """A mismatch is small enough, or the service has ended; Hypothesis would go on after an ``Exception``."""


@dataclass
class Tally:
    """How much a run has exercised.

    Attributes:
        examples: programs run.
        steps: commands sent by rules.
        comparisons: answers compared with the model's, those of the checks after each step included.
        outcomes: how often each command had each outcome.
        exercised: how often each transition of the model was taken.
        on_example: called when a program begins.
        began: when the run began, on this process's monotonic clock, in seconds.
        program: commands of the program that is run, or was run last: the shortest, once one has failed.
        first: programs and seconds up to the first mismatch; ``None`` without one.
        smallest: the mismatch of the shortest program so far; ``None`` without one.
        size: commands of that program.
        ended: what the last program had asked when the service was ended; ``None`` if it was not.
        programs: every program's calls, in their order.
        smallest_at: which of them that program is.
        told: the calls that were run last and failed, once that program has been run again.
        now: where the clock stands; it does not go back from one program to the next.
        inputs: how often a program came to each class of inputs.
    """

    examples: int = 0
    steps: int = 0
    comparisons: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    exercised: Counter[Edge] = field(default_factory=Counter)
    on_example: Callable[[], None] = lambda: None
    began: float = field(default_factory=time.monotonic)
    program: int = 0
    first: tuple[int, float] | None = None
    smallest: MismatchError | None = None
    size: int = 0
    ended: MismatchError | None = None
    programs: list[list[Call]] = field(default_factory=list)
    smallest_at: int = 0
    told: Program = ()
    now: int = BEGIN
    inputs: Counter[str] = field(default_factory=Counter)

    def begin_example(self) -> None:
        """Count a program that begins.

        Raises:
            NoMoreProgramsError: it would make a mismatch smaller, and the time for that is over.
        """
        if self.first is not None and time.monotonic() - self.began > self.first[1] + SHRINKING_LIMIT_S:
            raise NoMoreProgramsError
        self.examples += 1
        self.program = 0
        self.programs.append([])
        if self.now > _LATEST_BEGIN:
            self.now = BEGIN
        self.on_example()

    def kept(self, mismatch: MismatchError) -> MismatchError:
        """A mismatch, to be raised: the smallest is known from now on, and when the first came."""
        self.first = self.first or (self.examples, time.monotonic() - self.began)
        if self.smallest is None or self.program <= self.size:
            self.smallest, self.size, self.smallest_at = mismatch, self.program, len(self.programs) - 1
        return mismatch

    def keep_end(self, mismatch: MismatchError, end: End) -> None:
        """Note what was asked when the service ended: a mismatch if that is its own doing."""
        mismatch.add_note("what was asked until then:\n  " + "\n  ".join(mismatch.commands))
        if end.is_its_own and self.smallest is None:
            self.kept(mismatch)
        else:
            self.ended = mismatch

    @property
    def first_mismatch(self) -> dict[str, Any] | None:
        """When the first mismatch came, and how many commands the shortest program has that shows it."""
        if self.first is None:
            return None
        examples, seconds = self.first
        breaks = [] if self.smallest is None else sorted(self.smallest.breaks)
        return {"examples": examples, "seconds": round(seconds, 3), "commands": self.size, "breaks": breaks}

    def as_json(self) -> dict[str, Any]:
        """What was exercised, as plain data."""
        return {
            "examples": self.examples,
            "comparisons": self.comparisons,
            "outcomes": dict(sorted(self.outcomes.items())),
            "exercised": edge_counts(self.exercised),
        }
