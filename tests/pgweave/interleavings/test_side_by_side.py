"""Programs side by side in one process do what one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from pgweave.interleavings.execution import Chooser, Execution, Program
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.report import Report
from pgweave.interleavings.side_by_side import explore_side_by_side
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import SchedulePlan, Strategy
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored, outcomes
from tests.pgweave.interleavings.unsteady import Unsteady


class Slow:
    """Takes so many turns of the event loop for a run, and notes how many are under way with it."""

    under_way = 0
    most = 0

    def __init__(self, program: Program, turns: int) -> None:
        self._program = program
        self._turns = turns
        self.processes = program.processes

    async def run(self, choose: Chooser) -> Execution:
        Slow.under_way += 1
        Slow.most = max(Slow.most, Slow.under_way)
        try:
            for _ in range(self._turns):
                await asyncio.sleep(0)
            return await self._program.run(choose)
        finally:
            Slow.under_way -= 1


def side_by_side(
    programs: Sequence[Program], strategy: Strategy, stop_after: int = 0
) -> tuple[Report, list[Execution]]:
    found: list[Execution] = []

    def keep(execution: Execution, _plan: SchedulePlan) -> bool:
        found.append(execution)
        return len(found) == stop_after

    report = asyncio.run(explore_side_by_side(programs, strategy, on_execution=keep))
    return report, found


@pytest.mark.parametrize("make", [SourceDPOR, Naive])
@pytest.mark.parametrize("turns", [(1, 1), (1, 9), (9, 1, 4)])
def test_they_run_what_one_would(make: Callable[[], Strategy], turns: Sequence[int]) -> None:
    program = captures("a", "b", clock=1)
    expected, alone = explored(program, make())
    Slow.most = 0
    report, together = side_by_side([Slow(captures("a", "b", clock=1), each) for each in turns], make())
    assert report.complete
    assert (report.schedules, report.abandoned) == (expected.schedules, expected.abandoned)
    assert outcomes(together) == outcomes(alone)
    assert 1 < Slow.most <= len(turns)


def test_the_order_of_results_is_that_of_plans_whoever_is_faster() -> None:
    runs = [
        side_by_side([Slow(captures("a", "b", "c"), each) for each in turns], SourceDPOR())[1]
        for turns in ((0, 9), (9, 0))
    ]
    assert runs[0] == runs[1]


def test_no_class_of_random_programs_is_lost() -> None:
    for seed in range(12):
        expected, alone = explored(random_program(seed), SourceDPOR())
        report, together = side_by_side([random_program(seed) for _ in range(1 + seed % 3)], SourceDPOR())
        assert (report.complete, report.schedules) == (True, expected.schedules), seed
        assert outcomes(together) == outcomes(alone), seed


def test_what_is_under_way_is_ended_with_the_exploration() -> None:
    programs = [Slow(captures("a", "b", "c"), each) for each in (0, 50)]
    report, found = side_by_side(programs, Naive(), stop_after=3)
    assert len(found) == 3
    assert not report.complete
    assert Slow.under_way == 0


def test_a_run_that_gets_stuck_is_run_again() -> None:
    programs: list[Program] = [
        Unsteady(captures("a", "b", "c"), lambda run: run % 7 == 0, 3, stuck=True),
        captures("a", "b", "c"),
    ]
    report, found = side_by_side(programs, SourceDPOR())
    assert report.complete
    assert report.trustworthy
    assert len(found) == 30
