"""Linearizability by its definition: every order of every choice of operations, and nothing clever.

Independent of the checker under test: it shares the specifications with it, and no code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

from pgweave.history.operations import Json, Operation, Outcome
from pgweave.history.spec import Spec


def happens_before(first: Operation, second: Operation) -> bool:
    return first.returned is not None and first.returned < second.called


def respects_real_time(order: Sequence[Operation]) -> bool:
    return not any(happens_before(later, earlier) for earlier, later in combinations(order, 2))


def reachable(spec: Spec[Any], order: Sequence[Operation]) -> set[Any]:
    """The states after the operations in this order; none if one of them is illegal."""
    states = {spec.initial()}
    for operation in order:
        states = {after for state in states for after in spec.step(state, operation)}
    return states


def orders(operations: Sequence[Operation]) -> Iterator[tuple[Operation, ...]]:
    """Every order of every choice of the operations that real time allows as the beginning of the history."""
    for size in range(len(operations) + 1):
        for order in permutations(operations, size):
            left = [operation for operation in operations if operation not in order]
            if respects_real_time(order) and not any(
                happens_before(missing, placed) for missing in left for placed in order
            ):
                yield order


def is_linearizable(spec: Spec[Any], operations: Sequence[Operation]) -> bool:
    required = [operation for operation in operations if operation.outcome is not Outcome.UNKNOWN]
    optional = [operation for operation in operations if operation.outcome is Outcome.UNKNOWN]
    return any(
        respects_real_time(order) and reachable(spec, order)
        for size in range(len(optional) + 1)
        for chosen in combinations(optional, size)
        for order in permutations([*required, *chosen])
    )


def score(operations: Sequence[Operation], order: Sequence[Operation]) -> tuple[int, int]:
    """How far an order gets: responses passed in real time, then answered operations placed."""
    answered = [operation for operation in operations if operation.returned is not None]
    passed = 0
    for operation in sorted(answered, key=lambda one: one.returned or 0):
        if operation not in order:
            break
        passed += 1
    return passed, sum(operation.returned is not None for operation in order)


def longest(spec: Spec[Any], operations: Sequence[Operation]) -> tuple[tuple[int, int], set[Any]]:
    """The best score of any legal order, and every state that orders of that score end in."""
    best, ends = (-1, -1), set()
    for order in orders(operations):
        states = reachable(spec, order)
        reached = score(operations, order)
        if states and reached > best:
            best, ends = reached, set(states)
        elif states and reached == best:
            ends |= states
    return best, ends


Command = Callable[[random.Random], tuple[str, Json]]
Respond = Callable[[random.Random, str, Json], tuple[Outcome, Json]]


def random_history(
    rng: random.Random, command: Command, respond: Respond, processes: int = 3, size: int = 5
) -> list[Operation]:
    """A small history of clients that wait for their responses, with arguments and responses by chance."""
    open_calls: dict[int, tuple[str, Json, int]] = {}
    operations: list[Operation] = []
    free = list(range(processes))
    invoked, position = 0, 0
    while invoked < size or open_calls:
        position += 1
        if invoked < size and free and rng.random() < 0.55:
            process = free.pop(rng.randrange(len(free)))
            open_calls[process] = (*command(rng), position)
            invoked += 1
        elif open_calls:
            process = rng.choice(sorted(open_calls))
            f, value, called = open_calls.pop(process)
            outcome, response = respond(rng, f, value)
            returned = None if outcome is Outcome.UNKNOWN else position
            operations.append(Operation(process, f, value, outcome, response, called, returned))
            free.append(process if outcome is not Outcome.UNKNOWN else processes + len(operations))
    return sorted(operations, key=lambda operation: operation.called)


def random_outcome(rng: random.Random) -> Outcome:
    return rng.choices([Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN], weights=[6, 1, 2])[0]


def operation(
    process: int, f: str, value: Any, observed: tuple[Outcome, Any], span: tuple[int, int | None]
) -> Operation:
    return Operation(process, f, value, *observed, *span)


def impossible_read(concurrent_writes: int) -> list[Operation]:
    """Writes that all overlap, then a read of what none of them wrote: every order has to be tried."""
    done = (Outcome.OK, None)
    end = 2 * concurrent_writes
    writes = [operation(n, "write", n, done, (n, concurrent_writes + n)) for n in range(concurrent_writes)]
    return [*writes, operation(0, "read", None, (Outcome.OK, 999), (end, end + 1))]
