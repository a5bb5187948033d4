"""The sequential specification and the Python model have one state graph.

TLC prints every edge of ``Payments`` within the bounds of the Python model's exploration, and each is read as
a state, a command with its answer, and the state after it, in the model's own types. The two graphs must then
be equal: the same states, and from each the same answer and the same next state for every command. That is
an isomorphism, and one that keeps every name.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from lab.tla.tlc import Tlc
from lab.tla.values import Value, parse, unquoted
from payments_model import (
    Attempt,
    Authorize,
    Authorized,
    Capture,
    Captured,
    Command,
    Create,
    Expire,
    Fail,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Read,
    Record,
    apply,
)
from payments_verify.model_checks.state_graph import Apply, ModelState
from payments_verify.model_checks.state_graph_bounds import Bounds
from payments_verify.model_checks.state_graph_rules import describe_record
from payments_verify.result import CheckResult, Progress, no_progress

MODULE = "PaymentsGraph"
_ARROW = " -> "
_PROGRESS_EVERY = 2_000
_SHAPES = {"pending": Pending, "authorized": Authorized, "captured": Captured, "failed": Failed}
_SHOWN = 5

Label: TypeAlias = tuple[Command | None, str | None]
"""A command and its key; no command is time that moves on."""

Answered: TypeAlias = tuple[Outcome | None, bool, ModelState]
"""An answer, whether it is the stored one again, and the state after it."""

Graph: TypeAlias = dict[ModelState, dict[Label, Answered]]


class GraphError(ValueError):
    """TLC has printed what is no edge; the message says what."""


def model_graph(apply_command: Apply = apply, bounds: Bounds | None = None) -> Graph:
    """The Python model's graph, breadth first from where there is no payment."""
    bounds = bounds or Bounds()
    commands = list(bounds.commands())
    start = ModelState(Record(), 0)
    graph: Graph = {start: {}}
    waiting = deque([start])
    while waiting and len(graph) <= bounds.max_states:
        node = waiting.popleft()
        for command, key in commands:
            record, done = apply_command(node.record, command, node.now, key)
            graph[node][command, key] = (done.outcome, done.replayed, ModelState(record, node.now))
        if node.now < bounds.last_instant:
            graph[node][None, None] = (None, False, ModelState(node.record, node.now + 1))
        for _, _, after in graph[node].values():
            if after not in graph:
                graph[after] = {}
                waiting.append(after)
    return graph


@dataclass
class PrintedGraph:
    """The graph that TLC prints, edge by edge."""

    edges: Graph = field(default_factory=dict)
    count: int = 0

    def take(self, printed: str) -> None:
        """Take an edge.

        Raises:
            GraphError: it is none, or the specification has two answers to one command.
        """
        parts = unquoted(printed).split(_ARROW)
        if len(parts) != 3:
            raise GraphError(f"no edge: {printed}")
        before, after = _node(parts[0]), _node(parts[2])
        label, outcome, replayed = _label(parts[1])
        answers = self.edges.setdefault(before, {})
        self.edges.setdefault(after, {})
        answered = (outcome, replayed, after)
        if answers.setdefault(label, answered) != answered:
            raise GraphError(
                f"two answers to {_asked(label)} at {before.now}, {describe_record(before.record)}"
            )
        self.count += 1


@cache
def _node(text: str) -> ModelState:
    payment, attempts, now = parse(text)
    stored = frozenset(
        (key, Attempt(each["amount"], Outcome[each["outcome"].upper()], each["decided_at"]))
        for key, each in attempts.items()
        if each["outcome"] != "none"
    )
    return ModelState(Record(_payment(payment), stored), now)


def _payment(fields: Mapping[str, Value]) -> Payment | None:
    values = {name: value for name, value in fields.items() if name != "state"}
    if fields["state"] == "none":
        return None
    if "reason" in values:
        values["reason"] = FailureReason[values["reason"].upper()]
    payment: Payment = _SHAPES[fields["state"]](**values)
    return payment


@cache
def _label(text: str) -> tuple[Label, Outcome | None, bool]:
    last = parse(text)
    asked = last["command"]
    command: Command | None
    match asked["f"]:
        case "create":
            command = Create(asked["amount"])
        case "authorize":
            command = Authorize(asked["window"])
        case "capture":
            command = Capture(asked["amount"])
        case "fail":
            command = Fail(FailureReason[asked["reason"].upper()])
        case "expire":
            command = Expire()
        case "read":
            command = Read()
        case "wait":
            return (None, None), None, False
        case unknown:
            raise GraphError(f"no command of the model: {unknown}")
    return (command, asked.get("key")), Outcome[last["outcome"].upper()], last["replayed"]


def differences(model: Graph, specification: Graph) -> Iterator[str]:
    """Where two graphs differ, those nearest to the beginning first."""
    for node, answers in model.items():
        where = f"at {node.now}, {describe_record(node.record)}"
        others = specification.get(node)
        if others is None:
            yield f"a state of the model alone: {where}"
            continue
        for label in {**answers, **others}:
            ours, theirs = answers.get(label), others.get(label)
            if ours != theirs:
                yield (
                    f"{where}, {_asked(label)}:\n"
                    f"  the model:         {_answered(ours)}\n  the specification: {_answered(theirs)}"
                )
    for node in specification.keys() - model.keys():
        yield f"a state of the specification alone: at {node.now}, {describe_record(node.record)}"


def _asked(label: Label) -> str:
    command, key = label
    return "time moves on" if command is None else f"{command}" + ("" if key is None else f" under key {key}")


def _answered(answered: Answered | None) -> str:
    if answered is None:
        return "no such step"
    outcome, replayed, after = answered
    name = "-" if outcome is None else outcome.name.lower() + (" (replayed)" if replayed else "")
    return f"{name}; then at {after.now}, {describe_record(after.record)}"


def check_graph(tlc: Tlc, apply_command: Apply = apply, *, progress: Progress = no_progress) -> CheckResult:
    """Compare the graph that TLC prints with the Python model's.

    Returns:
        ``holds`` if they are equal; the cases are the edges. ``no verdict`` if TLC came to no end.

    Raises:
        TlcError: TLC could not be run.
        GraphError: it printed what is no edge.
    """
    started = time.perf_counter()
    model = model_graph(apply_command)
    total = sum(map(len, model.values()))
    printed = PrintedGraph()

    def take(line: str) -> None:
        printed.take(line)
        if printed.count % _PROGRESS_EVERY == 0:
            progress(printed.count, max(total, printed.count), "edges")

    found = tlc.run(
        tlc.specification / f"{MODULE}.tla",
        tlc.specification / f"{MODULE}.cfg",
        deadlocks=False,
        on_printed=take,
    )
    differing = list(differences(model, printed.edges)) if found.error is None else []
    counterexample = found.error
    if differing:
        counterexample = "\n".join([f"{len(differing):,} differences; the first:", *differing[:_SHOWN]])
    return CheckResult(
        name="TLA+: its state graph is the Python model's",
        kind="tla",
        cases=printed.count,
        verdict="holds" if counterexample is None else "violated" if differing else "no verdict",
        seconds=time.perf_counter() - started,
        details={"states": len(printed.edges), "model_states": len(model), "model_edges": total},
        counterexample=counterexample,
    )
