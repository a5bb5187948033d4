"""What is scheduled, and what a run was.

A program has processes, numbered from 0. At each point of a run a process is *ready*, its next step known and
held back; *blocked*, its last step still waiting for a lock that another process holds; or *done*. A
scheduler asks a `Chooser` which ready process takes its step, performs it alone, and asks again. A program
does the same when the same processes are chosen: it is deterministic but for the choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from pgweave.interleavings.footprint import NOTHING, WAITED, Footprint


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """The next step of a ready process.

    Its shape and its footprint are the same in every run with the same choices before it: what is new in each
    run (a fresh id, say) has a name in footprints that does not change.

    Attributes:
        label: what it is, for people: the statement's text, or ``clock +1 s``.
        footprint: what it touches, what it may wake included. It counts as touched even if the step waits or
            fails; what cannot be known before is left to the step's own footprint.
        shape: what of the label is the same in each run; all of it if not given.
    """

    label: str
    footprint: Footprint = NOTHING
    shape: str = ""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Pending)
            and (self.shape or self.label) == (other.shape or other.label)
            and (self.footprint is other.footprint or self.footprint == other.footprint)
        )

    def __hash__(self) -> int:
        return hash(self.shape or self.label)


@dataclass(frozen=True, slots=True)
class Situation:
    """A point of a run at which a process must be chosen.

    Attributes:
        depth: how many steps have been taken.
        ready: the ready processes and their next steps; never empty.
        blocked: the blocked processes.
        last: the process that took the last step, ``None`` at the start.
        touched: what the last step touched, as `Step.touched` says; ``None`` if it touched just what
            was announced while it was pending.
    """

    depth: int
    ready: Mapping[int, Pending]
    blocked: frozenset[int] = frozenset()
    last: int | None = None
    touched: Footprint | None = None


Chooser: TypeAlias = Callable[[Situation], int | None]
"""Names the ready process to step next; ``None`` ends the exploration of this run, which nobody will use."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was taken.

    Attributes:
        process: who took it.
        label: what it was, for people.
        footprint: what it touched. For a step that woke others, what their waiting steps touch included:
            these were completed by it. For the victim of a deadlock, `WAITED` included, and for any step
            that failed, the release of the locks that its transaction held, if it lost them.
        blocked: whether it was left waiting for a lock when the next process was chosen.
        woke: the processes whose waiting step was completed during this one, in that order.
        details: more, for pictures: the statement's values, its answer, its error.
        shape: what of the label is the same in each run; all of it if not given.
    """

    process: int
    label: str
    footprint: Footprint = NOTHING
    blocked: bool = False
    woke: tuple[int, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    shape: str = ""

    @property
    def touched(self) -> Footprint:
        """The footprint, with `WAITED` for a step that was left waiting."""
        return self.footprint | WAITED if self.blocked else self.footprint


@dataclass(frozen=True, slots=True)
class Execution:
    """A run.

    Attributes:
        steps: the steps, in the order in which they were taken.
        complete: whether every process came to its end; ``False`` if the chooser ended it.
        result: what the program makes of a complete run: answers, histories; anything.
        strays: connections on which statements came while no process ran: these were not scheduled.
        impatient: processes that asked the same again and again, and went on although nobody had done
            anything: that they do so while others are at work was not scheduled.
    """

    steps: tuple[Step, ...]
    complete: bool
    result: Any = None
    strays: tuple[str, ...] = ()
    impatient: tuple[str, ...] = ()

    @property
    def schedule(self) -> tuple[int, ...]:
        """The processes in the order of their steps: enough to run it again."""
        return tuple(step.process for step in self.steps)


class DivergenceError(RuntimeError):
    """A run did otherwise than an earlier one with the same choices; the message says where and how."""


class OutdatedError(DivergenceError):
    """A run has shown something of the program that earlier runs did not know of: they are run again."""


class Program(Protocol):
    """Something that can be run from its start, again and again."""

    @property
    def processes(self) -> int:
        """How many processes there are."""

    async def run(self, choose: Chooser) -> Execution:
        """Run it once.

        Raises:
            SchedulingError: A process neither came to its next step nor blocked nor ended within the limits.
        """


class SchedulingError(RuntimeError):
    """A run could not go on; the message says who was waiting for what."""
