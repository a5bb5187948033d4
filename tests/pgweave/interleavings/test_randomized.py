"""Random schedules, priorities, and the estimate of how many schedules there are."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest

from pgweave.interleavings.estimate import estimate_naive
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.randomized import PCT, Priorities, Random
from pgweave.interleavings.replay import replay
from pgweave.interleavings.strategy import Coverage, SchedulePlan, Strategy, perform
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.runs import explored
from tests.pgweave.interleavings.test_exhaustive import readers

TRIES = 300


def strategies(seed: int, runs: int = TRIES) -> list[Strategy]:
    return [Random(runs, seed), PCT(runs, seed, depth=3, steps=12)]


@pytest.mark.parametrize("which", [0, 1])
def test_a_seed_makes_the_same_schedules(which: int) -> None:
    program = captures("a", "b", locking=False)
    (_, once), (_, again), (_, other) = (
        explored(program, strategies(seed, 40)[which]) for seed in (1, 1, 1_000)
    )
    assert [one.schedule for one in once] == [one.schedule for one in again]
    assert [one.schedule for one in once] != [one.schedule for one in other]


@pytest.mark.parametrize("which", [0, 1])
def test_a_plan_carries_the_seed_that_makes_its_schedule_again(which: int) -> None:
    program = captures("a", "b")
    found: list[tuple[int | None, tuple[int, ...]]] = []
    strategy = strategies(7, 20)[which]

    def keep(execution: Execution, plan: SchedulePlan) -> None:
        found.append((plan.seed, execution.schedule))

    report = asyncio.run(explore(program, strategy, on_execution=keep))
    assert report.schedules == 20
    assert report.coverage is Coverage.SAMPLE
    assert not report.exhaustive
    assert [seed for seed, _ in found] == list(range(7, 27))
    for seed, schedule in found[:5]:
        assert seed is not None
        plan = strategies(seed, 1)[which].next()
        assert plan is not None
        assert asyncio.run(perform(program, plan)).execution.schedule == schedule
        assert asyncio.run(replay(program, schedule)).schedule == schedule


def test_uniform_takes_every_first_choice_equally_often() -> None:
    _, executions = explored(readers(2, 2, 2), Random(TRIES, 0))
    first = Counter(execution.schedule[0] for execution in executions)
    assert set(first) == {0, 1, 2}
    assert min(first.values()) >= TRIES / 3 - 4 * math.sqrt(TRIES)
    assert len({execution.schedule for execution in executions}) >= 80


def test_priorities_never_switch_but_at_a_change() -> None:
    for seed in range(20):
        run = asyncio.run(perform(readers(3, 3, 3), SchedulePlan((), Priorities(seed, (1,)))))
        schedule = run.execution.schedule
        assert schedule[0] != schedule[1]
        # Who fell comes last.
        assert schedule[1:7] == tuple(sorted(schedule[1:7], key=schedule[1:].index))
        assert schedule[7:] == (schedule[0],) * 2


def test_of_two_that_fall_the_later_entry_is_last() -> None:
    for changes, last in (((0, 1), "second"), ((1, 0), "first")):
        run = asyncio.run(perform(readers(2, 2, 2), SchedulePlan((), Priorities(5, changes))))
        top = asyncio.run(perform(readers(2, 2, 2), SchedulePlan((), Priorities(5, ())))).execution.schedule
        fell = {"first": top[0], "second": top[2]}
        assert run.execution.schedule[-1] == fell[last]


def test_pct_finds_a_bug_of_depth_two_as_often_as_it_promises() -> None:
    """Both captures succeed if each reads the payment before the other commits."""
    program = captures("a", "b", locking=False)
    tries, steps = 400, 13
    _, executions = explored(program, PCT(tries, 0, depth=2, steps=steps))
    failing = sum(
        sum(value == "'succeeded'" for _, value in execution.result[0]) == 2 for execution in executions
    )
    promised = tries / (2 * steps)
    assert failing >= promised - 3 * math.sqrt(promised)
    _, never = explored(program, PCT(50, 0, depth=1, steps=steps))
    assert not any(
        sum(value == "'succeeded'" for _, value in execution.result[0]) == 2 for execution in never
    )


@pytest.mark.parametrize(("ticks", "schedules", "error"), [(0, 66, 6), (1, 852, 300)])
def test_the_estimate_is_near_the_count(ticks: int, schedules: int, error: float) -> None:
    program = captures("a", "b", clock=ticks)
    estimated = asyncio.run(estimate_naive(program, probes=1_000, seed=0))
    assert estimated.known == "estimated"
    assert estimated.probes == 1_000
    assert 0 < estimated.standard_error < error
    assert abs(estimated.schedules - schedules) < 4 * estimated.standard_error


def test_where_all_schedules_branch_alike_the_estimate_is_exact() -> None:
    estimated = asyncio.run(estimate_naive(readers(1, 1, 1), probes=5, seed=3))
    assert estimated.schedules == 6
    assert estimated.standard_error == 0


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="positive"):
        PCT(1, 0, depth=0, steps=3)
    with pytest.raises(ValueError, match="probe"):
        asyncio.run(estimate_naive(readers(1), probes=0, seed=0))
