"""Whether traces can be interleaved, as far as their locks allow it, in an order that no serial one explains.

A step waits while another command holds a lock that conflicts with one it takes. What a statement only reads,
it reads before it waits: PostgreSQL takes its snapshot first. One command comes before another if a step of
it came before a step of the other that conflicts with it, or if it was over before the other began. Where
that goes round in a circle, no serial order explains what the commands saw.

The traces are those of commands that were alone. In a race a command may go another way; so what is foretold
here is where to look, and no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations
from typing import TypeAlias

from pgweave.discovery.trace import Trace, rows_changed
from pgweave.interleavings.footprint import Access, Footprint, Mode


@dataclass(frozen=True)
class Edge:
    """Why one command comes before another.

    Attributes:
        earlier: the place of the one in its group.
        later: the place of the other.
        before: the step of the one; ``None`` if it was over before the other began.
        after: the step of the other that conflicts with it.
    """

    earlier: int
    later: int
    before: int | None
    after: int


@dataclass(frozen=True)
class Anomaly:
    """An order that no serial one explains: a circle of commands, each before the next."""

    edges: tuple[Edge, ...]


def foretell(traces: Sequence[Trace]) -> Anomaly | None:
    """An anomaly in whose circle all of these commands are; ``None`` if their locks let none come about."""
    return _foretell(tuple(trace.footprints for trace in traces))


@lru_cache(maxsize=65_536)
def _foretell(footprints: tuple[tuple[Footprint, ...], ...]) -> Anomaly | None:
    return _Group(footprints).find()


@dataclass(frozen=True)
class _Part:
    """A step; or what it does before it may have to wait, or from then on."""

    step: int
    footprint: Footprint


_Pair: TypeAlias = tuple[int, int]
_State: TypeAlias = tuple[tuple[int, ...], int]
"""How many parts each command has taken, and as bits what came before what."""


class _Group:
    """Commands that race, as numbers and bits."""

    def __init__(self, footprints: Sequence[Sequence[Footprint]]) -> None:
        self._size = len(footprints)
        self._parts = [_relevant(each, footprints, place) for place, each in enumerate(footprints)]
        held = [_held(parts) for parts in self._parts]
        pairs = list(permutations(range(self._size), 2))
        self._bit = {pair: 1 << number for number, pair in enumerate(pairs)}
        self._conflicting = {
            (one, other): [_bits(_conflict(mine, theirs) for theirs in self._parts[other]) for mine in parts]
            for one, other in pairs
            for parts in [self._parts[one]]
        }
        self._kept_out = {
            (one, other): [_bits(_waits(mine, locks) for locks in held[other]) for mine in self._parts[one]]
            for one, other in pairs
        }
        circles = [(each, sum(self._bit[pair] for pair in each)) for each in _circles(self._size)]
        self._whole = [(circle, bits) for circle, bits in circles if len(circle) == self._size]
        self._smaller = [bits for circle, bits in circles if len(circle) < self._size]

    def find(self) -> Anomaly | None:
        """The first circle of all, in the shortest order that leads to one."""
        start: _State = ((0,) * self._size, 0)
        paths: dict[_State, tuple[_Pair, ...]] = {start: ()}
        frontier = [start]
        while frontier:
            reached = []
            for state in frontier:
                for one, after in self._next(state):
                    if after in paths:
                        continue
                    paths[after] = (*paths[state], (one, state[0][one]))
                    for circle, bits in self._whole:
                        if after[1] & bits == bits:
                            return self._told(paths[after], circle)
                    reached.append(after)
            frontier = reached
        return None

    def _next(self, state: _State) -> Iterator[tuple[int, _State]]:
        """Who can take the next part, and what is so then; not where fewer than all are in a circle."""
        taken, known = state
        for one in range(self._size):
            edges = self._edges_after(one, taken, known)
            if edges is not None and not any(edges & bits == bits for bits in self._smaller):
                yield one, (tuple(at + (place == one) for place, at in enumerate(taken)), edges)

    def _edges_after(self, one: int, taken: tuple[int, ...], known: int) -> int | None:
        """What comes before what once a command has taken its next part; ``None`` if it cannot."""
        part = taken[one]
        if part == len(self._parts[one]):
            return None
        for other in range(self._size):
            if other == one:
                continue
            if self._kept_out[one, other][part] >> taken[other] & 1:
                return None
            is_over = part == 0 and taken[other] == len(self._parts[other])
            if is_over or self._conflicting[one, other][part] & _first(taken[other]):
                known |= self._bit[other, one]
        return known

    def _told(self, path: Sequence[_Pair], circle: Sequence[_Pair]) -> Anomaly:
        """A circle, with the first steps of an order of parts that make it one."""
        found: dict[_Pair, Edge] = {}
        taken = [0] * self._size
        for one, part in path:
            after = self._parts[one][part].step
            for other in range(self._size):
                if other == one or (other, one) in found:
                    continue
                conflicting = self._conflicting[one, other][part] & _first(taken[other])
                if conflicting:
                    place = (conflicting & -conflicting).bit_length() - 1
                    found[other, one] = Edge(other, one, self._parts[other][place].step, after)
                elif part == 0 and taken[other] == len(self._parts[other]):
                    found[other, one] = Edge(other, one, None, after)
            taken[one] += 1
        return Anomaly(tuple(found[pair] for pair in circle))


def _circles(size: int) -> Iterator[tuple[_Pair, ...]]:
    """Each way in which commands can come one before the next, and the last before the first."""
    for length in range(2, size + 1):
        for first, *others in combinations(range(size), length):
            for rest in permutations(others):
                around = (first, *rest)
                yield tuple(zip(around, (*rest, first), strict=True))


def _relevant(own: Sequence[Footprint], all_: Sequence[Sequence[Footprint]], place: int) -> list[_Part]:
    """The parts of a command that another can notice, or has to wait for."""
    others = [each for number, one in enumerate(all_) if number != place for each in one]
    parts = [_Part(step, part) for step, footprint in enumerate(own) for part in _split(footprint)]
    return [part for part in parts if any(part.footprint.dependent(other) for other in others)]


def _split(footprint: Footprint) -> list[Footprint]:
    """What a statement reads, and then the rest of what it does: between the two it may have to wait."""
    reads = frozenset(each for each in footprint.accesses if each.mode is Mode.READ)
    locks = any(each.mode is Mode.LOCK for each in footprint.accesses)
    if footprint.everything or not reads or not locks:
        return [footprint]
    return [Footprint(reads), Footprint(footprint.accesses - reads)]


def _held(parts: Sequence[_Part]) -> list[frozenset[Access]]:
    """The locks that a command holds once it has taken none of its parts, one of them, and so on."""
    held: set[tuple[object, object]] = set()
    found: list[frozenset[Access]] = [frozenset()]
    for part in parts:
        accesses = part.footprint.accesses
        held |= {(each.rows, each.lock) for each in accesses if each.mode is Mode.LOCK}
        held -= {(each.rows, each.lock) for each in accesses if each.mode is Mode.RELEASE}
        found.append(frozenset(Access(Mode.LOCK, rows, lock) for rows, lock in held))  # type: ignore[arg-type]
    return found


def _conflict(mine: _Part, theirs: _Part) -> bool:
    return bool(rows_changed(mine.footprint, theirs.footprint))


def _waits(part: _Part, held: frozenset[Access]) -> bool:
    return any(
        mine.mode is Mode.LOCK and mine.conflicts(lock) for mine in part.footprint.accesses for lock in held
    )


def _first(count: int) -> int:
    return (1 << count) - 1


def _bits(flags: Iterator[bool]) -> int:
    return sum(1 << number for number, flag in enumerate(flags) if flag)
