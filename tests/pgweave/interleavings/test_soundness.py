"""One run for each class finds what all find, and would not with dependent steps taken for independent."""

from __future__ import annotations

import random

import pytest

from pgweave.interleavings.execution import Execution
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.footprint import Footprint, Mode, Rows
from pgweave.interleavings.happens_before import Dependence, causality
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored, outcomes
from tests.pgweave.interleavings.simulator import (
    BEGIN,
    COMMIT,
    Process,
    Simulator,
    fixed,
    lock,
    read,
    write,
)

# Programs in groups, for a test each; those with more schedules than this are left out, and counted.
GROUPS = [range(start, start + 50) for start in range(0, 300, 50)]
MOST_SCHEDULES = 1_700


def canonical(execution: Execution) -> frozenset[tuple[tuple[int, int], tuple[int, int]]]:
    """What a run shares with its equivalents: which step of which process comes before which."""
    before = causality(execution.steps, Dependence()).before
    taken = [0] * (1 + max(execution.schedule, default=0))
    names = []
    for process in execution.schedule:
        names.append((process, taken[process]))
        taken[process] += 1
    return frozenset(
        (names[one], names[other])
        for other, past in enumerate(before)
        for one in range(other)
        if past >> one & 1
    )


@pytest.mark.parametrize("seeds", GROUPS, ids=lambda seeds: f"{seeds[0]} to {seeds[-1]}")
def test_dpor_finds_every_outcome_and_runs_no_class_twice(seeds: range) -> None:
    left_out = 0
    for seed in seeds:
        # Half of the programs do not say what a step touched before the next is chosen.
        program = random_program(seed, tell_touched=seed % 2 == 0)
        every, naive = explored(program, Naive(), Options(runs=MOST_SCHEDULES))
        if not every.complete:
            left_out += 1
            continue
        one_each, dpor = explored(program, SourceDPOR())
        assert one_each.complete, seed
        assert one_each.schedules <= every.schedules, seed
        assert outcomes(dpor) == outcomes(naive), seed
        classes = {canonical(execution) for execution in dpor}
        assert len(classes) == len(dpor), seed
    assert left_out <= len(seeds) // 10


def test_the_programs_are_worth_it() -> None:
    """Lost updates, deadlocks, duplicate rows and rollbacks do happen in them."""
    found: dict[str, int] = dict.fromkeys(["several outcomes", "deadlock", "unique", "rollback"], 0)
    for seed in range(300):
        _, executions = explored(random_program(seed), SourceDPOR())
        different = outcomes(executions)
        found["several outcomes"] += len(different) > 1
        for what in ("deadlock", "unique", "rollback"):
            found[what] += any(what in repr(outcome) for outcome in different)
    assert found["several outcomes"] >= 150
    assert found["deadlock"] >= 10
    assert found["unique"] >= 15
    assert found["rollback"] >= 100


class Crippled(Dependence):
    """Takes accesses of one kind to be independent of all others."""

    def __init__(self, mode: Mode) -> None:
        super().__init__()
        self._ignored = mode

    def _related(self, one: Footprint, other: Footprint) -> bool:
        return self._kept(one).dependent(self._kept(other))

    def _kept(self, footprint: Footprint) -> Footprint:
        return Footprint(frozenset(one for one in footprint.accesses if one.mode is not self._ignored))


@pytest.mark.parametrize("mode", [Mode.READ, Mode.LOCK, Mode.PUBLISH])
def test_an_access_taken_for_independent_loses_outcomes(mode: Mode) -> None:
    lost = 0
    for seed in range(150):
        program = random_program(seed)
        _, sound = explored(program, SourceDPOR())
        _, crippled = explored(program, SourceDPOR(Crippled(mode)))
        assert outcomes(crippled) <= outcomes(sound), seed
        lost += outcomes(crippled) != outcomes(sound)
    assert lost >= 10


def test_a_release_taken_for_independent_does_not_show_who_waited() -> None:
    """No answer of this store does, so outcomes cannot; but a lock that waits is a class of its own."""
    row = Rows("accounts", {"id": 1})
    program = Simulator([fixed(lock(row), COMMIT)] * 2, {row: 0}, begun=range(2))
    _, sound = explored(program, SourceDPOR())
    _, crippled = explored(program, SourceDPOR(Crippled(Mode.RELEASE)))
    assert sorted(any(step.blocked for step in one.steps) for one in sound) == [False, False, True, True]
    assert len(crippled) == 2


def nonblocking(seed: int) -> Simulator:
    """Processes that read rows and write them, each statement for itself: nobody ever waits."""
    chance = random.Random(seed)
    rows = [Rows("accounts", {"id": number}) for number in (1, 2)]

    processes = []
    for _ in range(3):
        operations = [
            chance.choice([read(row), write(row, chance.randint(0, 9))])
            for row in chance.choices(rows, k=chance.randint(1, 3))
        ]
        processes.append(fixed(*operations))
    return Simulator(processes, dict.fromkeys(rows, 0))


def test_of_programs_in_which_nobody_waits_each_class_is_run_exactly_once() -> None:
    for seed in range(40):
        every, naive = explored(nonblocking(seed), Naive(), Options(runs=MOST_SCHEDULES))
        assert every.complete
        assert not any(step.blocked for execution in naive for step in execution.steps)
        _, dpor = explored(nonblocking(seed), SourceDPOR())
        classes = [canonical(execution) for execution in dpor]
        assert sorted(classes, key=sorted) == sorted({canonical(one) for one in naive}, key=sorted)


def test_a_lost_update_is_found() -> None:
    report, executions = explored(captures("a", "b", locking=False), SourceDPOR())
    succeeded = [execution.result[0] for execution in executions]
    twice = [rows for rows in succeeded if sum(value == "'succeeded'" for _, value in rows) == 2]
    assert report.complete
    assert twice


def test_both_victims_of_a_deadlock_are_found() -> None:
    rows = [Rows("accounts", {"id": number}) for number in (1, 2)]

    def transfer(first: Rows, second: Rows) -> Process:
        return fixed(BEGIN, lock(first), lock(second), COMMIT)

    crossing = Simulator([transfer(*rows), transfer(*reversed(rows))], dict.fromkeys(rows, 0))
    _, executions = explored(crossing, SourceDPOR())
    victims = {
        process
        for execution in executions
        for process, answers in enumerate(execution.result[1])
        if any("deadlock" in answer for answer in answers)
    }
    assert victims == {0, 1}


def test_three_that_wait_in_a_circle_find_every_victim_and_order_of_grants() -> None:
    rows = [Rows("accounts", {"id": number}) for number in range(3)]

    def transfer(first: Rows, second: Rows, amount: int) -> Process:
        return fixed(lock(first), write(second, lambda seen: 10 * seen + amount), COMMIT)

    processes = [transfer(rows[one], rows[(one + 1) % 3], one + 1) for one in range(3)]
    circle = Simulator(processes, dict.fromkeys(rows, 0), begun=range(3))
    every, naive = explored(circle, Naive())
    _, dpor = explored(circle, SourceDPOR())
    assert every.schedules > 100
    assert outcomes(dpor) == outcomes(naive)


def test_what_waits_keeps_its_order_with_those_who_see_what_it_will_publish() -> None:
    """A read before an update, and the update before a lock that it would otherwise have waited for."""
    row = Rows("accounts", {"id": 1})
    processes = [fixed(write(row, 1)), fixed(lock(row), COMMIT), fixed(read(row))]
    program = Simulator(processes, {row: 0}, begun=[1])
    _, naive = explored(program, Naive())
    _, dpor = explored(program, SourceDPOR())
    assert len(outcomes(naive)) == 4
    assert outcomes(dpor) == outcomes(naive)
