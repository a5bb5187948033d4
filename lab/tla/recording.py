"""Recording runs of scenarios through the gate, and holding them against the specification."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lab.tla.behaviours import count_behaviours
from lab.tla.races import NotModelledError, Protocol
from lab.tla.recorded import events_of, validate
from lab.tla.tlc import Tlc
from lab.tla.values import Function
from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.result import CheckResult
from pgweave.drive.exploration import Effort, explore_race
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy

Runs = Sequence[Sequence[Function]]
"""Recorded runs, as events."""


async def record(
    scenario: Scenario,
    service: ServiceUnderTest,
    make_strategy: Callable[[], Strategy] = SourceDPOR,
    *,
    on_run: Callable[[int], object] = lambda _runs: None,
) -> Runs:
    """Run and record schedules of a scenario; whether a run is right is not asked.

    Args:
        scenario: what is raced.
        service: the service behind its gate.
        make_strategy: makes the strategy: which schedules are run; by default, one of each class.
        on_run: is told how many have been run.

    Raises:
        NotModelledError: the exploration did not come to its end, or the specification lacks a statement.
    """
    explored = await explore_race(
        scenario_race(scenario, service),
        make_strategy,
        effort=Effort(rerun_every=0),
        make_judge=lambda: _Recorder(scenario),
        on_run=on_run,
    )
    if not explored.holds:
        raise NotModelledError(f"{scenario.name}: {'; '.join(explored.unclear)}")
    assert isinstance(explored.judge, _Recorder)
    return explored.judge.runs


class _Recorder:
    """Records runs in place of judging them."""

    def __init__(self, scenario: Scenario) -> None:
        self.runs: list[Sequence[Function]] = []
        self._scenario = scenario

    def find_violation(self, execution: Execution) -> None:
        self.runs.append(events_of(self._scenario, execution))


def check_runs(
    tlc: Tlc, scenario: Scenario, runs: Runs, protocol: Protocol | None = None, *, every: bool = False
) -> CheckResult:
    """Look for a behaviour of the specification for each recorded run of a scenario.

    Args:
        tlc: where to look.
        scenario: what was raced.
        runs: the events of each run.
        protocol: what they are compared with; the service's own protocol if not given.
        every: whether these are the runs of every schedule: then there must be as many behaviours.

    Returns:
        ``holds`` if there is one for each; the cases are the runs.

    Raises:
        NotModelledError: the specification does not have this scenario, or TLC could make nothing of a run.
        TlcError: TLC could not be run.
    """
    started = time.perf_counter()
    traces = validate(tlc, scenario, runs, protocol)
    rejected = [trace.problem for trace in traces if trace.problem is not None]
    counterexample = None
    if rejected or not traces:
        counterexample = "\n".join(
            [f"{len(rejected)} of {len(traces)} runs are rejected; the first:", *rejected[:1]]
        )
    behaviours = count_behaviours(tlc, scenario, protocol) if every else None
    if counterexample is None and every and behaviours != len({tuple(events) for events in runs}):
        counterexample = f"{len(runs)} schedules were run, and the specification has {behaviours} behaviours"
    return CheckResult(
        name=f"TLA+: recorded runs of {scenario.name}",
        kind="tla-traces",
        cases=len(traces),
        verdict="holds" if counterexample is None else "violated" if traces else "no verdict",
        seconds=time.perf_counter() - started,
        details={
            "scenario": scenario.name,
            "accepted": len(traces) - len(rejected),
            "behaviours": behaviours,
        },
        counterexample=counterexample,
    )
