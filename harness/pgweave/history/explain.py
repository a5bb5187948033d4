"""Explains why a history is not linearizable.

The explanation of a refuted part is a longest linearizable prefix, and for every operation that could come
next in real time, what the specification would have answered instead of what was observed. It is data, for
any page or report; `render` writes it as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgweave.history.lanes import Bar, draw
from pgweave.history.linearizability import Part
from pgweave.history.operations import Operation
from pgweave.history.spec import S, Spec
from pgweave.visible import one_line

_SHOWN = 8
_STATE_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """An operation of the linearizable prefix.

    Attributes:
        operation: The operation.
        description: What was called and observed, in the words of the specification.
        state: The state after it, as `repr` shows it.
    """

    operation: Operation
    description: str
    state: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """An operation that would have to come next, but cannot.

    Attributes:
        operation: The operation.
        description: What was called and observed, in the words of the specification.
        expected: What the specification would have answered in the state after the prefix.
    """

    operation: Operation
    description: str
    expected: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one part of a history has no linearization.

    Attributes:
        spec: The name of the specification.
        label: The label of the part.
        answered: How many operations of the part have a response.
        initial: The state before the first operation.
        prefix: A longest linearizable prefix: none gets past more responses in real time, and none that gets
            as far places more answered operations. It may use operations without a response.
        state: The state after the prefix.
        blocked: Every answered operation that was called before the next response: one of them would have to
            come next. By their responses.
        optional: The operations without a response that could come next. After none of them can an answered
            one.
        other_states: The other states that prefixes as long as this one end in. No answered operation can
            come next there either.
        is_longest: False where the search for a longer prefix was given up: see `Part.is_longest`.
    """

    spec: str
    label: str
    answered: int
    initial: str
    prefix: tuple[Placed, ...]
    state: str
    blocked: tuple[Blocked, ...]
    optional: tuple[Operation, ...]
    other_states: tuple[str, ...]
    is_longest: bool = True


def explain(spec: Spec[S], part: Part[S]) -> Explanation:
    """Explain the refutation of a part.

    Args:
        spec: The specification that it was checked against.
        part: A part that is violated.

    Returns:
        The explanation.

    Raises:
        ValueError: The part is not refuted.
    """
    if part.verdict != "violated":
        raise ValueError(f"{part.label}: {part.verdict}; only a refuted part can be explained")
    placed = {step.operation.called for step in part.order}
    left = [operation for operation in part.operations if operation.called not in placed]
    state = part.ends[0]
    horizon = min(operation.returned for operation in left if operation.returned is not None)
    next_ones = [operation for operation in left if operation.called < horizon]
    blocked = [operation for operation in next_ones if operation.returned is not None]
    return Explanation(
        spec=spec.name,
        label=one_line(part.label),
        answered=sum(operation.returned is not None for operation in part.operations),
        initial=repr(spec.initial()),
        prefix=tuple(
            Placed(step.operation, one_line(spec.describe(step.operation)), one_line(repr(step.state)))
            for step in part.order
        ),
        state=one_line(repr(state)),
        blocked=tuple(
            Blocked(operation, one_line(spec.describe(operation)), one_line(spec.expected(state, operation)))
            for operation in sorted(blocked, key=lambda one: one.returned or 0)
        ),
        optional=tuple(
            operation
            for operation in next_ones
            if operation.returned is None and not spec.observes(operation)
        ),
        other_states=tuple(one_line(repr(each)) for each in part.ends[1:]),
        is_longest=part.is_longest,
    )


def which_prefix(*, is_longest: bool) -> str:
    """Return what a prefix is called."""
    return "a longest linearizable prefix" if is_longest else "the longest linearizable prefix found"


def why_stuck(*, is_longest: bool) -> str:
    """Return what is known of the operations of which one has to come next."""
    return "none can" if is_longest else "the search for an order in which one can was given up"


def render(explanation: Explanation) -> str:
    """Write an explanation as text.

    Args:
        explanation: The explanation.

    Returns:
        Lines for a terminal: the end of the prefix, the operations that cannot come next, and both as bars
        over time, one lane a process.
    """
    lines = [*_prefix_lines(explanation), "", *_blocked_lines(explanation), "", *_lane_lines(explanation)]
    return "\n".join(lines)


def _prefix_lines(explanation: Explanation) -> Iterator[str]:
    prefix = explanation.prefix
    answered = sum(placed.operation.returned is not None for placed in prefix)
    yield (
        f"{explanation.label}: {which_prefix(is_longest=explanation.is_longest)} places {answered} of "
        f"{explanation.answered} answered operations; the state is after each"
    )
    shown = prefix[-_SHOWN:]
    hidden = len(prefix) - len(shown)
    before = _short(prefix[hidden - 1].state if hidden else explanation.initial)
    rows = [("", "", f"{hidden} operations" if hidden else "initially", before)]
    rows += [
        (str(number), f"process {placed.operation.process}", placed.description, _short(placed.state))
        for number, placed in enumerate(shown, hidden + 1)
    ]
    yield from _columns(rows)


def _blocked_lines(explanation: Explanation) -> Iterator[str]:
    stuck = why_stuck(is_longest=explanation.is_longest)
    yield f"one of these has to come next, and {stuck}; where the state is {_short(explanation.state)}"
    shown = explanation.blocked[:_SHOWN]
    rows = [
        (
            _letter(number),
            f"process {one.operation.process}",
            one.description,
            f"but {explanation.spec} answers {one.expected}",
        )
        for number, one in enumerate(shown)
    ]
    yield from _columns(rows)
    if len(explanation.blocked) > len(shown):
        yield f"  and {len(explanation.blocked) - len(shown)} more"
    if explanation.optional:
        yield f"nor after any of the {len(explanation.optional)} unanswered operations that could be next"
    if explanation.other_states:
        states = ", ".join(map(_short, explanation.other_states[:_SHOWN]))
        more = len(explanation.other_states) - _SHOWN
        tail = f" and {more} more" if more > 0 else ""
        yield f"nor in the other states that prefixes of this length end in: {states}{tail}"


def _lane_lines(explanation: Explanation) -> Iterator[str]:
    prefix = explanation.prefix
    hidden = max(0, len(prefix) - _SHOWN)
    bars = [_bar(placed.operation, str(number)) for number, placed in enumerate(prefix[hidden:], hidden + 1)]
    bars += [_bar(one.operation, _letter(number)) for number, one in enumerate(explanation.blocked[:_SHOWN])]
    yield "time goes to the right"
    yield from draw(bars)


def _bar(operation: Operation, label: str) -> Bar:
    return Bar(f"process {operation.process}", operation.process, label, operation.called, operation.returned)


def _short(state: str) -> str:
    # the end of a state that grows says more than its beginning
    return state if len(state) <= _STATE_WIDTH else f"...{state[-_STATE_WIDTH + 3 :]}"


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _columns(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for number, process, description, last in rows:
        left = f"  {number:>{widths[0]}}  {process:<{widths[1]}}  {description:<{widths[2]}}"
        yield f"{left}  {last}".rstrip()
