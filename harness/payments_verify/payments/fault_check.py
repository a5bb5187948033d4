"""A fault at every statement of racing requests, in every interleaving, and what the model says may follow.

For each kind of fault, each client, and each of its statements, the scenario is explored with the fault at
that statement. Clients that get no definite answer send the same command again, captures with the same key,
until they get one. Every history must then be linearizable: an operation without an answer may have taken
effect, at any point, or never; but each answer that was given stays true.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from payments_verify.payments.known import Known, until_known
from payments_verify.payments.race_domain import NotServingError, Raced
from payments_verify.payments.race_judge import Judge, Violation
from payments_verify.payments.scenario_check import rounded
from payments_verify.payments.scenario_domain import ScenarioProgram
from payments_verify.payments.scenarios import Client, Scenario
from payments_verify.payments.service_under_test import ServiceUnderTest, with_output
from pgweave.gate import Fault
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Plan
from pgweave.verdict import Verdict

PATIENCE = 4
"""How often a client sends a command until it has a definite answer."""

OnRun = Callable[[str], object]


@dataclass
class FaultReport:
    """What one kind of fault did to a scenario.

    Attributes:
        scenario: the scenario.
        fault: the kind.
        places: statements at which it was injected: each of every client's.
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
        place: the client and the statement that were hurt in it.
        tries: schedules that were judged, up to that run.
        seconds_to_violation: how long that took.
        problem: why something could not be run.
    """

    scenario: Scenario
    fault: Fault
    places: int = 0
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


async def explore_fault(
    scenario: Scenario, fault: Fault, service: ServiceUnderTest, *, on_run: OnRun = lambda _text: None
) -> FaultReport:
    """Inject a fault at every statement of every client of a scenario, one at a time, in every interleaving.

    Args:
        scenario: what is raced; only clients are hurt.
        fault: what goes wrong.
        service: the service behind its gate.
        on_run: is told where the exploration is.
    """
    started = time.perf_counter()
    report = FaultReport(scenario, fault)
    warm = ScenarioProgram(scenario, service)
    await warm.prepare()
    for process, actor in enumerate(scenario.actors):
        if not isinstance(actor, Client):
            continue
        for statement in count():
            on_run(f"{scenario.name}, {fault.value}, client {process}, statement {statement}")
            reached = await _explore_place(report, service, (process, statement), warm.known)
            if report.violation is not None:
                report.seconds_to_violation = time.perf_counter() - started
            if report.violation is not None or report.problem is not None or not reached:
                break
    report.seconds = time.perf_counter() - started
    return report


async def _explore_place(
    report: FaultReport, service: ServiceUnderTest, place: tuple[int, int], known: Known
) -> bool:
    """Explore with the fault at one place; whether there is such a statement in any schedule."""
    faults = {place: report.fault}
    program = ScenarioProgram(report.scenario, service, known=known, faults=faults, patience=PATIENCE)
    await program.prepare()
    judge = Judge(faults=True)
    runs: list[Raced] = []

    def take(execution: Execution, _plan: Plan) -> bool:
        runs.append(execution.result)
        report.tries += 1
        report.violation = judge.violation(execution)
        if report.violation is not None:
            report.execution, report.place = execution, place
        return report.violation is not None

    async def explored_once() -> Report:
        runs.clear()
        program.injected = program.passed_over = 0
        options = Options(result_key=lambda raced: raced.outcomes)
        return await explore(program, SourceDPOR(), on_execution=take, options=options)

    try:
        explored = await until_known(explored_once)
    except NotServingError as error:
        report.violation, report.place = Violation("I9", str(error)), place
    if report.violation is not None:
        told = with_output(report.violation.explanation, service.printed())
        report.violation = replace(report.violation, explanation=told)
        return False
    if not (explored.complete and explored.trustworthy):
        report.problem = f"client {place[0]}, statement {place[1]}: " + "; ".join(
            explored.divergences or explored.nondeterminism or ("not everything was run",)
        )
        return False
    if not program.injected:
        return program.passed_over > 0
    for raced in runs:
        _count(report, raced)
    report.unready += program.unready
    report.places += 1
    report.schedules += explored.schedules
    report.injected += program.injected
    return True


def _count(report: FaultReport, raced: Raced) -> None:
    answers = [operation.result for operation in raced.operations if operation.value.f == "capture"]
    acknowledged = [
        answer
        for answer in answers
        if answer is not None
        and answer.value.get("outcome") == "captured"
        and not answer.value.get("replayed")
    ]
    stored = list(_captures_stored(raced))
    report.unanswered += sum(
        operation.result is None or operation.result.kind == "unknown" for operation in raced.operations
    )
    report.acknowledged += len(acknowledged)
    report.lost += max(0, len(acknowledged) - len(stored))
    report.doubled += len(stored) > 1 or len(acknowledged) > 1


def _captures_stored(raced: Raced) -> Iterator[Mapping[str, Any]]:
    """The successful captures that the last look shows: the attempts, or the payments where it shows none."""
    seen = [exchange.observation.value for exchange in raced.after]
    if any("attempts" in value for value in seen):
        attempts = (attempt for value in seen for attempt in value.get("attempts", ()))
        yield from (attempt for attempt in attempts if attempt.get("outcome", "captured") == "captured")
    else:
        payments = (value["payment"] for value in seen if "payment" in value)
        yield from (payment for payment in payments if payment["state"] == "captured")
