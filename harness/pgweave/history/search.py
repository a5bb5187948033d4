"""The search for a linearization of one part of a history.

It is the algorithm of Wing and Gong ("Testing and Verifying Concurrent Objects", JPDC 1993) with the
memoisation of Lowe ("Testing for Linearizability", CCPE 2017): a depth-first search over configurations. A
configuration says which operations have been placed in the order so far, and the state after them. An
operation may come next when no operation that is not yet placed returned before it was called. A
configuration that was seen before is not entered again.

Five things keep the configurations few and small:

- *Slots.* Operations that returned before the earliest unplaced return are all placed, so a configuration is
  the number of those returns, a bit for each later operation that is placed already, and the state. Bits are
  reused once their operation has returned, so that there are as many as operations were ever open together,
  however long the history.
- *Unknown outcomes are optional.* They stay candidates to the end, and the search ends when all others are
  placed. Between two configurations that differ only in those, the one that used fewer can do whatever the
  other can: only the minimal ones are kept.
- *Equal operations are interchangeable.* Of those with the same command, value and response, only the one
  that returns first is tried: in any linearization that places another one first, the two can change places.
- *Observations do not wait.* An operation that never changes the state, and that is legal now, is placed now,
  without alternatives: in any linearization that places it later, it can be moved here.
- *Foresight.* Where the specification says that the observation that returns next cannot take effect any more
  (`pgweave.history.spec.Foresight`), the configuration is set aside. It cannot get past that return, as
  whatever can be placed before the observation is among the operations that the specification was told of. So
  it leads to no linearization. When all else has failed, there is none. Then the search enters what was set
  aside and may get as far as the furthest configuration yet, and finds the same longest prefixes as without
  foresight.

Each of the first four replaces a path to a linearization by one that is no longer. So if a configuration
leads to one, then so does a configuration that the search enters after it, in fewer steps: none is lost, and
together the rules are as complete as each alone. The fifth sets aside only what leads to none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Generic, TypeAlias

from pgweave.history.operations import Operation
from pgweave.history.plan import SearchPlan
from pgweave.history.spec import S, Spec

STATION = 1_000
"""How many returns lie between two stations, see `Search.forget`."""

MOST_AFTER_REFUTED = 100_000
"""How many configurations are entered at most to find the longest prefix of what is refuted already."""

SearchNode: TypeAlias = "tuple[int, int, int, int, SearchNode | None]"
"""A configuration and how it was reached.

The number of returns passed, the bits of the operations placed beyond them, the number of the state; the
index of the operation placed last, and the configuration before it.
"""


class Search(Generic[S]):
    """A depth-first search that can be run in slices, and places an alternative when it is needed.

    Attributes:
        linearizable: True or False once it is known, until then None.
        finished: Whether there is nothing more to search. What is refuted early by foresight is not yet.
        is_longest: Whether no order gets further than `order`, and those as far end in no states but `ends`.
        configurations: How many configurations the search has entered.
    """

    def __init__(self, spec: Spec[S], operations: Sequence[Operation]) -> None:
        self.plan = SearchPlan(spec, operations)
        self.linearizable: bool | None = None
        self.configurations = 1
        start = self.plan.states.number(spec.initial())
        root: SearchNode = (0, 0, start, -1, None)
        self._todo: list[tuple[SearchNode, int]] = [(root, 0)]
        self._seen: dict[tuple[int, int, int], tuple[int, ...]] = {(0, 0, start): (0,)}
        self._stations: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self._furthest = {start: root}
        self._score = (0, 0)
        self._bound = self.plan.answered
        self._set_aside: dict[int, list[tuple[SearchNode, int]]] = {}
        self._left = MOST_AFTER_REFUTED
        self.is_longest = self.finished = self.plan.answered == 0
        if self.finished:
            self.linearizable = True

    @property
    def entries(self) -> int:
        """How many configurations are remembered."""
        return len(self._seen)

    def run(self, configurations: int) -> None:
        """Search on.

        Args:
            configurations: Stop after so many of them.
        """
        while configurations and not self.finished:
            configurations -= 1
            node, tried = self._todo.pop()
            if tried or not self._is_set_aside(node):
                self._enter(node, tried)
            if self.linearizable is False:
                self._left -= 1
                self.finished = not self._left
            if not self._todo:
                self._resume()

    def _is_set_aside(self, node: SearchNode) -> bool:
        bound = self.plan.bound(node[0], node[1], node[2])
        if bound < self._bound:
            self._set_aside.setdefault(bound, []).append((node, 0))
            return True
        return False

    def _enter(self, node: SearchNode, tried: int) -> None:
        if not tried:
            self._note(node)
        if node[0] == self.plan.answered:
            self.linearizable = self.finished = self.is_longest = True
            return
        found, tried = self._successors(node, tried)
        if found:
            if tried:
                self._todo.append((node, tried))
            self._todo.extend((each, 0) for each in reversed(found))

    def forget(self) -> None:
        """Forget the configurations that the search has left behind, but for those at its stations.

        Every `STATION` returns there is a station: the configurations by which the search came past it. What
        lies between two stations can be searched again from there, at most once for each configuration at
        the first of them; what lies beyond the second is not searched again.
        """
        behind = self._score[0] // STATION * STATION
        kept = {key: known for key, known in self._seen.items() if key[0] >= behind}
        self._seen = self._stations | kept

    def _resume(self) -> None:
        """When nothing else is left, go on with what was set aside, if it may get as far as the furthest."""
        if self.linearizable:
            return
        self.linearizable = False
        self._bound = max(self._set_aside, default=-1)
        if self._bound < self._score[0]:
            self.finished = self.is_longest = True
        else:
            self._todo = self._set_aside.pop(self._bound)

    def _note(self, node: SearchNode) -> None:
        score = (node[0], (node[1] & self.plan.slots).bit_count())
        if score > self._score:
            self._score = score
            self._furthest = {node[2]: node}
        elif score == self._score:
            self._furthest.setdefault(node[2], node)

    def _successors(self, node: SearchNode, tried: int) -> tuple[list[SearchNode], int]:
        """Place the next candidate that leads to a configuration that was not seen.

        Args:
            node: The configuration.
            tried: How many of its candidates were tried before.

        Returns:
            The configurations; and how many candidates have been tried, or 0 if there are no more to try.
        """
        passed, mask, state, _, _ = node
        plan = self.plan
        returning, slots = plan.returning, plan.slots
        found: list[SearchNode] = []
        candidates = islice(chain(*plan.candidates(passed)), tried, None)
        for number, (with_this, before, transitions, index) in enumerate(candidates, tried + 1):
            if mask & with_this != before:
                continue
            states = transitions[state]
            if not states:
                continue
            placed, now = mask | with_this, passed
            while placed & returning[now]:
                placed ^= returning[now]
                now += 1
            low, high = placed & slots, placed & ~slots
            found += [
                (now, placed, after, index, node)
                for after in states
                if self._is_new((now, low, after), high, passed)
            ]
            if transitions.observes:
                return found, 0
            if found:
                return found, number
        return found, 0

    def _is_new(self, key: tuple[int, int, int], high: int, passed_before: int) -> bool:
        """Remember a configuration, unless there was one that can do whatever this one can."""
        known = self._seen.get(key, ())
        for other in known:
            if other & high == other:
                return False
        self._seen[key] = now_known = (*known, high)
        if key[0] // STATION != passed_before // STATION:
            self._stations[key] = now_known
        self.configurations += 1
        return True

    def order(self) -> list[tuple[Operation, S]]:
        """Return the furthest order found, as operations and the states after them.

        It gets past the most returns in real time, and among those places the most answered operations. When
        the search ended in True, it is a linearization; in False, no answered operation can come next, and
        nor can one after any unanswered operation.
        """
        node: SearchNode | None = next(iter(self._furthest.values()))
        found = []
        while node is not None and node[4] is not None:
            found.append((self.plan.operations[node[3]], self.plan.states.values[node[2]]))
            node = node[4]
        return found[::-1]

    def ends(self) -> list[S]:
        """Return the states that the orders as far as `order` end in; the first is that of `order`."""
        return [self.plan.states.values[number] for number in self._furthest]
