"""Exhaustive exploration of the bounded model: every state that a few keys, amounts and instants can reach.

A state is what is stored (a ``Record``) together with the time. Each command is tried in each state, a
capture under each key; and time moves on by one µs until the last instant. Time belongs to the state, and
only moves on, so that every path is a history that the database's clock can give, and a capture after one
that was refused as too late can be told from the reverse. (Clocks that step back are left to the contracts,
which hold whatever the two instants are.)

Nothing is merged by symmetry: a model that treats the keys differently would break the argument that merges
them. The search is breadth-first, so that the first violation has a shortest program.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from payments_model import RECORDED, Command, Outcome, Record, State, Step, apply
from payments_verify.model_checks.program_drawing import drawing
from payments_verify.model_checks.state_graph_bounds import (
    EXPECTED,
    EXPECTED_WITH_ROOM_FOR_ONE,
    Bounds,
    Expected,
)
from payments_verify.model_checks.state_graph_rules import Transition, broken_rules, describe
from payments_verify.result import CheckResult, Progress, no_progress
from payments_verify.state_edges import Edge, edge_counts, state_name
from pgweave.verdict import Verdict

PROGRESS_EVERY = 500
"""States between two reports of progress."""


class Apply(Protocol):
    """The model's ``apply``, or a broken one."""

    def __call__(
        self, record: Record, command: Command, now: int, key: str | None = None
    ) -> tuple[Record, Step]:
        """Apply ``command`` at ``now`` (µs)."""
        ...


_JUDGE = """\
The model has other states than its authors counted. If its rules were changed on purpose, check that each
difference follows from that change, and write the new numbers into state_graph_bounds.py. If not, the change
of the model that caused it is a mistake."""


class ModelState(NamedTuple):
    """A state of the graph."""

    record: Record
    now: int


@dataclass
class Graph:
    """What the exploration has seen.

    Attributes:
        reached: each state, with its depth, the state before and how it was reached; time that moved on is
            no transition.
        transitions: how many edges were followed.
        outcomes: how often each answer was given.
        edges: how often each command led from which state of a payment to which, with which answer.
        broken: the first violation, as a program; ``None`` if there is none.
        drawing: the same for a page to draw.
        complete: whether everything was explored.
    """

    reached: dict[ModelState, tuple[int, ModelState | None, Transition | None]] = field(default_factory=dict)
    transitions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    edges: Counter[Edge] = field(default_factory=Counter)
    broken: str | None = None
    drawing: Mapping[str, Any] | None = None
    complete: bool = False

    @property
    def depth(self) -> int:
        """The depth of the deepest state."""
        return max((depth for depth, _, _ in self.reached.values()), default=0)

    def states_by_payment(self) -> dict[str, int]:
        """How many states have no payment, and how many have one in each of its states."""
        found = Counter(state_name(node.record) for node in self.reached)
        return {name: found[name] for name in ("none", *(state.name.lower() for state in State))}

    def way_to(self, node: ModelState | None) -> list[Transition]:
        """The commands of a shortest way to a state."""
        way = []
        while node is not None:
            _, before, transition = self.reached[node]
            if transition is not None:
                way.append(transition)
            node = before
        return way[::-1]


def outcome_name(done: Step) -> str:
    """An answer's name, as in ``"captured"`` and ``"captured (replayed)"``."""
    return done.outcome.name.lower() + (" (replayed)" if done.replayed else "")


def explore(
    apply_command: Apply = apply, bounds: Bounds | None = None, progress: Progress = no_progress
) -> Graph:
    """Explore breadth-first until a rule is broken, or everything within the bounds has been tried."""
    bounds = bounds or Bounds()
    commands = list(bounds.commands())
    graph = Graph()
    start = ModelState(Record(max_refusals=bounds.max_refusals), 0)
    graph.reached[start] = (0, None, None)
    waiting = deque([start])
    while waiting and len(graph.reached) <= bounds.max_states:
        node = waiting.popleft()
        for after, transition in _edges(graph, node, commands, bounds.last_instant, apply_command):
            if after not in graph.reached:
                graph.reached[after] = (graph.reached[node][0] + 1, node, transition)
                waiting.append(after)
        if graph.broken is not None:
            return graph
        done = len(graph.reached) - len(waiting)
        if done % PROGRESS_EVERY == 0:
            progress(done, max(EXPECTED.states, len(graph.reached)), f"{graph.transitions:,} transitions")
    graph.complete = not waiting
    return graph


def _edges(
    graph: Graph,
    node: ModelState,
    commands: list[tuple[Command, str | None]],
    last_instant: int,
    apply_command: Apply,
) -> Iterator[tuple[ModelState, Transition | None]]:
    """What can happen next; ends early, with the program in ``graph.broken``, if that breaks a rule."""
    for command, key in commands:
        graph.transitions += 1
        try:
            record, done = apply_command(node.record, command, node.now, key)
        except Exception as error:  # noqa: BLE001 - the model answers everything; its contracts raise as well
            asked = f"at {node.now}: {command}" + ("" if key is None else f" under key {key}")
            problem = f"{type(error).__name__}: {error}"
            rule = f"every command has an answer: {problem}"
            graph.broken = _program(rule, graph.way_to(node), asked)
            graph.drawing = drawing(graph.way_to(node), asked, problem, rule)
            return
        transition = Transition(node.record, command, key, node.now, record, done)
        graph.outcomes[outcome_name(done)] += 1
        graph.edges[_edge(transition)] += 1
        if broken := broken_rules(transition):
            rule, last = "\n".join(broken), describe(transition)
            graph.broken = _program(rule, graph.way_to(node), last)
            answer = outcome_name(done)
            graph.drawing = drawing(graph.way_to(node), last.partition("\n")[0], answer, rule)
            return
        yield ModelState(record, node.now), transition
    if node.now < last_instant:
        graph.transitions += 1
        yield ModelState(node.record, node.now + 1), None


def _edge(transition: Transition) -> Edge:
    command, answer = type(transition.command).__name__.lower(), outcome_name(transition.done)
    return Edge(state_name(transition.before), command, answer, state_name(transition.after))


def _program(broken: str, way: list[Transition], last: str) -> str:
    steps = [*map(describe, way), last]
    return "\n".join([broken, *(f"{number}. {step}" for number, step in enumerate(steps, 1))])


def check_state_graph(
    apply_command: Apply = apply,
    bounds: Bounds | None = None,
    expected: Expected = EXPECTED,
    *,
    progress: Progress = no_progress,
) -> CheckResult:
    """Explore the bounded model and check every state and every transition.

    Args:
        apply_command: the model's ``apply``, or a broken one.
        bounds: what is tried; by default, what ``expected`` was counted for.
        expected: the exact size that the graph must have.
        progress: called every few hundred states.

    Returns:
        ``holds`` if no rule is broken, every state of a payment and every answer is reached, and the graph
        has exactly the expected size; the cases are the transitions. ``no verdict`` if there is no end.
        By default that is asked of a second graph, too, in which the bound on refusals is reached.
    """
    found = _checked(apply_command, bounds or Bounds(), expected, progress)
    if bounds is not None or found.verdict != "holds":
        return found
    full = _checked(apply_command, Bounds(max_refusals=1), EXPECTED_WITH_ROOM_FOR_ONE, progress)
    sizes = {name: full.details[name] for name in ("states", "transitions", "depth", "outcomes")}
    return replace(
        full,
        cases=found.cases + full.cases,
        seconds=found.seconds + full.seconds,
        details={**found.details, "with_room_for_one_refusal": sizes},
    )


def _checked(apply_command: Apply, bounds: Bounds, expected: Expected, progress: Progress) -> CheckResult:
    started = time.perf_counter()
    graph = explore(apply_command, bounds, progress)
    counterexample = graph.broken
    verdict: Verdict = "holds"
    if counterexample is None and not graph.complete:
        verdict = "no verdict"
        counterexample = f"more than {bounds.max_states:,} states: the model does not stay within the bounds"
    elif counterexample is None:
        counterexample = "\n".join([*unreached(graph, bounds), *differences(graph, expected)]) or None
    if verdict == "holds" and counterexample is not None:
        verdict = "violated"
    return CheckResult(
        name="the bounded model, every state and transition",
        kind="exploration",
        cases=graph.transitions,
        verdict=verdict,
        seconds=time.perf_counter() - started,
        details={
            "states": len(graph.reached),
            "transitions": graph.transitions,
            "depth": graph.depth,
            "outcomes": dict(sorted(graph.outcomes.items())),
            "states_by_payment": graph.states_by_payment(),
            "exercised": edge_counts(graph.edges),
        },
        counterexample=counterexample,
        timelines=() if graph.drawing is None else (graph.drawing,),
    )


def unreached(graph: Graph, bounds: Bounds | None = None) -> list[str]:
    """The states of a payment, the answers and the replays that a complete graph lacks."""
    bounds = bounds or Bounds()
    is_bounded = bounds.max_refusals < len(bounds.keys)  # else there is no key left when there is no room
    names = [each.name.lower() for each in Outcome if is_bounded or each is not Outcome.TOO_MANY_REFUSALS]
    names += [f"{outcome.name.lower()} (replayed)" for outcome in RECORDED]
    never = [f"reached: no command was ever answered {name}" for name in names if not graph.outcomes[name]]
    for name, states in graph.states_by_payment().items():
        if not states:
            never.append(f"reached: there is no state with the payment {name}")
    return never


def differences(graph: Graph, expected: Expected) -> list[str]:
    """Where the size of a complete graph is not the expected one, and how to judge that."""
    counted = {"states": len(graph.reached), "transitions": graph.transitions, "depth": graph.depth}
    wanted = {"states": expected.states, "transitions": expected.transitions, "depth": expected.depth}
    for name in sorted({*graph.outcomes, *expected.outcomes}):
        counted[f"answers {name}"] = graph.outcomes[name]
        wanted[f"answers {name}"] = expected.outcomes.get(name, 0)
    found = [
        f"counts: {name}: expected {wanted[name]:,}, found {counted[name]:,}"
        for name in counted
        if counted[name] != wanted[name]
    ]
    return [*found, _JUDGE] if found else []
