"""Explains in text why a part of a history is not linearizable.

    print(explain(attempt_of(spec, result.refuted)))

The lines are the end of a longest linearizable prefix, the operations that cannot come next, with what the
specification would have answered in place of what was observed, and both as bars over time, one lane a
process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgweave.history.attempt import Attempt, Call, letter, which_prefix, why_stuck
from pgweave.history.lanes import Bar, draw
from pgweave.visible import counted

_SHOWN = 8
_STATE_WIDTH = 60


def explain(attempt: Attempt) -> str:
    """Write an attempt that failed as lines for a terminal.

    Args:
        attempt: The attempt, of a part that is refuted.

    Raises:
        ValueError: The part is linearizable; there is nothing to explain.
    """
    if attempt.is_linearizable:
        raise ValueError(f"{attempt.label}: holds; only a refuted part can be explained")
    lines = [*_prefix_lines(attempt), "", *_blocked_lines(attempt), "", *_lane_lines(attempt)]
    return "\n".join(lines)


def _prefix_lines(attempt: Attempt) -> Iterator[str]:
    yield (
        f"{attempt.label}: {which_prefix(is_longest=attempt.is_longest)} places {attempt.explained} of "
        f"{attempt.answered} answered operations; the state is after each"
    )
    left_out = max(0, len(attempt.order) - _SHOWN)
    before = left_out + attempt.hidden
    rows = [
        (
            "",
            "",
            counted(before, "operation") if before else "initially",
            _short(attempt.moments[left_out].state),
        )
    ]
    for number, moment in zip(attempt.order[left_out:], attempt.moments[left_out + 1 :], strict=True):
        call = attempt.calls[number]
        rows.append((str(call.place), f"process {call.process}", call.text, _short(moment.state)))
    yield from _columns(rows)


def _blocked_lines(attempt: Attempt) -> Iterator[str]:
    stuck, state = why_stuck(is_longest=attempt.is_longest), _short(attempt.moments[-1].state)
    yield f"one of these has to come next, and {stuck}; where the state is {state}"
    blocked = attempt.blocked
    rows = []
    for number, each in enumerate(blocked[:_SHOWN]):
        call = attempt.calls[each.call]
        expected = f"but {attempt.spec} answers {each.expected}"
        rows.append((letter(number), f"process {call.process}", call.text, expected))
    yield from _columns(rows)
    if len(blocked) > _SHOWN:
        yield f"  and {len(blocked) - _SHOWN} more"
    if attempt.unanswered:
        yield f"nor after any of the {attempt.unanswered} unanswered operations that could be next"
    if attempt.other_states:
        states = ", ".join(map(_short, attempt.other_states[:_SHOWN]))
        more = len(attempt.other_states) - _SHOWN
        tail = f" and {more} more" if more > 0 else ""
        yield f"nor in the other states that prefixes of this length end in: {states}{tail}"


def _lane_lines(attempt: Attempt) -> Iterator[str]:
    placed = [attempt.calls[number] for number in attempt.order[-_SHOWN:]]
    bars = [_bar(call, str(call.place)) for call in placed]
    blocked = attempt.blocked[:_SHOWN]
    bars += [_bar(attempt.calls[each.call], letter(number)) for number, each in enumerate(blocked)]
    yield "time goes to the right"
    yield from draw(bars)


def _bar(call: Call, label: str) -> Bar:
    return Bar(f"process {call.process}", call.process, label, call.called, call.returned)


def _short(state: str) -> str:
    # the end of a state that grows says more than its beginning
    return state if len(state) <= _STATE_WIDTH else f"...{state[-_STATE_WIDTH + 3 :]}"


def _columns(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for number, process, description, last in rows:
        left = f"  {number:>{widths[0]}}  {process:<{widths[1]}}  {description:<{widths[2]}}"
        yield f"{left}  {last}".rstrip()
