"""Which operations can end before which begin, in the runs equivalent to one that was run.

A run stands for its class: all runs in which dependent steps come in the same order. Every process gets the
same answers in all of them, but they may differ in which operation ended before which other began, and
whether the answers are linearizable depends on that. The more operations are ordered in real time, the harder
it is for a history to be linearizable. So of all that the runs of a class can order, the maximal sets are
enough.

The largest sets come from runs in which operations begin as late as can be and end as early. Let the
operations end in some order; for each, take the steps that must come before its end, and no others. Whatever
run has its ends in that order has taken at least these steps by then, and so has begun every operation that
this one has. So each set that some run of the class orders is contained in that of the order of its ends.

Where what must come before one end contains all that must come before another, the other can only gain by
coming first, and nobody loses by it: that order is tried alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgweave.interleavings.execution import Execution
from pgweave.interleavings.happens_before import Dependence, causality


@dataclass(frozen=True, slots=True)
class Span:
    """The steps of one operation in a run.

    Attributes:
        process: whose steps they are.
        first: the index of its first step; the operation begins just before.
        last: the index of its last step; the operation ends just after, or if that step waits, after the one
            that wakes it.
    """

    process: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RealTimeOrder:
    """A maximal set of operations in order, and a run that has it.

    Attributes:
        pairs: pairs of operations, by index, of which the first ends before the second begins.
        steps: the indices of the steps of the run in an equivalent order in which that is so.
    """

    pairs: frozenset[tuple[int, int]]
    steps: tuple[int, ...]


class TooManyOrdersError(RuntimeError):
    """Too many operations have no order among them."""


def real_time_orders(
    execution: Execution,
    operations: Sequence[Span],
    dependence: Dependence | None = None,
    most: int | None = None,
) -> list[RealTimeOrder]:
    """Find the maximal sets of pairs of operations that can be ordered in real time.

    The time grows with the factorial of the number of operations of which none has to come before another.

    Args:
        execution: a complete run.
        operations: its operations; steps that belong to none may be anywhere.
        dependence: which footprints are dependent.
        most: how many orders of their ends may be tried; any number if not given.

    Raises:
        TooManyOrdersError: More would have to be.
        ValueError: An operation's steps are not those of its process, or a last step waits for ever.
    """
    before = causality(execution.steps, dependence or Dependence()).before
    ends = [_end(execution, operation) for operation in operations]
    needed = [before[end] | 1 << end for end in ends]
    begins = [1 << operation.first for operation in operations]
    found: dict[frozenset[tuple[int, int]], tuple[int, ...]] = {}
    for number, order in enumerate(_orders(tuple(range(len(operations))), needed)):
        if number == most:
            raise TooManyOrdersError(f"{len(operations)} operations can end in more than {most} orders")
        pairs = frozenset(_pairs(order, needed, begins))
        if not any(pairs <= other for other in found):
            found = {other: ends_in for other, ends_in in found.items() if not other < pairs}
            found[pairs] = order
    count = len(execution.steps)
    return [
        RealTimeOrder(pairs, tuple(_steps([needed[one] for one in order], count)))
        for pairs, order in found.items()
    ]


def _end(execution: Execution, operation: Span) -> int:
    """Return the index of the step with which an operation ends."""
    steps, process = execution.steps, operation.process
    if not operation.first <= operation.last < len(steps):
        raise ValueError(f"no steps from {operation.first} to {operation.last} of {len(steps)}")
    if not steps[operation.first].process == steps[operation.last].process == process:
        raise ValueError(f"steps {operation.first} and {operation.last} are not both of process {process}")
    if not steps[operation.last].blocked:
        return operation.last
    for index in range(operation.last, len(steps)):  # it may end by itself, at a limit of its wait
        if process in steps[index].woke:
            return index
    raise ValueError(f"step {operation.last} of process {process} is never woken")


def _orders(left: tuple[int, ...], needed: Sequence[int], taken: int = 0) -> Iterator[tuple[int, ...]]:
    """Yield the orders of ends that can be the strictest."""
    if not left:
        yield ()
    for number, one in enumerate(left):
        steps = taken | needed[one]
        before, after = left[:number], left[number + 1 :]
        if any(not needed[other] & ~steps for other in before) or any(
            not needed[other] & ~steps and steps & ~(taken | needed[other]) for other in after
        ):
            continue
        for rest in _orders((*before, *after), needed, steps):
            yield (one, *rest)


def _pairs(order: Sequence[int], needed: Sequence[int], begins: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield which operation ends before which begins, if they end in this order, each as early as can be."""
    taken = 0
    for one in order:
        taken |= needed[one]
        for other, begin in enumerate(begins):
            if not taken & begin:
                yield one, other


def _steps(needed: Sequence[int], count: int) -> Iterator[int]:
    """Yield the steps: those needed first, and then the others, each time in the order of the run."""
    taken = 0
    for steps in (*needed, (1 << count) - 1):
        yield from (index for index in range(count) if (steps & ~taken) >> index & 1)
        taken |= steps
