"""Real-time orders, against the enumeration of every run of a class."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from pgweave.interleavings.execution import Execution, Step
from pgweave.interleavings.footprint import Access, Footprint, Lock, Mode, Rows
from pgweave.interleavings.happens_before import Dependence, causality
from pgweave.interleavings.orders import RealTimeOrder, Span, real_time_orders
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.runs import explored


def linear_extensions(before: Sequence[int], taken: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if len(taken) == len(before):
        yield taken
        return
    done = sum(1 << one for one in taken)
    for index, past in enumerate(before):
        if not done >> index & 1 and not past & ~done:
            yield from linear_extensions(before, (*taken, index))


def ended_before(
    execution: Execution, operations: Sequence[Span], steps: Sequence[int]
) -> frozenset[tuple[int, int]]:
    """The pairs of operations in order in a run, straight from the definition."""
    place = {index: number for number, index in enumerate(steps)}

    def end(operation: Span) -> int:
        if not execution.steps[operation.last].blocked:
            return place[operation.last]
        return min(
            place[index]
            for index in range(operation.last, len(execution.steps))
            if operation.process in execution.steps[index].woke
        )

    return frozenset(
        (one, other)
        for one, first in enumerate(operations)
        for other, second in enumerate(operations)
        if end(first) < place[second.first]
    )


def maximal(sets: set[frozenset[tuple[int, int]]]) -> set[frozenset[tuple[int, int]]]:
    return {one for one in sets if not any(one < other for other in sets)}


def random_execution(chance: random.Random) -> tuple[Execution, list[Span]]:
    """Up to eight steps of up to four processes on a few rows, cut into operations; a step may wait."""
    processes = chance.randint(2, 4)
    schedule = [chance.randrange(processes) for _ in range(chance.randint(3, 8))]
    steps: list[Step] = []
    waiting: set[int] = set()
    for process in schedule:
        if process in waiting:
            continue
        access = Access(Mode.LOCK, Rows("accounts", {"id": chance.randint(1, 4)}), Lock.UPDATE)
        footprint = Footprint.of(access) if chance.random() < 0.7 else Footprint()
        woke = tuple(one for one in sorted(waiting) if chance.random() < 0.5)
        waiting -= set(woke)
        blocked = chance.random() < 0.2
        if blocked:
            waiting.add(process)
        steps.append(Step(process, "step", footprint, blocked=blocked, woke=woke))
    if waiting:
        steps.append(Step(processes, "end", woke=tuple(sorted(waiting))))
    operations = []
    for process in range(processes):
        indices = [index for index, step in enumerate(steps) if step.process == process]
        while indices:
            size = chance.randint(1, len(indices))
            operations.append(Span(process, indices[0], indices[size - 1]))
            indices = indices[size:]
    return Execution(tuple(steps), complete=True), operations


def check(execution: Execution, operations: Sequence[Span]) -> list[RealTimeOrder]:
    before = causality(execution.steps, Dependence()).before
    extensions = list(linear_extensions(before))
    every = {ended_before(execution, operations, one) for one in extensions}
    found = real_time_orders(execution, operations)
    assert {one.pairs for one in found} == maximal(every)
    assert len(found) == len({one.pairs for one in found})
    for one in found:
        assert one.steps in extensions
        assert ended_before(execution, operations, one.steps) == one.pairs
    return found


def test_the_maximal_orders_are_those_of_all_runs_of_the_class() -> None:
    chance = random.Random(4)
    several = waited = 0
    for _ in range(150):
        execution, operations = random_execution(chance)
        if len(operations) <= 5:
            several += len(check(execution, operations)) > 1
            waited += any(execution.steps[one.last].blocked for one in operations)
    assert several >= 30
    assert waited >= 15


def whole(execution: Execution) -> list[Span]:
    """Every process does one operation."""
    schedule = execution.schedule
    return [
        Span(process, schedule.index(process), len(schedule) - 1 - schedule[::-1].index(process))
        for process in sorted(set(schedule))
    ]


def test_captures_that_wait_are_concurrent_and_the_others_may_be_ordered() -> None:
    _, executions = explored(captures("a", "b"), SourceDPOR())
    for execution in executions:
        found = check(execution, whole(execution))
        waits = any(step.blocked for step in execution.steps)
        (first, second) = dict.fromkeys(step.process for step in execution.steps if "lock" in step.label)
        assert [set(one.pairs) for one in found] == [set() if waits else {(first, second)}]


def test_independent_operations_can_be_in_either_order() -> None:
    execution = Execution((Step(0, "a"), Step(1, "b"), Step(0, "a"), Step(1, "b")), complete=True)
    found = real_time_orders(execution, [Span(0, 0, 2), Span(1, 1, 3)])
    assert {one.pairs: one.steps for one in found} == {
        frozenset({(0, 1)}): (0, 2, 1, 3),
        frozenset({(1, 0)}): (1, 3, 0, 2),
    }


def test_no_operation_is_a_run_as_it_was() -> None:
    execution = Execution((Step(0, "a"), Step(1, "b")), complete=True)
    assert real_time_orders(execution, []) == [RealTimeOrder(frozenset(), (0, 1))]


def test_a_wait_that_ends_by_itself_ends_the_operation() -> None:
    """As at a limit of the wait: nobody comes after it whose step lets it go on."""
    execution = Execution((Step(1, "a"), Step(0, "b", blocked=True, woke=(0,))), complete=True)
    operations = [Span(1, 0, 0), Span(0, 1, 1)]
    assert [order.pairs for order in real_time_orders(execution, operations)] == [
        frozenset({(0, 1)}),
        frozenset({(1, 0)}),
    ]


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Span(0, 0, 3), "no steps from 0 to 3"),
        (Span(0, 0, 1), "not both of process 0"),
        (Span(0, 0, 2), "never woken"),
    ],
)
def test_operations_that_are_none(operation: Span, message: str) -> None:
    steps = (Step(0, "a"), Step(1, "b"), Step(0, "c", blocked=True))
    with pytest.raises(ValueError, match=message):
        real_time_orders(Execution(steps, complete=True), [operation])
