"""A run of a scenario, drawn: who asked what, which statement went when, where run and model part."""

from __future__ import annotations

from collections.abc import Sequence

from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.races.result import RaceResult
from payments_verify.payments.races.shrinking import FailingRace
from payments_verify.payments.scenarios.catalogue import Actor, Scenario
from payments_verify.payments.specification.invariants import with_text
from pgweave.interleavings.execution import Execution
from pgweave.scheduler import ScheduledOperation
from pgweave.timeline.model import Timeline, TimelineOperation, from_execution


def timeline_of(
    scenario: Scenario, service: str, execution: Execution, violation: Violation | None
) -> Timeline:
    """The timeline of a complete run.

    Args:
        scenario: what was raced.
        service: what was run, for people.
        execution: the run.
        violation: what is wrong with it, if anything is.
    """
    return _timeline(
        execution,
        scenario.actors,
        title=scenario.name,
        subtitle=f"looks for: {scenario.anomaly} ({service})",
        violation=violation,
    )


def race_timeline(race: FailingRace, service: str) -> Timeline:
    """The timeline of a race that was drawn.

    Args:
        race: the race.
        service: what was run, for people.
    """
    return _timeline(
        race.execution,
        race.actors,
        title="a race that was drawn",
        subtitle=f"made as small as it can be ({service})",
        violation=race.violation,
    )


def _timeline(
    execution: Execution, actors: Sequence[Actor], *, title: str, subtitle: str, violation: Violation | None
) -> Timeline:
    raced: RaceResult = execution.result
    wrong = violation.operation if violation is not None else None
    operations = [
        _operation(operation, violation if number == wrong else None)
        for number, operation in enumerate(raced.operations)
    ]
    return from_execution(
        execution,
        [actor.name for actor in actors],
        title=title,
        subtitle=subtitle,
        operations=operations,
        verdict="holds: the model explains this run"
        if violation is None
        else f"violated: {with_text(violation.invariant)}",
        explanation="" if violation is None else violation.explanation,
        parts_at=None if wrong is None else raced.operations[wrong].answered,
    )


def _operation(operation: ScheduledOperation, violation: Violation | None) -> TimelineOperation:
    asked: Invocation = operation.value
    arguments = [str(value) for name, value in asked.value.items() if name != "payment"]
    return TimelineOperation(
        lane=operation.process,
        text=" ".join([asked.f, *arguments]),
        answer=_answer(operation.result),
        expected=violation.expected if violation is not None else None,
        first=operation.first,
        last=None if operation.first is None else operation.answered,
        is_violation=violation is not None,
    )


def _answer(observation: Observation | None) -> str:
    if observation is None:
        return "no answer"
    value = observation.value
    if observation.kind == "unknown":
        return f"{value.get('status', 'no answer')}"
    shown = str(value.get("outcome", "ok"))
    if "payment" in value:
        shown += f": {value['payment']['state']}"
    return shown + (" (replayed)" if value.get("replayed") else "")
