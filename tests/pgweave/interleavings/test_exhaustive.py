"""All schedules, and all with few preemptions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pgweave.interleavings.execution import Execution
from pgweave.interleavings.exhaustive import Bounded, Naive
from pgweave.interleavings.footprint import Rows
from pgweave.interleavings.strategy import Coverage
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.runs import explored
from tests.pgweave.interleavings.simulator import Simulator, fixed, read

ROW = Rows("accounts", {"id": 1})


def readers(*steps: int) -> Simulator:
    """Processes that take so many steps and never wait."""
    return Simulator([fixed(*[read(ROW)] * count) for count in steps], {ROW: 0})


def preemptions(execution: Execution) -> int:
    """Switches away from a process that takes a step later and is not waiting."""
    steps = execution.steps
    count = 0
    for index in range(1, len(steps)):
        last = steps[index - 1].process
        waits = any(
            step.blocked and not any(last in later.woke for later in steps[number + 1 : index])
            for number, step in enumerate(steps[:index])
            if step.process == last
        )
        goes_on = any(step.process == last for step in steps[index:])
        count += steps[index].process != last and goes_on and not waits
    return count


@pytest.mark.parametrize(("steps", "schedules"), [((1, 1), 2), ((2, 2), 6), ((2, 2, 2), 90), ((3, 1, 2), 60)])
def test_schedules_of_processes_that_never_wait_are_multinomial(steps: Sequence[int], schedules: int) -> None:
    report, executions = explored(readers(*steps), Naive())
    assert report.schedules == schedules == len({execution.schedule for execution in executions})


@pytest.mark.parametrize("bound", range(5))
def test_bounded_runs_the_schedules_with_few_preemptions_once_each(bound: int) -> None:
    _, every = explored(captures("a", "b"), Naive())
    report, executions = explored(captures("a", "b"), Bounded(bound))
    expected = {execution.schedule for execution in every if preemptions(execution) <= bound}
    assert {execution.schedule for execution in executions} == expected
    assert report.schedules == len(expected)
    assert report.complete
    assert report.exhaustive == (len(expected) == 66)
    assert report.coverage == (Coverage.SCHEDULES if len(expected) == 66 else Coverage.BOUNDED)
    counts = [preemptions(execution) for execution in executions]
    assert counts == sorted(counts)


def test_without_preemptions_there_are_the_serial_schedules() -> None:
    report, executions = explored(readers(3, 3, 3), Bounded(0))
    assert {execution.schedule for execution in executions} >= {(0,) * 3 + (1,) * 3 + (2,) * 3}
    assert report.schedules == 6
    assert report.naive is None


def test_a_bound_that_cuts_nothing_counts_all() -> None:
    report, _ = explored(readers(2, 2), Bounded(9))
    assert report.naive is not None
    assert report.naive.schedules == 6


def test_a_bound_is_a_number() -> None:
    with pytest.raises(ValueError, match="negative"):
        Bounded(-1)
