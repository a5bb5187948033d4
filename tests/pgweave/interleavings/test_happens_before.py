"""The order of a run's steps, by hand and against the store."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from pgweave.interleavings.execution import Execution, Step
from pgweave.interleavings.footprint import NOTHING, Access, Footprint, Lock, Mode, Rows
from pgweave.interleavings.happens_before import Dependence, causality
from pgweave.interleavings.replay import replay
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored


def locking(*rows: int) -> Footprint:
    return Footprint.of(
        *[Access(Mode.LOCK, Rows("accounts", {"id": row}), Lock.NO_KEY_UPDATE) for row in rows]
    )


def order(*steps: Step) -> tuple[list[set[int]], set[tuple[int, int]]]:
    found = causality(steps, Dependence())
    before = [{one for one in range(len(steps)) if past >> one & 1} for past in found.before]
    assert len(found.races) == len(set(found.races))
    return before, set(found.races)


def test_steps_of_one_process_are_in_order_and_do_not_race() -> None:
    assert order(Step(0, "a", locking(1)), Step(0, "b", locking(1))) == ([set(), {0}], set())


def test_independent_steps_are_not_ordered() -> None:
    assert order(Step(0, "a", locking(1)), Step(1, "b", locking(2))) == ([set(), set()], set())


def test_dependent_steps_are_ordered_and_race() -> None:
    assert order(Step(0, "a", locking(1)), Step(1, "b", locking(1))) == ([set(), {0}], {(0, 1)})


def test_what_is_ordered_by_something_between_does_not_race() -> None:
    steps = [Step(0, "a", locking(1)), Step(1, "b", locking(1, 2)), Step(2, "c", locking(1, 2))]
    assert order(*steps) == ([set(), {0}, {0, 1}], {(0, 1), (1, 2)})
    by_program = [Step(0, "a", locking(1)), Step(0, "b", locking(2)), Step(1, "c", locking(1, 2))]
    assert order(*by_program) == ([set(), {0}, {0, 1}], {(1, 2)})


def test_a_step_races_with_several_that_are_not_ordered() -> None:
    steps = [Step(0, "a", locking(1)), Step(1, "b", locking(2)), Step(2, "c", locking(1, 2))]
    assert order(*steps) == ([set(), set(), {0, 1}], {(0, 2), (1, 2)})


def test_what_wakes_races_with_what_waits_and_comes_before_what_goes_on() -> None:
    steps = [
        Step(0, "lock", NOTHING, blocked=True),
        Step(1, "commit", NOTHING, woke=(0,)),
        Step(0, "read", NOTHING),
        Step(0, "read", NOTHING),
        Step(1, "begin", NOTHING),
    ]
    assert order(*steps) == ([set(), {0}, {0, 1}, {0, 1, 2}, {0, 1}], {(0, 1)})


def test_two_that_wait_race() -> None:
    steps = [Step(0, "lock", locking(1), blocked=True), Step(1, "lock", locking(2), blocked=True)]
    assert order(*steps) == ([set(), {0}], {(0, 1)})


def test_races_may_be_asked_for_from_a_step_on() -> None:
    steps = [Step(process, "lock", locking(1)) for process in (0, 1, 2)]
    every, late = (causality(steps, Dependence(), first=first) for first in (0, 2))
    assert every.before == late.before
    assert every.races == ((0, 1), (1, 2))
    assert late.races == ((1, 2),)


def shuffled(execution: Execution, chance: random.Random) -> list[int]:
    """A schedule of an equivalent run."""
    before = causality(execution.steps, Dependence()).before
    taken = 0
    schedule: list[int] = []
    while len(schedule) < len(before):
        able = [index for index, past in enumerate(before) if not taken >> index & 1 and not past & ~taken]
        index = chance.choice(able)
        taken |= 1 << index
        schedule.append(execution.steps[index].process)
    return schedule


def facts(step: Step) -> tuple[object, ...]:
    return step.process, step.label, step.footprint, step.blocked, step.woke


def test_every_run_in_this_order_gives_the_same_answers() -> None:
    chance = random.Random(9)
    programs = [captures("a", "b", "a", clock=1), *map(random_program, range(120))]
    others = 0
    for program in programs:
        _, executions = explored(program, SourceDPOR())
        for execution in executions[:20]:
            for _ in range(3):
                schedule = shuffled(execution, chance)
                again = asyncio.run(replay(program, schedule))
                assert again.result == execution.result
                assert Counter(map(facts, again.steps)) == Counter(map(facts, execution.steps))
                others += again.schedule != execution.schedule
    assert others >= 500
