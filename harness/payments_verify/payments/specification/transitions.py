"""Which edges of the model's state graph something has taken.

Of concurrent histories it is the linearization that says in which state an operation took effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from payments_model import Outcome, Record
from payments_verify.payments.specification.steps import PaymentState
from payments_verify.result import Reach
from payments_verify.state_edges import Edge, state_name
from pgweave.history.linearizability import Part
from pgweave.history.operations import Operation
from pgweave.history.operations import Outcome as Learned

_COMMANDS = {"attempts": "read", "sweep": "expire"}
_COUNTED = frozenset({"create", "authorize", "capture", "fail", "read", "attempts"})


def edge_between(before: Record, command: str, outcome: str, after: Record) -> Edge:
    """The edge that a command of a history took."""
    return Edge(state_name(before), _COMMANDS.get(command, command), outcome, state_name(after))


def edges_of_parts(parts: Iterable[Part[PaymentState]]) -> Counter[Edge]:
    """The edges that linearizations took; a sweep that passed a payment over is none, nor is no answer."""
    found: Counter[Edge] = Counter()
    for part in parts:
        if part.verdict != "holds":
            continue
        before = Record()
        for step in part.order:
            after = step.state.record
            outcome = _outcome(step.operation, before, after)
            if outcome is not None:
                found[edge_between(before, step.operation.f, outcome, after)] += 1
            before = after
    return found


def _outcome(operation: Operation, before: Record, after: Record) -> str | None:
    if operation.f == "sweep":
        return None if before == after else Outcome.EXPIRED.name.lower()
    if operation.f not in _COUNTED or operation.outcome is Learned.UNKNOWN:
        return None
    answer: Any = operation.response
    if not isinstance(answer, Mapping) or "also" in answer:
        return None
    again = " (replayed)" if answer.get("replayed") else ""
    return f"{answer.get('outcome', 'ok')}{again}"


def commands_reached(planned: Sequence[str], outcomes: Iterable[str]) -> Reach:
    """The commands of a service, and those that were sent."""
    return Reach("commands", planned, {outcome.partition(" -> ")[0] for outcome in outcomes})
