"""Decides whether a history is linearizable with respect to a specification.

    result = check(spec, history.operations, budget_seconds=60)
    result.verdict      # "holds", "violated" or "no verdict"

The parts of a history (`Spec.partition`) are independent, and some are far harder than others. They are
searched in turns, a slice at a time, so that one that is easily refuted is refuted soon, whatever stands
before it. The search itself is in `pgweave.history.search`.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from pgweave.history.by_return import order_by_return
from pgweave.history.operations import HistoryError, Operation
from pgweave.history.search import Search
from pgweave.history.spec import S, Spec, SpecError
from pgweave.verdict import Verdict, worst

DEFAULT_MAX_ENTRIES = 1_000_000
"""About 250 MB."""

_SLICE = 256
"""Enough for most parts to be decided in their first turn, so that few are searched at once."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[S]):
    """An operation in an order of operations, and the state after it."""

    operation: Operation
    state: S


@dataclass(frozen=True, slots=True)
class Part(Generic[S]):
    """What was found for one part of the history.

    Attributes:
        label: The label that the specification gave it.
        verdict: The verdict on this part.
        operations: Its operations, in the order of their invocations.
        configurations: How many configurations the search has entered.
        order: A linearization; if the part is violated, a longest linearizable prefix: none gets past more
            responses in real time, and none that gets as far places more answered operations. Empty
            without a verdict.
        ends: If the part is violated, the states that prefixes as long as `order` end in, that of `order`
            first. Empty otherwise.
        is_longest: False where the search for a longest prefix was given up after the part was refuted:
            `order` is the longest that was found.
    """

    label: str
    verdict: Verdict
    operations: tuple[Operation, ...]
    configurations: int = 0
    order: tuple[Placed[S], ...] = ()
    ends: tuple[S, ...] = ()
    is_longest: bool = True


@dataclass(frozen=True, slots=True)
class Result(Generic[S]):
    """What a check found.

    Attributes:
        verdict: The verdict on the whole history.
        seconds: How long the check took.
        parts: The parts, in the order of their labels' first operations.
        reason: Why there is no verdict; empty if there is one.
    """

    verdict: Verdict
    seconds: float
    parts: tuple[Part[S], ...]
    reason: str = ""

    @property
    def refuted(self) -> Part[S] | None:
        """The part that has no linearization, when the verdict is `violated`."""
        return next((part for part in self.parts if part.verdict == "violated"), None)


def check(
    spec: Spec[S],
    operations: Sequence[Operation],
    *,
    budget_seconds: float = math.inf,
    max_entries: int = DEFAULT_MAX_ENTRIES,
) -> Result[S]:
    """Decide whether a history is linearizable.

    Args:
        spec: What the object does when operations come one at a time.
        operations: The history.
        budget_seconds: Stop without a verdict after this time.
        max_entries: The most configurations to remember, over all parts; an entry takes about 250 bytes. When
            they are reached, the part that remembers the most forgets what lies far behind. If that is less
            than half, it has no verdict, and the rest go on.

    Returns:
        The verdict, and for every part the order that shows it. After the first part that is refuted, parts
        that are not yet decided have no verdict.

    Raises:
        SpecError: The specification does not know an operation, or breaks its own promises.
        HistoryError: Two events have the same position.
        ValueError: A limit is not positive.
    """
    if not budget_seconds > 0 or max_entries < 1:
        raise ValueError(f"limits are positive: budget_seconds={budget_seconds}, max_entries={max_entries}")
    started = time.monotonic()
    parts = spec.partition(operations)
    _require_partition(spec.name, operations, parts)
    race = _Race(spec, parts, max_entries)
    deadline = started + budget_seconds
    while race.is_open and time.monotonic() < deadline:
        race.run_slice()
    reasons = []
    if race.is_open and not race.refuted:
        reasons.append(f"the time budget of {budget_seconds:g} s is used up")
    if race.given_up:
        reasons.append(
            f"the memory bound of {max_entries} cache entries was reached in {', '.join(race.given_up)}"
        )
    found = race.parts()
    verdict = worst(part.verdict for part in found) if found else "holds"
    return Result(
        verdict,
        time.monotonic() - started,
        found,
        "; ".join(reasons) if verdict == "no verdict" else "",
    )


def _require_partition(
    name: str, operations: Sequence[Operation], parts: Mapping[str, Sequence[Operation]]
) -> None:
    positions = [operation.called for operation in operations]
    positions += [operation.returned for operation in operations if operation.returned is not None]
    if len(set(positions)) != len(positions):
        raise HistoryError("two events of the history have the same position; real time orders all of them")
    parted = {operation.called for part in parts.values() for operation in part}
    if parted != {operation.called for operation in operations}:
        raise SpecError(f"{name}: partition() must put every operation in a part, and add none")


class _Race(Generic[S]):
    """The searches of all parts, in turns, until one is refuted."""

    def __init__(self, spec: Spec[S], parts: Mapping[str, Sequence[Operation]], max_entries: int) -> None:
        self._spec = spec
        self._parts = parts
        self._max_entries = max_entries
        self._entries = 0
        self._waiting = deque(parts)
        self._searches: dict[str, Search[S]] = {}
        self._found: dict[str, Part[S]] = {}
        self.given_up: list[str] = []
        self.refuted = False

    @property
    def is_open(self) -> bool:
        """Whether there is more to search."""
        return bool(self._waiting) and not self.refuted

    def run_slice(self) -> None:
        """Give the next part its turn."""
        label = self._waiting.popleft()
        if label not in self._searches:
            operations = self._parts[label]
            order = order_by_return(self._spec, operations)
            if order is not None:
                self._found[label] = _linearized(label, operations, order)
                return
            self._searches[label] = Search(self._spec, operations)
        search = self._searches[label]
        before = search.entries
        search.run(_SLICE)
        self._entries += search.entries - before
        if search.finished:
            self._close(label)
        elif search.linearizable is None:
            self._waiting.append(label)
        else:
            self._waiting.appendleft(label)
        if self._entries > self._max_entries and self.is_open:
            self._relieve_largest()

    def _relieve_largest(self) -> None:
        label = max(self._searches, key=lambda one: self._searches[one].entries)
        before = self._searches[label].entries
        self._searches[label].forget()
        self._entries += self._searches[label].entries - before
        if self._searches[label].entries <= before / 2:
            return
        self._waiting.remove(label)
        if self._searches[label].linearizable is None:
            self.given_up.append(label)
        self._close(label)

    def _close(self, label: str) -> None:
        search = self._searches.pop(label)
        self._entries -= search.entries
        self._found[label] = found = _part(label, self._parts[label], search)
        self.refuted = found.verdict == "violated"

    def parts(self) -> tuple[Part[S], ...]:
        """Return what was found; what is not decided has no verdict."""
        return tuple(self._found.get(label) or self._undecided(label) for label in self._parts)

    def _undecided(self, label: str) -> Part[S]:
        search = self._searches.get(label)
        if search is None:
            return Part(label, "no verdict", tuple(self._parts[label]))
        return _part(label, self._parts[label], search)


_VERDICTS: Mapping[bool | None, Verdict] = {True: "holds", False: "violated", None: "no verdict"}


def _linearized(label: str, operations: Sequence[Operation], order: Sequence[tuple[Operation, S]]) -> Part[S]:
    placed = tuple(Placed(operation, state) for operation, state in order)
    return Part(label, "holds", tuple(operations), 1 + len(placed), placed)


def _part(label: str, operations: Sequence[Operation], search: Search[S]) -> Part[S]:
    verdict = _VERDICTS[search.linearizable]
    order = () if verdict == "no verdict" else search.order()
    return Part(
        label,
        verdict,
        tuple(operations),
        search.configurations,
        tuple(Placed(operation, state) for operation, state in order),
        tuple(search.ends()) if verdict == "violated" else (),
        is_longest=verdict != "violated" or search.is_longest,
    )
