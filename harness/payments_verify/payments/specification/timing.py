"""What a history says about the database's clock: between which instants each operation was decided.

The service's word for when it decided is not proof. Two observers are: the clock that the harness itself
sets (``clock``), and reads, which answer with the database's time of the look (``as_of``). The clock does not
run backwards, so an operation that was invoked after a read had answered was decided no earlier than that
read's ``as_of``; one that had answered before a read was invoked, no later.

Where the harness sets a running clock back (``clock_back``), this holds before and after, not across: what
was learned before says nothing of what comes after, and an operation that was under way then has no bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pgweave.history.operations import Operation, Outcome

FOREVER = 2**62
"""An instant after every other, in µs."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The instants between which an operation was decided, both included, in µs."""

    earliest: int
    latest: int


def bounds(operations: Sequence[Operation]) -> dict[int, Bounds]:
    """The bounds of every operation of a whole history, by the position of its invocation."""
    across = _across_a_step_back(operations)
    events = list(_events(operations))
    earliest, latest = _from_before(events, across)
    _tighten(events, across, latest)
    return {
        operation.called: Bounds(earliest[operation.called], latest.get(operation.called, FOREVER))
        for operation in operations
    }


def _across_a_step_back(operations: Sequence[Operation]) -> set[int]:
    """The operations, by the position of their invocation, that were under way while the clock went back."""
    spans = [(step.called, step.returned) for step in operations if step.f == "clock_back"]
    return {
        operation.called
        for operation in operations
        for began, ended in spans
        if (ended is None or operation.called < ended)
        and (operation.returned is None or operation.returned > began)
    }


def _from_before(
    events: Sequence[tuple[bool, Operation]], across: set[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """What was known when each operation was invoked, and the latest the clock could show at its answer."""
    earliest: dict[int, int] = {}
    latest: dict[int, int] = {}
    known = 0
    set_so_far = -1
    for is_call, operation in events:
        is_across = operation.called in across
        if operation.f == "clock_back":
            known = 0
        if is_call:
            earliest[operation.called] = 0 if is_across else known
            if operation.f == "clock":
                set_so_far = max(set_so_far, _argument(operation, "now"))
        else:
            if not is_across:
                known = max(known, _seen(operation))
            latest[operation.called] = FOREVER if set_so_far < 0 or is_across else set_so_far
    return earliest, latest


def _tighten(events: Sequence[tuple[bool, Operation]], across: set[int], latest: dict[int, int]) -> None:
    """Take into account the reads that began after an operation had answered."""
    seen_later = FOREVER
    for is_call, operation in reversed(events):
        if operation.f == "clock_back":
            seen_later = FOREVER
        elif operation.called in across:
            continue
        elif is_call and operation.f == "read" and _seen(operation):
            seen_later = min(seen_later, _seen(operation))
        elif not is_call:
            latest[operation.called] = min(latest[operation.called], seen_later)


def _events(operations: Sequence[Operation]) -> Iterator[tuple[bool, Operation]]:
    events = [(operation.called, True, operation) for operation in operations]
    events += [(o.returned, False, o) for o in operations if o.returned is not None]
    for _, is_call, operation in sorted(events, key=lambda event: event[0]):
        yield is_call, operation


def _seen(operation: Operation) -> int:
    """The instant that the clock had certainly reached when this operation answered; 0 if it says nothing."""
    if operation.outcome is Outcome.UNKNOWN:
        return 0
    if operation.f == "clock":
        return _argument(operation, "now")
    if operation.f == "read" and isinstance(operation.response, dict):
        return int(operation.response.get("as_of", 0))
    return 0


def _argument(operation: Operation, name: str) -> int:
    value: Any = operation.value
    return int(value[name])
