"""What a race is made of, whatever the clients race for.

A domain makes the world of each schedule: rows that no other schedule uses, and the bodies of the actors. Its
judge says what is wrong with a run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pgweave.interleavings.execution import Execution
from pgweave.scheduler import LOOKS, Body, GatedDatabase, Limits, Run

Violation = TypeVar("Violation")
Violation_co = TypeVar("Violation_co", covariant=True)


@dataclass
class Facts:
    """What runs have shown of a service, which later runs have to know from their beginning.

    Attributes:
        start_is_read: whether some statement asks when its transaction began: then ``BEGIN`` reads the clock.
        answers_alone: whether some request was answered without a statement: out of a cache, or together with
            another. Then sending a request is a step, for its answer depends on what was done before.
        leaves_locks: whether a connection was left in a transaction, with its locks, for all the time that it
            had: then the next is not given as much.
        looks: how many rounds of the same statements with the same answers are a poll: more than some actor
            has asked that went on although nobody had done anything.
        polled: whether some actor was found to poll, and was not scheduled until another had done something.
    """

    start_is_read: bool = False
    answers_alone: bool = False
    leaves_locks: bool = False
    looks: int = LOOKS
    polled: bool = False


@dataclass(frozen=True)
class World:
    """What one schedule is run in.

    Attributes:
        bodies: what each actor does, with its name.
        observe: looks at the end of a complete run; what it returns is the run's result.
        names: for ids that are new in each schedule, names that are the same in all.
        limits: how long the run waits.
    """

    bodies: Sequence[tuple[str, Body]]
    observe: Callable[[Run], Awaitable[Any]]
    names: Mapping[Hashable, Hashable] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


class Judge(Protocol[Violation_co]):
    """Judges runs, and may remember what it has seen of earlier ones."""

    def find_violation(self, execution: Execution) -> Violation_co | None:
        """Return what is wrong with a complete run; ``None`` if nothing is."""


class Domain(Protocol[Violation_co]):
    """What is raced for, and who races."""

    @property
    def name(self) -> str:
        """The race's name."""

    @property
    def actors(self) -> Sequence[str]:
        """The names of those who race."""

    @property
    def database(self) -> GatedDatabase | None:
        """Where statements appear as steps; ``None`` if the bodies stop of themselves before each step."""

    async def prepare(self) -> None:
        """Leave nothing that a schedule could find of what was before all of them."""

    def world(self, facts: Facts, *, hurt: bool) -> AbstractAsyncContextManager[World]:
        """Make the world of one schedule. When the block ends, no later schedule can find anything of it.

        Args:
            facts: what is known of the service.
            hurt: whether something goes wrong on purpose in this schedule.

        Raises:
            SchedulingError: it cannot be made.
            BrokenServiceError: after something went wrong on purpose, the service is broken for good.
        """

    def is_answer(self, result: Any) -> bool:  # noqa: ANN401 - the domain's
        """Whether the result of an operation is an answer, and not the lack of one."""

    def outcomes(self, result: Any) -> Hashable:  # noqa: ANN401 - the domain's
        """Return what of a run's result is the same when the same schedule is run again."""

    def judge(self, *, hurt: bool) -> Judge[Violation_co]:
        """Make a judge of runs, in which something may have gone wrong on purpose."""


class BrokenServiceError(RuntimeError, Generic[Violation]):
    """The service is found broken for good, so that a schedule could not be run.

    Attributes:
        violation: what is wrong.
    """

    def __init__(self, violation: Violation) -> None:
        self.violation = violation
        super().__init__(str(violation))
