"""What is wrong at the end of a schedule, if anything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pgweave.calling import call
from pgweave.clients import Heard, named
from pgweave.drive.real_time import strictest_orders
from pgweave.history.attempt import attempt_of
from pgweave.history.explain import explain
from pgweave.history.linearizability import Part
from pgweave.history.linearizability import check as check_linearizable
from pgweave.history.operations import Operation
from pgweave.history.spec import Spec
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.orders import TooManyOrdersError
from pgweave.scenario import Check, UseError, arguments_taken
from pgweave.timeline.model import TimelineOperation

_MOST_ORDERS = 1000


@dataclass(frozen=True)
class Ended:
    """What a schedule has led to.

    Attributes:
        problem: what is wrong; empty if nothing is.
        operations: who was answered what.
        explanation: why no order of the operations explains the answers, drawn.
    """

    problem: str
    operations: tuple[TimelineOperation, ...]
    explanation: str = ""


async def judge(heard: Heard, execution: Execution, dsn: str, left_open: str) -> Ended:
    """Judge a run that has come to its end.

    Args:
        heard: what the clients were answered.
        execution: the run.
        dsn: for the check.
        left_open: what a client has left in a transaction; empty if nothing.

    Raises:
        UseError: the check or the spec raised something.
    """
    scenario, explanation = heard.scenario, ""
    problem = heard.raised or left_open
    if not problem and scenario.check is not None:
        problem = await _checked(scenario.check, dsn, heard.world, heard.answers)
    if not problem and scenario.spec is not None:
        problem, explanation = _judge_orders(scenario.spec, heard, execution)
    return Ended(problem, heard.drawn(), explanation)


def _judge_orders(spec: Spec[Any], heard: Heard, execution: Execution) -> tuple[str, str]:
    """What is wrong with what clients heard, in the first of the strictest orders in which anything is."""
    try:
        for order in strictest_orders(execution, heard.done, most=_MOST_ORDERS):
            problem, explanation = judge_history(spec, heard.history(order))
            if problem:
                return problem, explanation
    except TooManyOrdersError as error:
        problem, explanation = judge_history(spec, heard.history())
        if problem:
            return problem, explanation
        raise UseError(
            f"whether the answers have an order is not known: {error} that have to be explained. Give fewer"
            " operations, or a check"
        ) from error
    return "", ""


def judge_history(spec: Spec[Any], operations: Sequence[Operation]) -> tuple[str, str]:
    """What is wrong with what clients heard, and why, drawn; both are empty if nothing is.

    Raises:
        UseError: the spec raised something, or the history is too long to be decided.
    """
    try:
        result = check_linearizable(spec, operations)
    except Exception as error:
        raise UseError(
            f"the spec {spec.name} cannot be asked: it raised {named(error)}. Its step returns a tuple of the"
            " states that can follow, and an empty one if none can; states are immutable, answers JSON values"
        ) from error
    if result.refuted is not None:
        return _explained(spec, result.refuted)
    if result.reason:
        raise UseError(f"whether the answers have an order is not known: {result.reason}")
    return "", ""


def _explained(spec: Spec[Any], refuted: Part[Any]) -> tuple[str, str]:
    try:
        why = attempt_of(spec, refuted)
        stuck = " or ".join(why.calls[each.call].text for each in why.blocked)
        return f"not linearizable: no order of the operations explains {stuck}", explain(why)
    except Exception as error:  # noqa: BLE001 - the verdict stands, whatever keeps it from being explained
        told = f"the spec {spec.name} raised {named(error)}"
        return f"not linearizable; it cannot be explained: {told}", ""


async def _checked(check: Check, dsn: str, world: object, answers: Sequence[Any]) -> str:
    given = (dsn, world, answers)
    try:
        verdict = await call(check, *given[: arguments_taken(check, len(given))])
    except AssertionError as error:
        return str(error) or "the check's assertion failed"
    except Exception as error:
        raise UseError(f"the check cannot be made: it raised {named(error)}") from error
    return "the check returned False" if verdict is False else ""
