"""What went wrong, as data that a page draws: schedules, and attempts to linearize a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from payments_verify.payments.specification.spec import Payments
from payments_verify.payments.specification.steps import PaymentState
from pgweave.history.attempt import Attempt, attempt_of
from pgweave.history.linearizability import Part, check
from pgweave.history.operations import HistoryError, Operation
from pgweave.history.spec import SpecError
from pgweave.timeline.model import Timeline

Drawing: TypeAlias = Mapping[str, Any]
"""``{"kind": "schedule", "timeline": ...}`` or ``{"kind": "attempt", "attempt": ...}``, and a ``title``."""

_BUDGET_S = 10.0


def schedule(timeline: Timeline) -> Drawing:
    """A run, statement by statement."""
    return {"kind": "schedule", "title": timeline.title, "timeline": msgspec.to_builtins(timeline)}


def attempted(title: str, attempt: Attempt) -> Drawing:
    """An attempt to linearize a history."""
    return {"kind": "attempt", "title": title, "attempt": msgspec.to_builtins(attempt)}


def refuted(title: str, part: Part[PaymentState], recorded: Sequence[Operation] = ()) -> Drawing:
    """The attempt to linearize a payment's part of a history, which failed.

    Args:
        title: where it comes from.
        part: what was refuted.
        recorded: the operations as they were recorded.
    """
    return attempted(title, attempt_of(Payments(), part, recorded))


def of_history(title: str, operations: Sequence[Operation]) -> tuple[Drawing, ...]:
    """The same for a history that is judged here; none if it is not refuted, or not understood."""
    try:
        result = check(Payments(), operations, budget_seconds=_BUDGET_S)
    except (HistoryError, SpecError):
        return ()
    return () if result.refuted is None else (refuted(title, result.refuted, operations),)
