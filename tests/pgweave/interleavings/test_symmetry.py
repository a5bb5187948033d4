"""Interchangeable processes: one run for all in which they change places, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Generator
from itertools import permutations, product
from typing import Any

import pytest

from pgweave.interleavings.execution import Execution, Program
from pgweave.interleavings.explore import explore
from pgweave.interleavings.footprint import Rows
from pgweave.interleavings.ledger import ATTEMPTS, Options
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import SchedulePlan
from pgweave.interleavings.symmetry import Renaming, Symmetry
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_operation, random_process
from tests.pgweave.interleavings.runs import explored
from tests.pgweave.interleavings.simulator import (
    BEGIN,
    CLOCK,
    COMMIT,
    Operation,
    Process,
    Simulator,
    fixed,
    insert,
    lock,
    read,
    write,
)
from tests.pgweave.interleavings.test_soundness import canonical
from tests.pgweave.interleavings.unsteady import Unsteady

SHARED = [Rows("accounts", {"id": number}) for number in (1, 2)]
Class = frozenset[tuple[tuple[int, int], tuple[int, int]]]


def own(process: int) -> Rows:
    return Rows("entries", {"key": f"key{process}"})


def renamed_result(result: Any, renaming: Renaming) -> Any:
    """The rows and the answers of the processes, had these been in each other's place."""
    rows, answers = result
    placed: list[Any] = [None] * len(answers)
    for process, its in enumerate(answers):
        placed[renaming.process(process)] = tuple(map(renaming.text, its))
    return tuple(sorted((renaming.text(row), renaming.text(value)) for row, value in rows)), tuple(placed)


def symmetry_of(*groups: tuple[int, ...]) -> Symmetry:
    names = {process: (f"key{process}",) for group in groups for process in group}
    return Symmetry(groups, names, renamed_result)


def renamings(symmetry: Symmetry) -> list[Renaming]:
    orders = product(*(permutations(group) for group in symmetry.groups))
    return [
        symmetry.renaming(
            {
                process: place
                for group, order in zip(symmetry.groups, each, strict=True)
                for process, place in zip(group, order, strict=True)
            }
        )
        for each in orders
    ]


def image(of_class: Class, renaming: Renaming) -> Class:
    return frozenset(
        ((renaming.process(one), first), (renaming.process(other), second))
        for (one, first), (other, second) in of_class
    )


def test_captures_divide_by_who_is_first() -> None:
    """Catalan numbers, where `test_counts` has them times n!."""
    counts = []
    for clients in range(2, 8):
        program = captures(*(f"key{process}" for process in range(clients)))
        report, _ = explored(program, SourceDPOR(groups=[range(clients)]))
        assert report.complete
        assert report.abandoned == 0
        counts.append(report.schedules)
    assert counts == [2, 5, 14, 42, 132, 429]


@pytest.mark.parametrize(
    ("clients", "clock", "classes"), [(2, 1, 6), (2, 2, 12), (3, 0, 5), (3, 1, 20), (4, 0, 14)]
)
def test_the_classes_found_stand_for_all(clients: int, clock: int, classes: int) -> None:
    """Each for as many as there are members' orders, divided by the orders that leave it as it is."""
    program = captures(*(f"key{process}" for process in range(clients)), clock=clock)
    symmetry = symmetry_of(tuple(range(clients)))
    _, full = explored(program, SourceDPOR())
    report, reduced = explored(program, SourceDPOR(groups=symmetry.groups))
    every = renamings(symmetry)
    found = [canonical(execution) for execution in reduced]
    stabilizers = [sum(image(each, renaming) == each for renaming in every) for each in found]
    assert report.schedules == classes
    assert sum(len(every) // stabilizer for stabilizer in stabilizers) == len(full)
    assert {image(each, renaming) for each in found for renaming in every} == set(map(canonical, full))


def test_there_may_be_several_groups() -> None:
    """Two clients with one key, two with another: each pair may change places, and divides by two."""
    program, groups = captures("x", "x", "y", "y"), [(0, 1), (2, 3)]
    every = renamings(Symmetry(groups))
    full = {canonical(each) for each in explored(program, SourceDPOR())[1]}
    found = [canonical(each) for each in explored(program, SourceDPOR(groups=groups))[1]]
    assert (len(full), len(found), len(every)) == (336, 84, 4)
    assert {image(each, renaming) for each in found for renaming in every} == full


def members(seed: int) -> tuple[Simulator, Symmetry]:
    """Two processes that do the same, or three, each with a row of its own; and perhaps another process."""
    chance = random.Random(seed)
    count = chance.choice((2, 2, 3))
    others = chance.choice((0, 0, 1)) if count == 2 else 0
    kinds = {
        "lock": 4,
        "lock seeing": 2,
        "read": 3,
        "write seen": 3,
        "add": 3,
        "look": 1,
        "tick": 1,
        "clock": 1,
    }
    rows = SHARED[: chance.choice((1, 2))]
    length = chance.randint(1, 3 if count + others == 2 else 2)
    middle = [_with_own(chance, random_operation(chance, kinds, rows, 0)) for _ in range(length)]
    ending, in_transaction = chance.getrandbits(32), chance.random() < 0.75
    processes: list[Process] = []
    for process in range(count):
        mine = [_of(process, operation) for operation in middle]
        processes.append(random_process(random.Random(ending), mine, in_transaction))
    for number in range(others):
        theirs = [random_operation(chance, kinds, rows, number + 1) for _ in range(2)]
        processes.append(random_process(chance, theirs, in_transaction))
    begun = range(count + others) if in_transaction else ()
    program = Simulator(processes, dict.fromkeys(SHARED, 0), begun=begun, tell_touched=seed % 2 == 0)
    return program, symmetry_of(tuple(range(count)))


def _with_own(chance: random.Random, operation: Operation) -> Operation:
    """A third of the operations is about the process's own row."""
    if chance.random() < 0.67 or operation.row is None or operation.kind == "write seen":
        return operation
    return chance.choice([insert(own(0), 1), read(own(0))])


def _of(process: int, operation: Operation) -> Operation:
    return (
        insert(own(process), 1)
        if operation == insert(own(0), 1)
        else (read(own(process)) if operation == read(own(0)) else operation)
    )


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 300, 50)], ids=str)
def test_of_random_programs_nothing_is_lost_but_for_renaming(seeds: range) -> None:
    reduced_by = 0
    for seed in seeds:
        program, symmetry = members(seed)
        every = renamings(symmetry)
        _, full = explored(program, SourceDPOR())
        _, reduced = explored(program, SourceDPOR(groups=symmetry.groups))
        found, classes = set(map(canonical, reduced)), set(map(canonical, full))
        assert found <= classes, seed
        assert {image(each, renaming) for each in found for renaming in every} == classes, seed
        results = {renamed_result(one.result, renaming) for one in reduced for renaming in every}
        assert results == {one.result for one in full}, seed
        reduced_by += len(reduced) < len(full)
    assert reduced_by >= len(seeds) // 3


def checked(program: Program, symmetry: Symmetry) -> Report:
    strategy = SourceDPOR(groups=symmetry.groups)
    return explored(program, strategy, Options(symmetry=symmetry))[0]


@pytest.mark.parametrize("clients", [2, 3, 4])
def test_interchangeable_processes_pass_the_check(clients: int) -> None:
    program = captures(*(f"key{process}" for process in range(clients)), clock=1)
    report = checked(program, symmetry_of(tuple(range(clients))))
    assert report.complete
    assert report.trustworthy
    assert not report.asymmetry
    assert report.interchangeable == (tuple(range(clients)),)
    assert program.runs == 2 * (report.schedules + report.abandoned)


def test_random_interchangeable_processes_pass_the_check() -> None:
    for seed in range(100):
        report = checked(*members(seed))
        assert report.complete, seed
        assert not report.asymmetry, (seed, report.asymmetry)


@pytest.mark.parametrize("clients", range(2, 9))
def test_in_as_many_runs_as_captures_have_classes_each_stands_in_each_place(clients: int) -> None:
    symmetry, chance = symmetry_of(tuple(range(clients))), random.Random(0)
    classes = math.comb(2 * clients, clients) // (clients + 1)
    met = {pair for _ in range(classes) for pair in symmetry.draw(chance).processes.items()}
    assert all(one == other or (one, other) in met for one, other in product(range(clients), repeat=2))


def test_a_run_in_each_others_place_that_cannot_be_made_is_tried_again() -> None:
    symmetry = symmetry_of((0, 1))
    once = Unsteady(captures("key0", "key1"), lambda run: run == 2, 3, stuck=True)
    report = checked(once, symmetry)
    assert (report.complete, report.trustworthy, report.asymmetry, report.schedules) == (True, True, "", 2)
    always = Unsteady(captures("key0", "key1"), lambda run: run % 2 == 0, 3, stuck=True)
    report = checked(always, symmetry)
    assert "neither comes to its next step nor ends" in report.asymmetry
    assert report.outdated
    assert always.count == 2 * ATTEMPTS


def answers_wrongly(key: Rows) -> Process:
    """What is inserted is not what the others insert."""
    return fixed(BEGIN, lock(SHARED[0]), insert(key, 2), COMMIT)


def does_not_lock(key: Rows) -> Process:
    return fixed(BEGIN, read(SHARED[0]), insert(key, 1), COMMIT)


def takes_a_step_more(key: Rows) -> Process:
    return fixed(BEGIN, lock(SHARED[0]), insert(key, 1), read(CLOCK), COMMIT)


@pytest.mark.parametrize("special", range(3))
@pytest.mark.parametrize("differs", [answers_wrongly, does_not_lock, takes_a_step_more])
def test_a_process_that_differs_is_found_and_nothing_is_claimed(differs: Any, special: int) -> None:
    processes = [fixed(BEGIN, lock(SHARED[0]), insert(own(process), 1), COMMIT) for process in range(3)]
    processes[special] = differs(own(special))
    report = checked(Simulator(processes, dict.fromkeys(SHARED, 0)), symmetry_of((0, 1, 2)))
    assert report.asymmetry
    assert report.outdated
    assert not report.complete


def test_a_run_that_differs_is_judged_as_well() -> None:
    """Process 0 takes what somebody else has taken; as the first to lock it never meets that."""

    def taking(process: int) -> Process:
        def take() -> Generator[Operation, Any, None]:
            yield BEGIN
            if (yield lock(SHARED[0])) == 0 or process == 0:
                yield write(SHARED[0], own(process))
            yield COMMIT

        return take

    def is_wrong(execution: Execution, _plan: SchedulePlan) -> bool:
        judged.append(execution)
        return sum(step.label.startswith("write") for step in execution.steps) > 1

    judged: list[Execution] = []
    program = Simulator([taking(0), taking(1)], dict.fromkeys(SHARED, 0))
    symmetry = symmetry_of((0, 1))
    strategy, options = SourceDPOR(groups=symmetry.groups), Options(symmetry=symmetry)
    report = asyncio.run(explore(program, strategy, on_execution=is_wrong, options=options))
    assert report.asymmetry
    assert not report.outdated
    assert [one.schedule[0] for one in judged] == [0, 1]
