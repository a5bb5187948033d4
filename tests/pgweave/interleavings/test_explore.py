"""The driver: what it counts, when it ends, and what it does about programs that do not do the same again."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pgweave.interleavings.execution import Execution, Pending, SchedulingError
from pgweave.interleavings.exhaustive import Bounded, Naive
from pgweave.interleavings.explore import explore
from pgweave.interleavings.footprint import EVERYTHING
from pgweave.interleavings.ledger import ATTEMPTS, Options
from pgweave.interleavings.randomized import Random
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import PlanRun, SchedulePlan, Strategy, perform
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.random_programs import random_program
from tests.pgweave.interleavings.runs import explored, outcomes
from tests.pgweave.interleavings.test_exhaustive import readers
from tests.pgweave.interleavings.unsteady import Unsteady

STRATEGIES = [SourceDPOR, Naive, lambda: Bounded(2)]


def test_a_report_is_plain_data() -> None:
    report, _ = explored(captures("a", "b"), Naive())
    data = json.loads(json.dumps(report.as_json()))
    assert data == {
        "strategy": "naive",
        "coverage": "schedules",
        "complete": True,
        "schedules": 66,
        "abandoned": 0,
        "deepest": 13,
        "seconds": report.seconds,
        "divergences": [],
        "nondeterminism": [],
        "outdated": False,
        "interchangeable": [],
        "asymmetry": "",
        "naive": {"schedules": 66, "known": "counted", "probes": 0, "standard_error": 0.0},
    }
    assert report.exhaustive
    assert report.trustworthy


def test_runs_are_limited() -> None:
    for runs in (0, 5):
        report, executions = explored(captures("a", "b"), Naive(), Options(runs=runs))
        assert report.schedules == len(executions) == runs
        assert not report.complete
        assert not report.exhaustive
        assert report.naive is None
    report, _ = explored(captures("a", "b"), Naive(), Options(runs=66))
    assert report.complete


def test_time_is_limited() -> None:
    report, _ = explored(captures("a", "b"), Naive(), Options(seconds=0.0))
    assert (report.schedules, report.complete) == (0, False)
    report, _ = explored(captures("a", "b", "c", "d"), Naive(), Options(seconds=0.2))
    assert report.schedules >= 1
    assert not report.complete


def test_who_takes_in_the_executions_can_end_it() -> None:
    seen: list[Execution] = []

    def third(execution: Execution, _plan: SchedulePlan) -> bool:
        seen.append(execution)
        return len(seen) == 3

    report = asyncio.run(explore(captures("a", "b"), Naive(), on_execution=third))
    assert report.schedules == 3
    assert not report.complete


def test_abandoned_runs_are_counted_apart_and_not_handed_on() -> None:
    for seed in range(300):
        report, executions = explored(random_program(seed), SourceDPOR())
        if report.abandoned:
            assert report.schedules == len(executions)
            assert all(execution.complete for execution in executions)
            return
    pytest.fail("no run was abandoned")


def test_abandoned_runs_that_are_run_twice_are_not_asked_for_a_result() -> None:
    """One that was ended early has none: what a domain makes of results is not asked of it."""
    options = Options(rerun_every=1, result_key=tuple)
    for seed in range(300):
        report, _ = explored(random_program(seed), SourceDPOR(), options)
        assert report.nondeterminism == ()
        if report.abandoned:
            return
    pytest.fail("no run was abandoned")


def renamed(ready: dict[int, Pending]) -> dict[int, Pending]:
    return {process: replace(step, label="another") for process, step in ready.items()}


def without_0(ready: dict[int, Pending]) -> dict[int, Pending]:
    return {process: step for process, step in ready.items() if process != 0} or ready


def touching_all(ready: dict[int, Pending]) -> dict[int, Pending]:
    return {process: replace(step, footprint=EVERYTHING) for process, step in ready.items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("change", [renamed, without_0, touching_all])
def test_a_run_that_diverges_is_run_again(strategy: Any, change: Any) -> None:
    steady, executions = explored(captures("a", "b"), strategy())
    program = Unsteady(captures("a", "b"), lambda run: run in (2, 3, 4), 0, pending=change)
    report, again = explored(program, strategy())
    assert program.count == steady.schedules + 3
    assert report.divergences == ()
    assert report.complete
    assert [one.schedule for one in again] == [one.schedule for one in executions]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_that_always_diverges_is_reported_and_is_no_success(strategy: Any) -> None:
    program = Unsteady(captures("a", "b"), lambda run: run > 1, 0, pending=renamed)
    report, executions = explored(program, strategy())
    assert len(executions) < explored(captures("a", "b"), strategy())[0].schedules
    assert report.divergences
    assert not report.complete
    assert not report.exhaustive
    assert not report.trustworthy
    assert report.naive is None
    message = report.divergences[0]
    assert f"tried {ATTEMPTS} times" in message
    assert "step 0: expected ready {0: begin, 1: begin}, blocked {}" in message
    assert "met ready {0: another, 1: another}, blocked {}" in message


def test_of_footprints_that_change_the_message_says_whose() -> None:
    program = Unsteady(captures("a", "b"), lambda run: run > 1, 0, pending=touching_all)
    report, _ = explored(program, SourceDPOR())
    assert "other footprints than before of process 0, 1" in report.divergences[0]


def test_a_run_that_gets_stuck_is_run_again_and_reported() -> None:
    once = Unsteady(captures("a", "b"), lambda run: run == 2, 1, stuck=True)
    report, _ = explored(once, SourceDPOR())
    assert report.schedules == 4
    assert report.trustworthy
    always = Unsteady(captures("a", "b"), lambda run: run > 1, 5, stuck=True)
    report, _ = explored(always, SourceDPOR())
    assert report.schedules < 4
    assert "neither comes to its next step nor ends" in report.divergences[0]
    assert not report.complete


def test_what_could_not_be_run_is_not_slept_on() -> None:
    """One branch is lost; all that is not below it is still found."""
    _, every = explored(captures("a", "b", "c"), SourceDPOR())
    program = Unsteady(captures("a", "b", "c"), lambda run: 2 <= run < 2 + ATTEMPTS, 1, pending=renamed)
    report, executions = explored(program, SourceDPOR())
    assert len(report.divergences) == 1
    assert 0 < report.schedules < len(every)
    assert {one.result for one in executions} <= outcomes(every)


class Forgetful(Random):
    """Notes what it is told to forget."""

    def __init__(self) -> None:
        super().__init__(5, 0)
        self.learned: list[int | None] = []
        self.forgotten: list[int | None] = []

    def learn(self, plan: SchedulePlan, _run: PlanRun) -> None:
        self.learned.append(plan.seed)

    def forget(self, plan: SchedulePlan) -> None:
        self.forgotten.append(plan.seed)


def test_a_strategy_is_told_once_what_could_not_be_run() -> None:
    strategy = Forgetful()
    program = Unsteady(readers(2, 2), lambda run: 3 <= run < 3 + ATTEMPTS, 1, stuck=True)
    report, _ = explored(program, strategy)
    assert strategy.forgotten == [2]
    assert strategy.learned == [0, 1, 3, 4]
    assert (report.schedules, len(report.divergences)) == (4, 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_plans_that_are_run_twice_do_the_same(strategy: Any) -> None:
    once, executions = explored(captures("a", "b"), strategy())
    program = captures("a", "b")
    report, again = explored(program, strategy(), Options(rerun_every=3))
    assert program.runs == once.schedules + once.schedules // 3
    assert report.nondeterminism == ()
    assert [one.schedule for one in again] == [one.schedule for one in executions]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": lambda step: replace(step, label="another")}, "step 4: label was 'read "),
        ({"step": lambda step: replace(step, blocked=True)}, "step 4: blocked was False and then True"),
        ({"step": lambda step: replace(step, woke=(1,))}, r"step 4: woke was \(\) and then \(1,\)"),
        ({"step": lambda step: replace(step, footprint=EVERYTHING)}, "step 4: footprint was "),
        ({"result": lambda _: "another"}, "the result was .* and then 'another'"),
        ({"stuck": True}, "the second run ended with: process 0 neither"),
    ],
)
def test_a_plan_that_does_another_thing_the_second_time_is_a_finding(
    change: dict[str, Any], message: str
) -> None:
    program = Unsteady(captures("a", "b"), lambda run: run == 2, 4, **change)
    report, executions = explored(program, Random(1, 0), Options(rerun_every=1))
    assert len(executions) == 1
    assert len(report.nondeterminism) == 1
    assert f"schedule {list(executions[0].schedule)}: " in report.nondeterminism[0]
    assert re.search(message, report.nondeterminism[0])
    assert not report.trustworthy


def test_of_a_result_only_its_key_must_be_the_same() -> None:
    program = Unsteady(captures("a", "b"), lambda run: run % 2 == 0, 0, result=lambda _: "another")
    report, _ = explored(program, Naive(), Options(rerun_every=1, result_key=lambda _: "the same"))
    assert report.trustworthy
    assert report.schedules == 66


def test_a_program_that_takes_other_steps_than_were_chosen_is_refused() -> None:
    program = Unsteady(readers(2, 2), lambda _: True, 0, step=lambda step: replace(step, process=1))
    plan = Naive().next()
    assert plan is not None
    with pytest.raises(SchedulingError, match=r"chosen were \[0, 0, 1, 1\].*\[1, 0, 1, 1\]"):
        asyncio.run(perform(program, plan))


def strategy_names() -> list[Strategy]:
    return [SourceDPOR(), Naive(), Bounded(2), Random(3, 1)]


def test_strategies_have_names_with_their_parameters() -> None:
    names = [one.name for one in strategy_names()]
    assert names == ["source-dpor", "naive", "bounded(2)", "random(3, seed 1)"]
