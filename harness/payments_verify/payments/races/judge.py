"""What a run of a scenario means: its histories, and whether the model explains them.

A run stands for every run in which dependent steps come in the same order. All of them give the same answers,
but they differ in which operation was over before which began. The run is judged by the strictest of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from payments_verify.payments.observed.in_flight import contended_in_race
from payments_verify.payments.observed.observations import BREAKS_CONTRACT, Invocation, Observation
from payments_verify.payments.races.history import history_of
from payments_verify.payments.races.result import RaceResult
from payments_verify.payments.service.under_test import with_output
from payments_verify.payments.specification.refuted_invariants import invariants_refuted, not_linearizable
from payments_verify.payments.specification.spec import Payments, label_of
from payments_verify.payments.specification.steps import PaymentState
from payments_verify.payments.specification.transitions import edges_of_parts
from payments_verify.payments.told.drawings import Drawing, attempted
from payments_verify.state_edges import Edge
from pgweave.drive.real_time import strictest_orders
from pgweave.history.attempt import attempt_of
from pgweave.history.explain import explain
from pgweave.history.linearizability import Result, check
from pgweave.history.operations import Operation
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.happens_before import Dependence

_CHECK_BUDGET_S = 60.0


@dataclass(frozen=True)
class Violation:
    """Why a run is wrong.

    Attributes:
        invariant: what it breaks, as far as that can be told: ``I9``, ``I1, I3``, or no more than ``I10``.
        explanation: what is wrong, for people.
        operation: the index of the operation that cannot be explained, among the run's; ``None`` if it is
            not one of them.
        look: if it is one of the looks at the end, its index among those.
        expected: what the model would have answered to it.
        drawing: the attempt to linearize the run's history, for a page; ``None`` if there was none.
    """

    invariant: str
    explanation: str
    operation: int | None = None
    expected: str | None = None
    drawing: Drawing | None = None
    look: int | None = None

    def with_output(self, printed: str) -> Violation:
        """The same, with what the service has printed, where that may say why."""
        return replace(self, explanation=with_output(self.explanation, printed))


class Judge:
    """Judges runs, and remembers which footprints depend on each other, and what it has found explained.

    Many schedules lead to the same answers in the same order. They are one history but for the payment's id.

    Args:
        faults: whether something was broken on purpose: then a command may go without an answer, as long as
            its client got one in the end.

    Attributes:
        faults: the same.
        exercised: the model's transitions in the histories that were explained, each history once.
    """

    def __init__(self, *, faults: bool = False) -> None:
        self.faults = faults
        self._dependence = Dependence()
        self._explained: set[bytes] = set()
        self.exercised: Counter[Edge] = Counter()

    def find_violation(self, execution: Execution) -> Violation | None:
        """What is wrong with a complete run; ``None`` if the model explains it."""
        raced: RaceResult = execution.result
        wrong = unserved(raced, faults=self.faults)
        if wrong is not None:
            return wrong
        for order in self.orders(execution):
            seen = _seen(raced, order)
            if seen in self._explained:
                continue
            judged = check_order(raced, order)
            if isinstance(judged, Violation):
                return judged
            self._explained.add(seen)
            self.exercised.update(edges_of_parts(judged.parts))
        return None

    def judge(self, execution: Execution) -> Violation | Mapping[str, PaymentState]:
        """What is wrong with a complete run; or where a linearization of it leaves each payment.

        The last look at a payment leaves no choice: where there are several linearizations, all leave the
        same record.
        """
        violation = self.find_violation(execution)
        if violation is not None:
            return violation
        raced: RaceResult = execution.result
        history, _ = history_of(raced, next(iter(self.orders(execution))))
        result = check(Payments(), history, budget_seconds=_CHECK_BUDGET_S)
        return {payment: _end_of(result, payment) for payment in raced.payments}

    def orders(self, execution: Execution) -> Iterator[Sequence[int]]:
        """The strictest orders of a run's steps: most operations are over before others begin."""
        return strictest_orders(execution, execution.result.operations, self._dependence)


def _seen(raced: RaceResult, order: Sequence[int]) -> bytes:
    """All that a verdict depends on, without the payments' ids."""
    place: dict[int | None, int] = {step: position for position, step in enumerate(order)}
    contended = contended_in_race(raced.operations, has_lease=raced.has_lease)
    operations = [
        (
            operation.value,
            _heard(operation.result),
            place.get(operation.first),
            place.get(operation.answered),
            number in contended,
        )
        for number, operation in enumerate(raced.operations)
    ]
    around = [
        [(each.invocation, _heard(each.observation)) for each in side] for side in (raced.before, raced.after)
    ]
    seen = msgspec.json.encode((around, operations))
    for number, payment in enumerate(raced.payments):
        seen = seen.replace(payment.encode(), b"payment %d" % number)
    return seen


def _heard(observed: Observation | None) -> object:
    """An answer, without the HTTP by which it came."""
    return None if observed is None else (observed.kind, observed.value)


def unserved(raced: RaceResult, *, faults: bool) -> Violation | None:
    """What is wrong with a run whatever was answered: a command got no answer, or has left its connection so.

    Args:
        raced: the run.
        faults: whether something was broken on purpose.
    """
    return _unanswered(raced, faults) or _left(raced)


def violation_in(raced: RaceResult, order: Sequence[int]) -> Violation | None:
    """What is wrong with a run whose steps were taken in this order, and in which nothing was broken."""
    judged = unserved(raced, faults=False) or check_order(raced, order)
    return judged if isinstance(judged, Violation) else None


def check_order(raced: RaceResult, order: Sequence[int]) -> Violation | Result[PaymentState]:
    """Check a run whose steps were taken in this order: what is wrong with it, or how it is explained."""
    history, numbers = history_of(raced, order)
    result = check(Payments(), history, budget_seconds=_CHECK_BUDGET_S)
    return result if result.verdict == "holds" else _refuted(result, history, numbers, len(raced.operations))


def _unanswered(raced: RaceResult, faults: bool) -> Violation | None:
    """No answer, a 5xx or one that cannot be read is wrong (I9), where nothing was broken on purpose.

    Where something was, it is wrong if the command was not answered when it was sent again: its key is stuck.
    An answer that breaks the contract is wrong there, too.
    """
    last = {operation.process: index for index, operation in enumerate(raced.operations)}
    for index, operation in enumerate(raced.operations):
        observed: Observation | None = operation.result
        excused = faults and index != last[operation.process]
        excused &= observed is None or BREAKS_CONTRACT not in observed.value
        if (observed is None or observed.kind == "unknown") and not excused:
            what = "no answer" if observed is None else dict(observed.value)
            asked: Invocation = operation.value
            return Violation("I9", f"I9: {asked.f} {dict(asked.value)} got no definite answer: {what}", index)
    for number, each in enumerate(raced.after):
        if each.observation.kind == "unknown":
            told = (
                f"after the race, {each.invocation.f} got no definite answer: {dict(each.observation.value)}"
            )
            return Violation("I9", f"I9: {told}", look=number)
    return None


def _left(raced: RaceResult) -> Violation | None:
    """A connection that a request leaves in its transaction is lost, or spoils the next request (I9)."""
    return Violation("I9", f"I9: {raced.left}") if raced.left else None


def _end_of(result: Result[PaymentState], payment: str) -> PaymentState:
    part = next(part for part in result.parts if part.label == label_of(payment))
    return part.order[-1].state


def _refuted(
    result: Result[PaymentState], history: Sequence[Operation], numbers: Mapping[int, int], raced: int
) -> Violation:
    if result.refuted is None:
        return Violation("I10", f"the history could not be decided: {result.reason}")
    attempt = attempt_of(Payments(), result.refuted, history)
    blocked = attempt.blocked[0] if attempt.blocked else None
    number = None if blocked is None else numbers.get(attempt.calls[blocked.call].called)
    expected = None if blocked is None else blocked.expected
    drawing = attempted("the attempt to linearize the run", attempt)
    told = f"{not_linearizable(result.refuted.operations)}\n{explain(attempt)}"
    broken = ", ".join(invariants_refuted(result.refuted.operations))
    if number is not None and number >= raced:
        return Violation(broken, told, None, expected, drawing, look=number - raced)
    return Violation(broken, told, number, expected, drawing)
