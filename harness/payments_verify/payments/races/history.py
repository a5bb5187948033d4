"""A run of a race as a history: each operation as short as the order of the run's steps allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from payments_verify.payments.observed.in_flight import contended_in_race, goes_on, is_in_progress
from payments_verify.payments.observed.observations import NOTHING_DONE, Invocation, Observation
from payments_verify.payments.races.result import Exchange, RaceResult
from pgweave.history.operations import Operation, Outcome
from pgweave.scheduler import ScheduledOperation


def history_of(raced: RaceResult, order: Sequence[int]) -> tuple[tuple[Operation, ...], Mapping[int, int]]:
    """The history of a run whose steps were taken in this order, each operation as short as it allows.

    An operation is invoked just before its first step and answered just after its last, so that as many as
    can be are over before another begins.

    Args:
        raced: the run.
        order: the indices of its steps, in an order that is equivalent to that of the run.

    Returns:
        The operations; and for those of the race the index among the run's, by the invocation's position.
        The looks at the end are counted on.
    """
    place = {step: position for position, step in enumerate(order)}
    events: list[tuple[float, int]] = []
    for number, operation in enumerate(raced.operations):
        begins = -1.0 if operation.first is None else place[operation.first] - 0.25
        events.append((begins, number))
        if operation.result is not None and operation.answered is not None:
            ends = place[operation.answered] + 0.25 if operation.first is not None else begins
            events.append((ends, number))
    events.sort(key=lambda event: event[0])
    return _Writer(raced).write([number for _, number in events])


class _Writer:
    """Numbers events and processes."""

    def __init__(self, raced: RaceResult) -> None:
        self._raced = raced
        self._contended = contended_in_race(raced.operations, has_lease=raced.has_lease)
        self._events = 0
        self._processes = 0
        self._done: list[Operation] = []

    def write(self, events: Sequence[int]) -> tuple[tuple[Operation, ...], Mapping[int, int]]:
        """Write the exchanges before the race, the race's events, and those after it."""
        for exchange in self._raced.before:
            self._sequential(exchange)
        numbers: dict[int, int] = {}
        called: dict[int, tuple[int, int]] = {}
        for number in events:
            if number not in called:
                called[number] = (self._next_process(), self._next_event())
            else:
                process, position = called.pop(number)
                self._add(self._in_race(number), process, position, self._next_event())
                numbers[position] = number
        for number, (process, position) in called.items():
            self._add(self._raced.operations[number], process, position, None)
        for number, exchange in enumerate(self._raced.after, len(self._raced.operations)):
            numbers[self._events] = number
            self._sequential(exchange)
        return tuple(sorted(self._done, key=lambda operation: operation.called)), numbers

    def _in_race(self, number: int) -> ScheduledOperation:
        """An operation of the race; of one that is told to ask again, also whether it raced with its like."""
        operation = self._raced.operations[number]
        return replace(operation, result=_contended(operation.result, number in self._contended))

    def _sequential(self, exchange: Exchange) -> None:
        observed = exchange.observation
        if is_in_progress(observed):
            goes = not self._raced.has_lease and goes_on(self._raced.operations, exchange.invocation)
            observed = _contended(observed, goes)
        operation = ScheduledOperation(0, exchange.invocation, observed)
        self._add(operation, self._next_process(), self._next_event(), self._next_event())

    def _add(self, raced: ScheduledOperation, process: int, called: int, returned: int | None) -> None:
        invocation: Invocation = raced.value
        observed: Observation | None = raced.result
        if observed is not None and observed.value.get(NOTHING_DONE):
            return  # what came of it all the same, no operation explains
        if observed is None or observed.kind == "unknown":
            outcome, response, returned = Outcome.UNKNOWN, None, None
        else:
            outcome, response = Outcome(observed.kind), dict(observed.value)
        value = dict(invocation.value)
        self._done.append(Operation(process, invocation.f, value, outcome, response, called, returned))

    def _next_event(self) -> int:
        self._events += 1
        return self._events - 1

    def _next_process(self) -> int:
        self._processes += 1
        return self._processes - 1


def _contended(observed: Any, is_contended: bool) -> Any:  # noqa: ANN401 - an observation, or none
    if not is_in_progress(observed):
        return observed
    return replace(observed, value={**observed.value, "contended": is_contended})
