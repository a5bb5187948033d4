"""Runs through the gate as traces of the TLA+ specification.

A run is written as events: each statement that was let go, and each that went on after it had waited, with
what was seen of it: whether it had to wait, how many rows it answered, whether it failed, and what its client
was answered. TLC then looks for a behaviour of the specification with exactly these events. This is trace
validation, as in H. Cirstea, M. A. Kuppe, B. Loillier, S. Merz: Validating Traces of Distributed Programs
Against TLA+ Specifications (SEFM 2024).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.tla.races import NotModelledError, Protocol, configuration, programs_of
from lab.tla.tlc import Tlc
from lab.tla.values import Function, Value, parse, unquoted, write_value
from payments_verify.payments.races.actors import SENT
from payments_verify.payments.races.result import RaceResult
from payments_verify.payments.scenarios.catalogue import Actor, Client, Scenario
from pgweave.interleavings.execution import Execution, Step
from pgweave.scheduler import ScheduledOperation

_STATEMENTS = (
    ("begin", re.compile(r"BEGIN\b")),
    ("commit", re.compile(r"COMMIT\b")),
    ("rollback", re.compile(r"ROLLBACK\b")),
    # A statement that moves a payment or stores an attempt writes its event, too.
    ("update", re.compile(r"(WITH \w+ AS \( ?)?UPDATE payments\b")),
    ("insert", re.compile(r"(WITH \w+ AS \( ?)?INSERT INTO capture_attempts\b")),
    ("create", re.compile(r"(WITH \w+ AS \( ?)?INSERT INTO payments\b")),
    ("due", re.compile(r"SELECT payment_id FROM payments WHERE (?!.*\bFOR\b)")),
    ("find", re.compile(r"SELECT .* (FROM|JOIN) capture_attempts\b")),
    ("read", re.compile(r"SELECT .*payment_clock\(\) FROM payments WHERE (?!.*\bFOR (?!KEY SHARE))")),
    ("lock", re.compile(r"(SELECT|WITH) .* FROM payments\b")),
    ("clock", re.compile(r"SELECT (payment_clock|now)\(\)")),
    ("tick", re.compile(r"clock to the window's end\b")),
)
"""The statements of the specification, and the texts by which each is known; the first that fits."""

_ROWS = re.compile(r"(?:SELECT|UPDATE|INSERT 0) (\d+)")
UNSEEN = -1
"""Where it was not seen how many rows a statement answered."""

_NONE = Function(outcome="none")
_DONE = Function(outcome="done", replayed=False)
_MODULE = """\
---- MODULE RecordedRuns ----
EXTENDS Recorded
ScenarioPrograms == {programs}
RecordedExecutions == <<
{executions}
>>
====
"""


@dataclass(frozen=True)
class Trace:
    """A run as TLC has followed it.

    Attributes:
        events: what happened, in order.
        explained: how many of them a behaviour of the specification has, from the first on.
    """

    events: Sequence[Function]
    explained: int

    @property
    def accepted(self) -> bool:
        """Whether it is a behaviour of the specification."""
        return self.explained == len(self.events)

    @property
    def problem(self) -> str | None:
        """Where the specification has no step like the run's; ``None`` if it is accepted."""
        if self.accepted:
            return None
        lines = [
            f"  {number}. {_event_text(event)}" for number, event in enumerate(self.events[: self.explained])
        ]
        refused = _event_text(self.events[self.explained])
        return "\n".join([*lines, f"  {self.explained}. {refused}  <-- the specification has no such step"])


def events_of(scenario: Scenario, execution: Execution) -> list[Function]:
    """The events of a complete run of a scenario.

    Raises:
        NotModelledError: a statement is none of the specification's.
    """
    raced: RaceResult = execution.result
    last = {
        operation.last: operation
        for operation in raced.operations
        # A session outside the service has done all it does when it gives the lock back.
        if operation.last is not None and operation.value.f != "lock"
    }
    events = []
    for index, step in enumerate(execution.steps):
        # That a request is sent is a step only where answers differ between runs; it is no statement.
        if not step.label.endswith(SENT):
            events.append(_event(step, last.get(index), scenario.actors[step.process]))
        events += [_woken(process) for process in step.woke]
    return events


def statement_of(label: str) -> str:
    """The specification's name of a statement.

    Raises:
        NotModelledError: it has none.
    """
    for name, pattern in _STATEMENTS:
        if pattern.match(label):
            return name
    raise NotModelledError(f"the specification has no statement like {label!r}")


def _event(step: Step, answered: ScheduledOperation | None, actor: Actor) -> Function:
    found = _ROWS.match(str(step.details.get("answer", "")))
    statement = statement_of(step.label)
    if statement == "read" and _creates(actor):
        statement = "look"
    return Function(
        process=step.process,
        statement=statement,
        waits=step.blocked,
        rows=UNSEEN if found is None or step.blocked else int(found[1]),
        failed=bool(step.details.get("error")),
        answers=answered is not None,
        answer=_NONE if answered is None else _answer(answered) if isinstance(actor, Client) else _DONE,
    )


def _creates(actor: Actor) -> bool:
    return isinstance(actor, Client) and any(command.f == "create" for command in actor.commands)


def _woken(process: int) -> Function:
    return Function(
        process=process,
        statement="wake",
        waits=False,
        rows=UNSEEN,
        failed=False,
        answers=False,
        answer=_NONE,
    )


def _answer(operation: ScheduledOperation) -> Function:
    """What a client's command was answered, in the specification's words."""
    result = operation.result
    if result is None or result.kind == "unknown":
        return Function(outcome="internal_error", replayed=False)
    if operation.value.f == "read":
        return Function(outcome="read", replayed=False, state=result.value["payment"]["state"])
    return Function(outcome=result.value["outcome"], replayed=bool(result.value.get("replayed", False)))


@dataclass
class _Followed:
    """How far TLC has come with each run."""

    furthest: dict[int, int] = field(default_factory=dict)

    def take(self, printed: str) -> None:
        run, explained = parse(unquoted(printed))
        self.furthest[run] = max(self.furthest.get(run, 0), explained)


def validate(
    tlc: Tlc, scenario: Scenario, runs: Sequence[Sequence[Function]], protocol: Protocol | None = None
) -> list[Trace]:
    """Look for a behaviour of the specification for each of some recorded runs of a scenario.

    Args:
        tlc: where to look.
        scenario: what was raced.
        runs: the events of each.
        protocol: what they are compared with; the service's own protocol if not given.

    Raises:
        NotModelledError: the specification does not have this scenario, or TLC could make nothing of a run.
        TlcError: TLC could not be run.
    """
    texts = ["  " + write_value(tuple(events)) for events in runs]
    module = _MODULE.format(programs=programs_of(scenario), executions=",\n".join(texts))
    constants = configuration(scenario, protocol or Protocol(), "RecordedSpec")
    followed = _Followed()
    with tempfile.TemporaryDirectory(prefix="payments-recorded-") as folder:
        path = Path(folder) / "RecordedRuns.tla"
        path.write_text(module)
        values = path.with_suffix(".cfg")
        values.write_text(f"{constants}    Executions <- RecordedExecutions\n")
        found = tlc.run(path, values, deadlocks=False, on_printed=followed.take)
    if found.error is not None:
        raise NotModelledError(f"{scenario.name}: {found.error}")
    return [Trace(events, followed.furthest.get(number, 0)) for number, events in enumerate(runs, 1)]


def _event_text(event: Mapping[str, Value]) -> str:
    text = f"process {event['process']}: {event['statement']}"
    if event["waits"]:
        text += ", waits"
    if event["failed"]:
        text += ", fails"
    if event["rows"] != UNSEEN:
        text += f", {event['rows']} rows"
    return text + (f", answered {event['answer']['outcome']}" if event["answers"] else "")
