"""What is drawn: a run as plain data, which knows no service, no database and no page.

Everything is tuples, strings and numbers, so that `msgspec.json` writes it and reads it back unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pgweave.interleavings.execution import Execution, Step

StepKind: TypeAlias = Literal["statement", "clock", "other"]


@dataclass(frozen=True, slots=True)
class Lane:
    """One who acts: a client, or the clock.

    Attributes:
        name: The heading of its column.
    """

    name: str


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One step of the run.

    Attributes:
        lane: Whose it was, from 0.
        label: What it was: the text of a SQL statement, or ``clock +1 s``.
        kind: Whether the label is SQL, a movement of the clock, or words.
        blocked_until: For a step that waited for a lock, the step during which it was completed; the number
            of steps if it still waited at the end of the run. None for a step that did not wait.
        woke: The lanes whose waiting step was completed during this one.
        answer: What the database answered: ``UPDATE 1``. Empty if nothing is known.
        error: The error that it answered instead.
        values: The values bound to the statement, as a reader shall see them.
    """

    lane: int
    label: str
    kind: StepKind = "statement"
    blocked_until: int | None = None
    woke: tuple[int, ...] = ()
    answer: str = ""
    error: str | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimelineOperation:
    """What a client asked, and what it was answered.

    Attributes:
        lane: Whose it was, from 0.
        text: What was asked: ``write k1 500``.
        answer: What was answered: ``200 ok``. Empty if there was no answer.
        expected: What the model would have answered; set where the two part.
        first: The step before which it was invoked. None if it took no step: then it is drawn after what came
            before it in its lane.
        last: The step after which it was answered; if that one waited, after it was completed. None for an
            operation that took no step, or that was not answered in this run.
        is_violation: Whether this answer is the one that the model refuses.
    """

    lane: int
    text: str
    answer: str = ""
    expected: str | None = None
    first: int | None = None
    last: int | None = None
    is_violation: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run, ready to be drawn.

    Attributes:
        title: The heading.
        subtitle: A line below it: where the run comes from. May be empty.
        lanes: Who acts.
        steps: What was done, in order.
        operations: What was asked and answered; those of one lane in order.
        verdict: The verdict, and why, in a line.
        explanation: More, as preformatted text. May be empty.
        parts_at: The step after which the run and the model part. None if they do not.

    Raises:
        ValueError: A number names no lane or step, or a wait has no step that ended it; says which.
    """

    title: str
    subtitle: str
    lanes: tuple[Lane, ...]
    steps: tuple[TimelineStep, ...]
    operations: tuple[TimelineOperation, ...] = ()
    verdict: str = ""
    explanation: str = ""
    parts_at: int | None = None

    def __post_init__(self) -> None:
        for number, step in enumerate(self.steps):
            self._require_lane(step.lane, f"step {number}")
            self._require_wait(number, step)
        for operation in self.operations:
            where = f"operation {operation.text!r}"
            self._require_lane(operation.lane, where)
            self._require_span(operation, where)
        if self.parts_at is not None and self.parts_at not in range(len(self.steps)):
            raise ValueError(f"parts_at is {self.parts_at}; there are {len(self.steps)} steps")

    @property
    def is_violation(self) -> bool:
        """Whether the run has something that the model does not explain."""
        return self.parts_at is not None or any(operation.is_violation for operation in self.operations)

    def completed(self, number: int) -> int:
        """The step during which a step was completed: itself, unless it waited."""
        until = self.steps[number].blocked_until
        return number if until is None else until

    def granted(self, number: int) -> tuple[int, ...]:
        """The waiting steps that were completed during a step."""
        return tuple(one for one, step in enumerate(self.steps) if step.blocked_until == number)

    def _require_lane(self, lane: int, where: str) -> None:
        if lane not in range(len(self.lanes)):
            raise ValueError(f"{where} is in lane {lane}; there are {len(self.lanes)} lanes")

    def _require_wait(self, number: int, step: TimelineStep) -> None:
        waiters = tuple(self.steps[one].lane for one in self.granted(number))
        if sorted(step.woke) != sorted(waiters):
            raise ValueError(f"step {number} woke lanes {step.woke}, but lanes {waiters} waited until then")
        until = step.blocked_until
        if until is None:
            return
        if not number < until <= len(self.steps):
            raise ValueError(f"step {number} is blocked until {until}; that is no later step")
        meanwhile = [other for other in range(number + 1, until) if self.steps[other].lane == step.lane]
        if meanwhile:
            raise ValueError(f"step {number} waits until {until}, yet its lane takes step {meanwhile[0]}")

    def _require_span(self, operation: TimelineOperation, where: str) -> None:
        first, last = operation.first, operation.last
        for number in (first, last):
            if number is not None and number not in range(len(self.steps)):
                raise ValueError(f"{where} names step {number}; there are {len(self.steps)} steps")
        if last is not None and (first is None or last < first):
            raise ValueError(f"{where} is answered after step {last} but invoked before step {first}")


def from_execution(
    execution: Execution,
    names: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    operations: Sequence[TimelineOperation] = (),
    verdict: str = "",
    explanation: str = "",
    parts_at: int | None = None,
) -> Timeline:
    """Make a run drawable.

    Of the details of a step it uses ``values`` (a sequence), ``answer``, ``error``, and ``kind``. A step
    without a kind is a clock's if its label begins with ``clock``, else a statement.

    Args:
        execution: The run.
        names: The headings of its processes.
        title: See `Timeline`, as for the rest.
        subtitle: A line below the title.
        operations: What was asked and answered.
        verdict: The verdict, and why, in a line.
        explanation: More, as preformatted text.
        parts_at: The step after which the run and the model part.

    Raises:
        ValueError: The parts do not fit together; says what.
    """
    steps = execution.steps
    # A process that waited before its first step has none to be drawn as waiting.
    ends = [_blocked_until(steps, number) for number in range(len(steps))]
    return Timeline(
        title=title,
        subtitle=subtitle,
        lanes=tuple(map(Lane, names)),
        steps=tuple(
            _step(step, until, tuple(steps[one].process for one in range(len(steps)) if ends[one] == number))
            for number, (step, until) in enumerate(zip(steps, ends, strict=True))
        ),
        operations=tuple(operations),
        verdict=verdict,
        explanation=explanation,
        parts_at=parts_at,
    )


def _blocked_until(steps: Sequence[Step], number: int) -> int | None:
    if not steps[number].blocked:
        return None
    process = steps[number].process
    later = range(number + 1, len(steps))
    return next((other for other in later if process in steps[other].woke), len(steps))


def _step(step: Step, blocked_until: int | None, woke: tuple[int, ...]) -> TimelineStep:
    details = step.details
    error = details.get("error")
    return TimelineStep(
        lane=step.process,
        label=step.label,
        kind=_kind(step.label, details),
        blocked_until=blocked_until,
        woke=woke,
        answer=str(details.get("answer") or ""),
        error=None if error is None else str(error),
        values=tuple(map(str, details.get("values") or ())),
    )


def _kind(label: str, details: Mapping[str, Any]) -> StepKind:
    kind = details.get("kind", "clock" if label.startswith("clock") else "statement")
    if kind not in ("statement", "clock", "other"):
        raise ValueError(f"{label!r} is of kind {kind!r}; a step is a statement, clock, or other")
    return kind  # type: ignore[no-any-return]
