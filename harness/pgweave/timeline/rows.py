"""The rows of a timeline in their order, the same in every kind of picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pgweave.timeline.gist import Gist, GistKind, gist
from pgweave.timeline.model import Timeline, TimelineOperation, TimelineStep
from pgweave.visible import one_line

_LONG_ID = re.compile(r"(?<=/)(?=[^/ ]*[0-9])([^/ ?]{8})[^/ ?]{9,}")
"""An id in the path of a request, behind which stands what is asked of it."""
_COUNTED = re.compile(r"(?:SELECT|INSERT 0|UPDATE|DELETE|MERGE|COPY|FETCH) (\d+)")


PARTS = "here the run and the model part"
"""The row at the step from which on the model does not explain the run."""


class RowKind(Enum):
    """What a row shows."""

    INVOKED = "invoked"
    STEP = "step"
    PARTING = "parting"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        kind: What it shows.
        index: Which step, for a step and for the parting; which operation, for the others.
        before: How many steps were taken before it.
    """

    kind: RowKind
    index: int
    before: int


def rows(timeline: Timeline) -> tuple[Row, ...]:
    """Put everything in an order that real time allows.

    An invocation stands right before its step, a response right after; where several stand between two steps,
    responses come first.

    Args:
        timeline: What is drawn.

    Returns:
        The rows, downwards.
    """
    keyed = [((number, 3, 0, 0), Row(RowKind.STEP, number, number)) for number in range(len(timeline.steps))]
    if timeline.parts_at is not None:
        before = timeline.parts_at + 1
        keyed.append(((before, 0, 0, 0), Row(RowKind.PARTING, timeline.parts_at, before)))
    reached = [0] * len(timeline.lanes)
    for index, operation in enumerate(timeline.operations):
        took_none = operation.first is None
        invoked = reached[operation.lane] if operation.first is None else operation.first
        keyed.append(((invoked, 2, index, 0), Row(RowKind.INVOKED, index, invoked)))
        answered = invoked if took_none else _answered(timeline, operation)
        key = (answered, 2, index, 1) if took_none else (answered, 1, index, 0)
        keyed.append((key, Row(RowKind.ANSWERED, index, answered)))
        reached[operation.lane] = answered
    return tuple(row for _, row in sorted(keyed, key=lambda one: one[0]))


def short(step: TimelineStep) -> Gist:
    """A step in short: the gist of its SQL, or its label on one line, in which long ids of a path are cut."""
    if step.kind == "statement":
        return gist(step.label)
    return Gist(_LONG_ID.sub(r"\1…", one_line(step.label)), GistKind.OTHER)


def outcome(step: TimelineStep) -> str:
    """What a step answered, if its gist does not say it already; ``1 row``, ``0 rows``. Not its error."""
    answer = one_line(step.answer)
    counted = _COUNTED.fullmatch(answer)
    if counted is not None:
        return "1 row" if counted[1] == "1" else f"{counted[1]} rows"
    return "" if step.error is not None or short(step).text.startswith(answer) else answer


def model_answers(operation: TimelineOperation) -> str:
    """What the model says instead of an operation's answer; empty where the two agree."""
    if operation.expected is not None:
        return f"the model answers {one_line(operation.expected)}"
    return "the model does not allow this" if operation.is_violation else ""


def details(timeline: Timeline, number: int) -> Iterator[tuple[str, str]]:
    """Everything about a step, as headings and text.

    Args:
        timeline: Where it stands.
        number: Which one.

    Yields:
        The heading and the text of what there is to say.
    """
    step = timeline.steps[number]
    yield f"step {number}", one_line(timeline.lanes[step.lane].name)
    yield step.kind, step.label
    if step.values:
        yield "values", ", ".join(step.values)
    if step.blocked_until == len(timeline.steps):
        yield "waits", "for a lock, to the end of the run"
    elif step.blocked_until is not None:
        yield "waits", f"for a lock, until step {step.blocked_until}"
    if step.answer:
        yield "answer", step.answer
    if step.error is not None:
        yield "error", step.error
    if step.woke:
        woken = ", ".join(f"step {one}" for one in timeline.granted(number))
        yield "wakes", woken


def _answered(timeline: Timeline, operation: TimelineOperation) -> int:
    if operation.last is None:
        return len(timeline.steps)
    is_own = timeline.steps[operation.last].lane == operation.lane
    done = timeline.completed(operation.last) if is_own else operation.last
    return min(done + 1, len(timeline.steps))
