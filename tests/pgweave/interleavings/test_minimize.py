"""Failing schedules with few switches."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pgweave.interleavings.execution import DivergenceError, Execution
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.minimize import minimize, switches
from pgweave.interleavings.randomized import Random
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored, outcomes
from tests.pgweave.interleavings.unsteady import Unsteady


def twice(execution: Execution) -> bool:
    """Two captures of one payment succeeded."""
    rows: tuple[tuple[str, str], ...] = execution.result[0]
    return sum(value == "'succeeded'" for _, value in rows) == 2


def test_switches_are_counted() -> None:
    assert [switches(one) for one in ((), (0,), (0, 0, 1), (0, 1, 0, 1))] == [0, 0, 1, 3]


def test_a_lost_update_needs_two_switches() -> None:
    program = captures("a", "b", locking=False)
    _, every = explored(program, Naive())
    fewest = min(switches(one.schedule) for one in every if twice(one))
    assert fewest == 2
    _, executions = explored(program, Random(100, 0))
    failing = [one for one in executions if twice(one)]
    assert len(failing) >= 10
    for execution in failing[:15]:
        minimal = asyncio.run(minimize(program, execution, twice))
        assert twice(minimal.execution)
        assert switches(minimal.execution.schedule) == fewest
        again = asyncio.run(minimize(program, execution, twice))
        assert again == minimal


def test_of_three_captures_the_third_is_not_in_the_way() -> None:
    program = captures("a", "b", "c", locking=False)
    _, executions = explored(program, Random(60, 0))
    for execution in filter(twice, executions):
        minimal = asyncio.run(minimize(program, execution, twice))
        assert switches(minimal.execution.schedule) == 3


def test_random_programs_come_near_their_fewest_switches() -> None:
    """The search is greedy: it promises no minimum, but must find it nearly always."""
    tried = missed = 0
    for seed in range(120):
        program = random_program(seed)
        _, every = explored(program, Naive())
        if len(outcomes(every)) == 1:
            continue
        by_rarity = sorted(outcomes(every), key=lambda one: sum(other.result == one for other in every))
        rarest = [one for one in every if one.result == by_rarity[0]]
        worst = max(rarest, key=lambda one: switches(one.schedule))
        minimal = asyncio.run(minimize(program, worst, rarest.__contains__))
        assert minimal.execution in rarest
        tried += 1
        missed += switches(minimal.execution.schedule) > min(switches(one.schedule) for one in rarest)
    assert tried >= 50
    assert missed <= tried // 10


def test_a_run_that_does_not_fail_again_is_refused() -> None:
    program = captures("a", "b", locking=False)
    _, executions = explored(program, Random(50, 0))
    execution = next(filter(twice, executions))
    with pytest.raises(DivergenceError, match="does not fail when it is run again"):
        asyncio.run(minimize(program, execution, lambda _: False))
    impossible = replace(execution, steps=execution.steps[:-1])
    with pytest.raises(DivergenceError, match="does not fail when it is run again"):
        asyncio.run(minimize(program, impossible, twice))


def test_runs_are_limited_and_runs_that_get_stuck_are_passed_over() -> None:
    program = captures("a", "b", locking=False)
    _, executions = explored(program, Random(50, 0))
    execution = max(filter(twice, executions), key=lambda one: switches(one.schedule))
    assert asyncio.run(minimize(program, execution, twice, max_runs=3)).runs == 3
    unsteady = Unsteady(program, lambda run: run % 5 == 0, 2, stuck=True)
    minimal = asyncio.run(minimize(unsteady, execution, twice))
    assert unsteady.count == minimal.runs
    assert twice(minimal.execution)
    assert switches(minimal.execution.schedule) < switches(execution.schedule)
