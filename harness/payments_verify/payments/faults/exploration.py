"""A fault at every statement of racing requests, in every interleaving, and what the model says may follow.

For each kind of fault, each client, and each of its statements, the scenario is explored with the fault at
that statement. Clients that get no definite answer send the same command again, captures with the same key,
until they get one. Every history must then be linearizable: an operation without an answer may have taken
effect, at any point, or never; but each answer that was given stays true.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from payments_verify.payments.exploration.domain import ScenarioDomain
from payments_verify.payments.exploration.scenario import rounded
from payments_verify.payments.faults.plans import FaultPlan, hurt_in
from payments_verify.payments.faults.pool_probe import PoolProbe
from payments_verify.payments.observed.http_steps import HttpRun
from payments_verify.payments.races.http import race_http
from payments_verify.payments.races.judge import Judge, Violation
from payments_verify.payments.races.result import RaceResult
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.service.under_test import ServiceUnderTest
from pgweave.drive.arrivals import Arrivals
from pgweave.drive.faults import ExploredPlace, explore_faults
from pgweave.drive.race import Place, Race
from pgweave.gate import Fault
from pgweave.interleavings.execution import Execution
from pgweave.verdict import Verdict

_READING = frozenset({"read", "attempts"})
OnPlace = Callable[[str], object]
"""Is told which place is hurt next."""


@dataclass
class FaultReport:
    """What one kind of fault did to a scenario.

    Attributes:
        scenario: the scenario.
        fault: the kind.
        service: the service's name.
        places: statements at which it was injected: each of every client's.
        alike: at how many of them another fault's exploration stands for this one's, see `Arrivals`.
        schedules: schedules that were run.
        injected: how often it was injected.
        unanswered: operations that got no definite answer.
        acknowledged: captures that were answered as successful, replays not counted.
        lost: of these, those that the service did not know of afterwards (I7).
        doubled: runs in which more than one capture had succeeded (I1).
        unready: how often the service was not ready for the next run when it was asked at once.
        seconds: how long it took.
        violation: what was wrong with the first wrong run.
        execution: that run.
        http: that run as HTTP.
        place: the client and the statement that were hurt in it.
        tries: schedules that were judged, up to that run.
        seconds_to_violation: how long that took.
        problem: why something could not be run.
    """

    scenario: Scenario
    fault: Fault
    service: str = ""
    places: int = 0
    alike: int = 0
    schedules: int = 0
    injected: int = 0
    unanswered: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    unready: int = 0
    seconds: float = 0.0
    violation: Violation | None = None
    execution: Execution | None = None
    http: HttpRun = field(default_factory=HttpRun)
    place: tuple[int, int] | None = None
    tries: int = 0
    seconds_to_violation: float | None = None
    problem: str | None = None

    @property
    def verdict(self) -> Verdict:
        """``holds`` if every place was explored to its end, and every run explained."""
        if self.violation is not None:
            return "violated"
        return "holds" if self.problem is None and self.places else "no verdict"

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "scenario": self.scenario.name,
            "fault": self.fault.value,
            "verdict": self.verdict,
            "places": self.places,
            "alike": self.alike,
            "schedules": self.schedules,
            "injected": self.injected,
            "unanswered": self.unanswered,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "doubled": self.doubled,
            "unready": self.unready,
            "schedules_to_violation": None if self.violation is None else self.tries,
            "seconds_to_violation": rounded(self.seconds_to_violation),
            "statements": self._statements,
            "seconds": round(self.seconds, 3),
            "problem": self.violation.explanation if self.violation is not None else self.problem,
        }

    @property
    def _statements(self) -> int | None:
        """How many statements the wrong run had; as far as it came, if the service then served no more."""
        if self.execution is not None:
            return len(self.execution.schedule)
        return None if self.place is None else self.place[1] + 1


async def explore_plan(
    plan: FaultPlan,
    service: ServiceUnderTest,
    *,
    compares: bool = True,
    on_run: OnPlace = lambda _text: None,
    pool: PoolProbe | None = None,
) -> AsyncIterator[FaultReport]:
    """Inject each fault of a plan, one kind after the other.

    Args:
        plan: the scenario, and what goes wrong in it.
        service: the service behind its gate.
        compares: whether of faults that are alike at a place one is explored.
        on_run: is told where the exploration is.
        pool: counts the service's connections; a new one if not given.
    """
    arrivals: Arrivals[Violation] = Arrivals(compares=compares and plan.may_have_alike)
    pool = pool or PoolProbe(service)
    for fault in plan.faults:
        yield await explore_fault(plan.scenario, fault, service, arrivals, on_run=on_run, pool=pool)


async def explore_fault(
    scenario: Scenario,
    fault: Fault,
    service: ServiceUnderTest,
    arrivals: Arrivals[Violation] | None = None,
    *,
    on_run: OnPlace = lambda _text: None,
    pool: PoolProbe | None = None,
) -> FaultReport:
    """Inject a fault at every statement of a scenario's clients and sweeps, one at a time, in every order.

    Of clients that are interchangeable one is hurt. After each place every connection must be of use.

    Args:
        scenario: what is raced.
        fault: what goes wrong.
        service: the service behind its gate.
        arrivals: what is known of the ways to each statement, from other faults in this scenario.
        on_run: is told where the exploration is.
        pool: counts the service's connections; a new one if not given.
    """
    started = time.perf_counter()
    pool = pool or PoolProbe(service)
    await pool.measure()
    arrivals = arrivals or Arrivals(compares=False)
    known = arrivals.schedules
    report = FaultReport(scenario, fault, service.name)
    domain = ScenarioDomain(scenario, service)

    def tell(place: Place) -> None:
        on_run(f"{scenario.name}, {fault.value}, actor {place[0]}, statement {place[1]}")

    hurt = hurt_in(scenario)
    make_judge = partial(_FaultJudge, fault.is_conflict and service.traits.retries_conflicts)
    async for place in explore_faults(
        Race(domain), fault, hurt, make_judge=make_judge, arrivals=arrivals, on_place=tell
    ):
        _add(report, place, service, await pool.problem() if place.explored.holds else None)
        if report.violation is not None:
            report.seconds_to_violation = time.perf_counter() - started
            break
    report.schedules += arrivals.schedules - known
    report.unready = domain.unready
    report.seconds = time.perf_counter() - started
    return report


class _FaultJudge(Judge):
    """A judge that keeps what it has found explained, to be counted.

    Args:
        is_met: whether the service meets what goes wrong by itself, so that no client hears of it.
    """

    def __init__(self, is_met: bool) -> None:
        super().__init__(faults=True)
        self._is_met = is_met
        self.results: list[RaceResult] = []

    def find_violation(self, execution: Execution) -> Violation | None:
        self.results.append(execution.result)
        heard = _conflict_heard(execution.result) if self._is_met else None
        return heard or super().find_violation(execution)


def _conflict_heard(result: RaceResult) -> Violation | None:
    """The client that was told of a conflict, if one was; what only reads meets none in earnest."""
    for index, operation in enumerate(result.operations):
        observed, asked = operation.result, operation.value
        if asked.f in _READING or (observed is not None and observed.kind != "unknown"):
            continue
        heard = "no answer" if observed is None else dict(observed.value)
        told = f"I9: {asked.f} {dict(asked.value)} is not tried again after a conflict: {heard}"
        return Violation("I9", told, index)
    return None


def _add(
    report: FaultReport, place: ExploredPlace[Violation], service: ServiceUnderTest, lost: str | None
) -> None:
    """Add what the exploration of one place has found, and what is wrong with the connections after it."""
    explored = place.explored
    report.tries += explored.report.schedules
    if explored.violation is not None:
        report.violation = explored.violation.with_output(service.printed())
        report.execution, report.place = explored.execution, place.place
        if explored.execution is not None:
            names = [actor.name for actor in report.scenario.actors]
            report.http = race_http(explored.execution.result, names, report.violation, service)
        return
    if not explored.holds:
        actor, statement = place.place
        report.problem = f"client {actor}, statement {statement}: {'; '.join(explored.unclear)}"
        return
    if lost is not None:
        report.violation, report.place = Violation("I9", lost).with_output(service.printed()), place.place
        return
    assert isinstance(explored.judge, _FaultJudge)
    for result in explored.judge.results:
        _count(report, result)
    report.places += 1
    report.alike += place.alike is not None
    report.schedules += explored.report.schedules + place.tried
    report.injected += place.injected


def _count(report: FaultReport, result: RaceResult) -> None:
    answers = [operation.result for operation in result.operations if operation.value.f == "capture"]
    acknowledged = [
        answer
        for answer in answers
        if answer is not None
        and answer.value.get("outcome") == "captured"
        and not answer.value.get("replayed")
    ]
    stored = list(_captures_stored(result))
    report.unanswered += sum(
        operation.result is None or operation.result.kind == "unknown" for operation in result.operations
    )
    report.acknowledged += len(acknowledged)
    report.lost += max(0, len(acknowledged) - len(stored))
    report.doubled += len(stored) > 1 or len(acknowledged) > 1


def _captures_stored(result: RaceResult) -> Iterator[Mapping[str, Any]]:
    """The successful captures that the last look shows: the attempts, or the payments where it shows none."""
    looks = {(each.invocation.f, each.invocation.value.get("payment")): each for each in result.after}
    seen = [exchange.observation.value for exchange in looks.values()]  # of several instances, one's
    if any("attempts" in value for value in seen):
        attempts = (attempt for value in seen for attempt in value.get("attempts", ()))
        yield from (attempt for attempt in attempts if attempt.get("outcome", "captured") == "captured")
    else:
        payments = (value["payment"] for value in seen if "payment" in value)
        yield from (payment for payment in payments if payment["state"] == "captured")
