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
  (`payments_verify.spec.Foresight`), the configuration is set aside. It cannot get past that return, as
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
from typing import Generic, TypeAlias

from payments_verify.history import Operation
from payments_verify.plan import Plan
from payments_verify.spec import S, Spec

MOST_AFTER_REFUTED = 100_000
"""How many configurations are entered at most to find the longest prefix of what is refuted already."""

Node: TypeAlias = "tuple[int, int, int, int, Node | None]"
"""A configuration and how it was reached.

The number of returns passed, the bits of the operations placed beyond them, the number of the state; the
index of the operation placed last, and the configuration before it.
"""


class Search(Generic[S]):
    """A depth-first search that can be run in slices.

    Attributes:
        linearizable: True or False once it is known, until then None.
        finished: Whether there is nothing more to search. What is refuted early by foresight is not yet.
        is_longest: Whether no order gets further than `order`, and those as far end in no states but `ends`.
        entries: How many configurations the cache holds.
    """

    def __init__(self, spec: Spec[S], operations: Sequence[Operation]) -> None:
        self.plan = Plan(spec, operations)
        self.linearizable: bool | None = None
        self.entries = 1
        start = self.plan.states.number(spec.initial())
        root: Node = (0, 0, start, -1, None)
        self._todo: list[Node] = [root]
        self._seen: dict[tuple[int, int, int], tuple[int, ...]] = {(0, 0, start): (0,)}
        self._furthest = {start: root}
        self._score = (0, 0)
        self._bound = self.plan.answered
        self._set_aside: dict[int, list[Node]] = {}
        self._left = MOST_AFTER_REFUTED
        self.is_longest = self.finished = self.plan.answered == 0
        if self.finished:
            self.linearizable = True

    def run(self, configurations: int) -> None:
        """Search on.

        Args:
            configurations: Stop after so many of them.
        """
        while configurations and not self.finished:
            configurations -= 1
            node = self._todo.pop()
            bound = self.plan.bound(node[0], node[1], node[2])
            if bound < self._bound:
                self._set_aside.setdefault(bound, []).append(node)
            else:
                self._enter(node)
            if self.linearizable is False:
                self._left -= 1
                self.finished = not self._left
            if not self._todo:
                self._resume()

    def _enter(self, node: Node) -> None:
        self._note(node)
        if node[0] == self.plan.answered:
            self.linearizable = self.finished = self.is_longest = True
        else:
            self._todo.extend(reversed(self._successors(node)))

    def _resume(self) -> None:
        """Go on, when nothing else is left, with what was set aside and may get as far as the furthest."""
        if self.linearizable:
            return
        self.linearizable = False
        self._bound = max(self._set_aside, default=-1)
        if self._bound < self._score[0]:
            self.finished = self.is_longest = True
        else:
            self._todo = self._set_aside.pop(self._bound)

    def _note(self, node: Node) -> None:
        score = (node[0], (node[1] & self.plan.slots).bit_count())
        if score > self._score:
            self._score = score
            self._furthest = {node[2]: node}
        elif score == self._score:
            self._furthest.setdefault(node[2], node)

    def _successors(self, node: Node) -> list[Node]:
        passed, mask, state, _, _ = node
        plan, seen = self.plan, self._seen
        returning, slots = plan.returning, plan.slots
        found: list[Node] = []
        for group in plan.candidates(passed):
            for with_this, before, transitions, index in group:
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
                for after in states:
                    key = (now, low, after)
                    known = seen.get(key, ())
                    for other in known:
                        if other & high == other:
                            break
                    else:
                        seen[key] = (*known, high)
                        self.entries += 1
                        found.append((now, placed, after, index, node))
                if transitions.observes:
                    return found
        return found

    def order(self) -> list[tuple[Operation, S]]:
        """Return the furthest order found, as operations and the states after them.

        It gets past the most returns in real time, and among those places the most answered operations. When
        the search ended in True, it is a linearization; in False, no answered operation can come next, and
        nor can one after any unanswered operation.
        """
        node: Node | None = next(iter(self._furthest.values()))
        found = []
        while node is not None and node[4] is not None:
            found.append((self.plan.operations[node[3]], self.plan.states.values[node[2]]))
            node = node[4]
        return found[::-1]

    def ends(self) -> list[S]:
        """Return the states that the orders as far as `order` end in; the first is that of `order`."""
        return [self.plan.states.values[number] for number in self._furthest]
