"""What source-DPOR plans, step by step."""

from __future__ import annotations

import asyncio

import pytest

from pgweave.interleavings.execution import Execution, Pending, Situation, Step
from pgweave.interleavings.footprint import NOTHING, Access, Footprint, Lock, Mode, Rows
from pgweave.interleavings.happens_before import Turn
from pgweave.interleavings.source_dpor import Awake, SourceDPOR
from pgweave.interleavings.strategy import PlanRun, SchedulePlan, perform
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.runs import explored
from tests.pgweave.interleavings.test_soundness import canonical

LOCK = Footprint.of(Access(Mode.LOCK, Rows("accounts"), Lock.UPDATE))


def run(*steps: Step, ready: list[dict[int, Footprint]], complete: bool = True) -> PlanRun:
    situations = tuple(
        Situation(
            depth,
            {process: Pending("step", footprint) for process, footprint in pending.items()},
            last=steps[depth - 1].process if depth else None,
        )
        for depth, pending in enumerate(ready)
    )
    return PlanRun(Execution(steps, complete=complete), situations)


def first(strategy: SourceDPOR) -> SchedulePlan:
    plan = strategy.next()
    assert plan is not None
    assert plan.prefix == ()
    return plan


def test_a_race_is_reversed_where_its_first_step_was() -> None:
    strategy = SourceDPOR()
    steps = (Step(0, "step", LOCK), Step(1, "step", LOCK))
    strategy.learn(first(strategy), run(*steps, ready=[{0: LOCK, 1: LOCK}, {1: LOCK}]))
    assert strategy.next() == SchedulePlan((1,), Awake({0: LOCK}))
    assert strategy.next() is None


def test_steps_that_are_independent_are_not_reversed() -> None:
    strategy = SourceDPOR()
    steps = (Step(0, "step", LOCK), Step(1, "step", NOTHING))
    strategy.learn(first(strategy), run(*steps, ready=[{0: LOCK, 1: NOTHING}, {1: NOTHING}]))
    assert strategy.next() is None


def test_if_none_of_the_reversal_was_ready_then_all_who_were_are_run() -> None:
    """Process 1 was not there yet where process 0 stepped, though no footprint says why."""
    strategy = SourceDPOR()
    steps = (Step(0, "step", LOCK), Step(1, "step", LOCK), Step(2, "step"), Step(3, "step"))
    ready: list[dict[int, Footprint]] = [
        {0: LOCK, 2: NOTHING, 3: NOTHING},
        {1: LOCK, 2: NOTHING, 3: NOTHING},
        {2: NOTHING, 3: NOTHING},
        {3: NOTHING},
    ]
    strategy.learn(first(strategy), run(*steps, ready=ready))
    assert strategy.next() == SchedulePlan((2,), Awake({0: LOCK}))


def test_nobody_steps_out_of_turn() -> None:
    """As above; but processes 2 and 3 are interchangeable, and 2 has to step before 3."""
    other = Footprint.of(Access(Mode.LOCK, Rows("entries"), Lock.UPDATE))
    strategy = SourceDPOR(groups=[(2, 3)])
    steps = (Step(0, "step", LOCK), Step(1, "step", LOCK), Step(2, "step", other), Step(3, "step", other))
    ready: list[dict[int, Footprint]] = [
        {0: LOCK, 2: other, 3: other},
        {1: LOCK, 2: other, 3: other},
        {2: other, 3: other},
        {3: other},
    ]
    strategy.learn(first(strategy), run(*steps, ready=ready))
    turns = {3: Turn(after=2, number=1)}
    assert strategy.next() == SchedulePlan((2,), Awake({0: LOCK}, turns))
    assert strategy.root is not None
    assert set(strategy.root.branches) == {0, 2}
    start = Situation(0, {2: Pending("step", other), 3: Pending("step", other)})
    after = Situation(1, {3: Pending("step", other)}, last=2)
    assert Awake({2: other}, turns).start()([start]) is None
    assert Awake({}, turns).start()([start, after]) == 3


def test_the_next_branch_waits_until_it_is_known_what_those_before_it_touch() -> None:
    strategy = SourceDPOR()
    both: dict[int, Footprint] = {1: LOCK, 2: LOCK}
    steps = tuple(Step(process, "step", LOCK) for process in (0, 1, 2))
    strategy.learn(first(strategy), run(*steps, ready=[{0: LOCK, **both}, both, {2: LOCK}]))
    assert strategy.next() == SchedulePlan((0, 2), Awake({1: LOCK}))
    after = (Step(0, "step", LOCK), Step(2, "step", LOCK), Step(1, "step", LOCK))
    plan = strategy.next()
    assert plan == SchedulePlan((1,), Awake({0: LOCK}))
    strategy.learn(SchedulePlan((0, 2), Awake({})), run(*after, ready=[{0: LOCK, **both}, both, {1: LOCK}]))
    # Process 2 is to step first as well, once it is known what process 1 touches there.
    assert strategy.next() is None
    touched = LOCK | Footprint.of(Access(Mode.READ, Rows("clock")))
    other: dict[int, Footprint] = {0: LOCK, 2: LOCK}
    steps = (Step(1, "step", touched), Step(0, "step", LOCK), Step(2, "step", LOCK))
    strategy.learn(plan, run(*steps, ready=[{0: LOCK, **both}, other, {2: LOCK}]))
    assert strategy.next() == SchedulePlan((1, 2), Awake({0: LOCK}))
    assert strategy.next() == SchedulePlan((2,), Awake({0: LOCK, 1: touched}))


def test_awake_ends_a_run_when_all_that_are_ready_sleep() -> None:
    go_on = Awake({0: LOCK}).start()
    ready = {0: Pending("lock", LOCK), 1: Pending("begin", NOTHING)}
    start = Situation(0, ready)
    assert go_on([start]) == 1
    asleep = Situation(1, {0: ready[0]}, last=1)
    assert go_on([start, asleep]) is None


@pytest.mark.parametrize("said", [True, False])
def test_awake_wakes_who_depends_on_what_happened(said: bool) -> None:
    pending = NOTHING if said else LOCK
    start = Situation(0, {0: Pending("lock", LOCK), 1: Pending("lock", pending)})
    after = Situation(1, {0: Pending("lock", LOCK)}, last=1, touched=LOCK if said else None)
    assert Awake({0: LOCK}).start()([start, after]) == 0


@pytest.mark.parametrize("lost", range(1, 20))
def test_without_one_plan_the_others_are_run(lost: int) -> None:
    """Whichever cannot be run, no branch sleeps on it, and no class is run twice."""
    program = captures("a", "b", "c")
    classes = {canonical(execution) for execution in explored(program, SourceDPOR())[1]}
    strategy = SourceDPOR()
    found = []
    number = 0
    while (plan := strategy.next()) is not None:
        if number == lost:
            strategy.forget(plan)
        else:
            ran = asyncio.run(perform(program, plan))
            strategy.learn(plan, ran)
            found += [canonical(ran.execution)] * ran.execution.complete
        number += 1
    assert number > lost
    assert len(found) == len(set(found))
    assert set(found) <= classes


def test_the_tree_forgets_what_is_finished() -> None:
    program = captures("a", "b", "c")
    strategy = SourceDPOR()
    while (plan := strategy.next()) is not None:
        strategy.learn(plan, asyncio.run(perform(program, plan)))
    root = strategy.root
    assert root is not None
    assert root.unfinished == 0
    assert root.branches
    assert all(branch.child is None for branch in root.branches.values())
