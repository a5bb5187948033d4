"""The one loop: when it begins again, when it has no verdict, and what it tells of a wrong run."""

from __future__ import annotations

import asyncio
import time

import pytest

from pgweave.drive.domain import Facts
from pgweave.drive.exploration import Effort, Explored, end_if_interrupted, explore_race
from pgweave.drive.race import Race
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.minimize import switches
from pgweave.interleavings.symmetry import Symmetry
from pgweave.scheduler import Run
from tests.pgweave.drive.counting import Counting, run


def explored(domain: Counting, effort: Effort | None = None, **options: object) -> Explored[str]:
    return run(explore_race(Race(domain), effort=effort, **options))  # type: ignore[arg-type]


def test_what_is_right_holds_after_a_dry_run_that_is_not_counted() -> None:
    domain = Counting(atomic=True)
    found = explored(domain, Effort(rerun_every=0))
    assert (found.holds, found.unclear, found.report.schedules) == (True, (), 2)
    assert (domain.prepared, domain.worlds) == (1, 4)
    assert found.outcomes == {2: 2}


def test_a_wrong_run_is_told_with_few_switches() -> None:
    found = explored(Counting(clients=3))
    assert (found.holds, found.violation) == (False, "the counter is 2")
    assert found.execution is not None
    assert switches(found.execution.schedule) == 3
    assert found.schedules_to_violation == found.report.schedules
    assert found.seconds_to_violation is not None


def test_without_runs_for_it_a_wrong_run_stays_as_it_was_found() -> None:
    runs: list[Execution] = []
    found = explored(Counting(clients=3, on_judged=runs.append), Effort(minimizing_runs=0))
    assert found.execution is runs[-1]


def test_when_the_time_is_over_a_wrong_run_stays_as_it_was_found() -> None:
    runs: list[Execution] = []

    def take_all_the_time(execution: Execution) -> None:
        runs.append(execution)
        time.sleep(1.1 if execution.result == 2 else 0)

    found = explored(Counting(clients=3, on_judged=take_all_the_time), Effort(limit_s=1.0))
    assert found.execution is runs[-1]


def test_a_fact_that_the_dry_run_shows_does_not_begin_anything_again() -> None:
    domain, told = Counting(atomic=True, alone_in=range(100)), list[int]()
    found = explored(domain, Effort(rerun_every=0), on_run=told.append)
    assert told == [*range(1, found.report.schedules + 1)]
    assert found.holds


@pytest.mark.parametrize("strategy", [None, Naive])
def test_a_fact_that_only_some_schedule_shows_begins_again(strategy: type[Naive] | None) -> None:
    # Two dry runs, one schedule, and then the fact.
    domain, told = Counting(atomic=True, alone_in=range(3, 100)), list[int]()
    options = {} if strategy is None else {"make_strategy": strategy}
    found = explored(domain, Effort(rerun_every=0), on_run=told.append, **options)
    assert told == [1, *range(1, found.report.schedules + 1)]
    assert (found.holds, found.report.outdated) == (True, False)
    assert sum(found.outcomes.values()) == found.report.schedules


def test_facts_are_known_of_the_race_whatever_goes_wrong_in_it() -> None:
    race = Race(Counting(), facts=Facts(start_is_read=True))
    assert race.with_faults({}).facts is race.facts
    run(race.prepare())
    assert not race.is_hurt


def test_actors_that_are_not_interchangeable_begin_again() -> None:
    class Unequal(Counting):
        """The first client adds what the others do not."""

        def outcomes(self, result: object) -> object:
            return result

    domain = Unequal(atomic=True)
    same = explored(domain, symmetry=Symmetry([(0, 1)]))
    assert (same.holds, same.report.schedules, same.report.interchangeable) == (True, 1, ((0, 1),))
    seen = iter(range(1000))
    other = explored(domain, symmetry=Symmetry([(0, 1)], result_key=lambda _result, _renaming: next(seen)))
    assert (other.holds, other.report.schedules, other.report.interchangeable) == (True, 2, ())
    assert "the result was" in other.report.asymmetry


def test_statements_that_nobody_scheduled_leave_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "strays", ["connection 7"])
    found = explored(Counting(atomic=True))
    assert not found.holds
    told = "statements were sent while no client ran, and not scheduled: ['connection 7']"
    assert (found.violation, found.unclear) == (None, (told,))
    assert explored(Counting()).violation == "the counter is 1"


def test_too_little_time_leaves_no_verdict() -> None:
    found = explored(Counting(atomic=True), Effort(limit_s=1e-9))
    assert (found.holds, found.unclear) == (False, ("not everything was run",))


def test_a_service_that_is_broken_for_good_is_a_violation_without_a_run() -> None:
    found = explored(Counting(atomic=True, broken_in=3), Effort(rerun_every=0))
    assert (found.violation, found.execution) == ("broken in world 3", None)
    assert found.schedules_to_violation == 1


def test_an_interrupt_while_a_wrong_run_is_made_small_waits_until_it_is_told() -> None:
    wrong: list[Execution] = []

    def interrupt(execution: Execution) -> None:
        task = asyncio.current_task()
        if execution.result != 3:
            wrong.append(execution)
        if len(wrong) == 2 and task is not None:
            task.cancel()

    async def main() -> str | None:
        found = await explore_race(Race(Counting(clients=3, on_judged=interrupt)))
        with pytest.raises(asyncio.CancelledError):
            end_if_interrupted()
        return found.violation

    assert run(main()) == "the counter is 2"
    assert len(wrong) == 2
