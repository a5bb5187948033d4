"""The strictest orders of a run's steps: as many operations as can be are over before others begin.

A run stands for every run in which dependent steps come in the same order. All of them give the same answers,
but they differ in which operation was over before which began: each of these orders has to be explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgweave.interleavings.execution import Execution
from pgweave.interleavings.happens_before import Dependence
from pgweave.interleavings.orders import Span, real_time_orders
from pgweave.scheduler import ScheduledOperation


def strictest_orders(
    execution: Execution,
    operations: Iterable[ScheduledOperation],
    dependence: Dependence | None = None,
    most: int | None = None,
) -> Iterator[Sequence[int]]:
    """The steps of a run, by index, in each order that is equivalent to that of the run and strictest.

    Args:
        execution: the run.
        operations: its operations; one that has no step, or was not answered, may be anywhere.
        dependence: which footprints are dependent.
        most: how many orders may be tried.

    Raises:
        TooManyOrdersError: more would have to be.
    """
    spans = [
        Span(operation.process, operation.first, operation.last)
        for operation in operations
        if operation.first is not None and operation.last is not None
    ]
    for found in real_time_orders(execution, spans, dependence, most):
        yield found.steps
