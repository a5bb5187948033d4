"""Where the operations of an attempt stand: lanes, and two scales of time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgweave.history.attempt import Attempt, Call

EVENT, WIDEST_EVENT = 30.0, 96.0
"""How far apart two events are in pixels, where each takes the same room: more if there are few."""

OWN_LANES = 14
"""With more processes than this, those of a single operation share lanes."""

_OPEN_END = 1.5
_ROOM = 1_000.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of operations that do not overlap.

    Attributes:
        name: Its heading.
        calls: The indices of its operations.
    """

    name: str
    calls: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Horizontal places in pixels.

    Attributes:
        spans: For each operation its beginning and its end.
        points: For each operation of the order the instant at which it is taken to have taken effect.
        horizon: Where the response is that no order gets past; None if there is none.
        width: Where the last event is.
    """

    spans: tuple[tuple[float, float], ...]
    points: Mapping[int, float]
    horizon: float | None
    width: float


def lanes(attempt: Attempt) -> tuple[Lane, ...]:
    """A lane a process; where there are many, those of one operation share lanes."""
    by_process: dict[int, list[int]] = defaultdict(list)
    for number, call in enumerate(attempt.calls):
        by_process[call.process].append(number)
    if len(by_process) <= OWN_LANES:
        return tuple(Lane(f"process {process}", tuple(by_process[process])) for process in sorted(by_process))
    own = [process for process in sorted(by_process) if len(by_process[process]) > 1]
    single = [by_process[process][0] for process in sorted(by_process) if len(by_process[process]) == 1]
    found = [Lane(f"process {process}", tuple(by_process[process])) for process in own]
    return (*found, *(Lane("others", tuple(shared)) for shared in _shared(attempt.calls, single)))


def _shared(calls: Sequence[Call], single: Sequence[int]) -> Iterator[list[int]]:
    """Operations of different processes in as few lanes as hold them side by side."""
    rows: list[list[int]] = []
    for number in sorted(single, key=lambda one: calls[one].called):
        free = (row for row in rows if _ends(calls[row[-1]]) < calls[number].called)
        row = next(free, None)
        if row is None:
            rows.append([number])
        else:
            row.append(number)
    yield from rows


def _ends(call: Call) -> float:
    return float("inf") if call.returned is None else call.returned


def by_event(attempt: Attempt) -> Scale:
    """The scale on which each event takes the same room."""
    events = sorted(_events(attempt.calls))
    width = _event_width(len(events))
    return _scale(attempt, {position: width * number for number, position in enumerate(events)})


def _event_width(events: int) -> float:
    return max(EVENT, min(WIDEST_EVENT, _ROOM / max(1, events)))


def by_time(attempt: Attempt) -> Scale | None:
    """The scale of the clock, as wide as the other; None where the times are not known."""
    times: dict[int, int] = {}
    for call in attempt.calls:
        if call.called_ns is None or (call.returned is not None and call.returned_ns is None):
            return None
        times[call.called] = call.called_ns
        if call.returned is not None and call.returned_ns is not None:
            times[call.returned] = call.returned_ns
    first, last = min(times.values(), default=0), max(times.values(), default=0)
    if first == last:
        return None
    width = _event_width(len(times)) * (len(times) - 1)
    return _scale(attempt, {each: width * (ns - first) / (last - first) for each, ns in times.items()})


def _events(calls: Sequence[Call]) -> Iterator[int]:
    for call in calls:
        yield call.called
        if call.returned is not None:
            yield call.returned


def _scale(attempt: Attempt, place: Mapping[int, float]) -> Scale:
    end = max(place.values(), default=0.0) + _OPEN_END * EVENT
    spans = tuple(
        (place[call.called], end if call.returned is None else place[call.returned]) for call in attempt.calls
    )
    horizon = attempt.horizon
    return Scale(spans, _points(attempt, place), None if horizon is None else place[horizon], end)


def _points(attempt: Attempt, place: Mapping[int, float]) -> dict[int, float]:
    """An instant for each operation of the order, between its two events, and no earlier than the one before.

    The earliest is the latest invocation so far. Those that have the same are spread up to the next event.
    """
    events = sorted(_events(attempt.calls))
    groups: dict[int, list[int]] = defaultdict(list)
    latest = -1
    for number in attempt.order:
        latest = max(latest, attempt.calls[number].called)
        groups[latest].append(number)
    found: dict[int, float] = {}
    for position, numbers in groups.items():
        after = bisect_right(events, position)
        start = place[position]
        end = place[events[after]] if after < len(events) else start + EVENT
        for rank, number in enumerate(numbers, 1):
            found[number] = start + (end - start) * rank / (len(numbers) + 1)
    return found
