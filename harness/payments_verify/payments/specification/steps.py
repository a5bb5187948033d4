"""One step of the specification: what an operation may have done to one payment, by the model.

Open is when an operation was decided, and, where its outcome is unknown, whether it was. The state therefore
carries, beside the model's record, the latest instant decided under the payment's lock: decisions under one
lock are made one after another, so their instants never go back along a linearization, unless the clock does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from payments_model import RECORDED, Authorized, Expire, Outcome, Record, apply, state_of
from payments_verify.payments.observed.observations import IN_PROGRESS, attempts_of, outcomes_in, view_of
from payments_verify.payments.specification.oracle import decide
from pgweave.history import operations as history
from pgweave.history.operations import Operation

_REFUSED = frozenset(RECORDED) - {Outcome.CAPTURED}
DECIDED_IN = {"authorize": "authorized_at", "fail": "failed_at", "sweep": "failed_at"}
"""The field of a payment that says when a command was decided."""

Value = Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class PaymentState:
    """One payment, as the linearization so far has left it.

    Attributes:
        record: the model's record.
        bodies: the bytes, as text, of each stored answer that has been seen, by key (I3).
        decided: the latest instant decided under the payment's lock, in µs.
        locked_outside: whether somebody outside the service holds the payment's lock.
    """

    record: Record = field(default_factory=Record)
    bodies: frozenset[tuple[str, str]] = frozenset()
    decided: int = 0
    locked_outside: bool = False

    def body(self, key: str) -> str | None:
        """The stored answer's bytes under ``key``, if they have been seen."""
        return next((body for stored, body in self.bodies if stored == key), None)

    def __repr__(self) -> str:
        payment = self.record.payment
        shown = ["no payment" if payment is None else state_of(payment).name.lower()]
        shown += [f"{each['key']}={each['outcome']}" for each in attempts_of(self.record)]
        if self.locked_outside:
            shown.append("locked")
        return " ".join(shown)


def value_of(operation: Operation) -> Value:
    """What an operation was invoked with."""
    assert isinstance(operation.value, Mapping)  # shapes has seen to it
    return operation.value


def key_in(operation: Operation) -> str | None:
    """The idempotency key of a capture; ``None`` for other commands."""
    return str(value_of(operation)["key"]) if operation.f == "capture" else None


def _possible(state: PaymentState, operation: Operation, seen: int | None) -> Iterator[int]:
    """The instants at which an operation may have been decided, as few as tell all answers apart.

    Args:
        state: the state before.
        operation: the operation, dated.
        seen: the instant that its own answer names, if it names one.
    """
    value = value_of(operation)
    earliest = max(state.decided, value["earliest"])
    if seen is not None:
        candidates = [seen]
    elif value["instants"] and operation.outcome is history.Outcome.UNKNOWN:
        candidates = value["instants"]
    else:
        payment = state.record.payment
        ends = [payment.capture_expires_at] if isinstance(payment, Authorized) else []
        candidates = [*value["instants"], *value.get("others", ()), earliest, *ends]
    for instant in dict.fromkeys(candidates):
        if earliest <= instant <= value["latest"]:
            yield instant


def _decide(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    """Create, authorize, fail, and a capture that is not replayed: the model decides, under the lock."""
    answer: Any = operation.response or {}
    if operation.f != "create" and state.locked_outside:
        return
    if answer.get("replayed"):
        yield from _replay(state, operation)
        return
    if operation.f == "capture" and "outcome" in answer and "replayed" not in answer:
        yield from _replay(state, operation)
    for now in _possible(state, operation, _instant_seen(operation)):
        record, done = decide(state.record, operation.f, value_of(operation), now, key_in(operation))
        if operation.outcome is history.Outcome.UNKNOWN:
            if now in value_of(operation).get("others", (now,)) or done.outcome is not Outcome.CAPTURED:
                yield replace(state, record=record, decided=_decided_at(state, now, record))
        elif "too_many_refusals" in outcomes_in(answer) and state.record.max_refusals is None:
            if done.outcome in _REFUSED and any(
                each.outcome in _REFUSED for _, each in state.record.attempts
            ):
                yield state
        elif _agrees(operation, record, done.outcome, done.replayed):
            after = replace(state, record=record, decided=_decided_at(state, now, record))
            yield from _with_body(after, operation)


def _capture(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    """Decided; or told to ask again while another with its key was in flight, which changes nothing."""
    answer: Any = operation.response or {}
    if IN_PROGRESS in outcomes_in(answer):
        # A race knows better than its history, in which a request without a definite answer never ends.
        if answer.get("contended", value_of(operation).get("contended", False)):
            yield state
        if "also" not in answer:
            return
    yield from _decide(state, operation)


def _decided_at(state: PaymentState, now: int, record: Record) -> int:
    """Only what was decided under the lock, and stored, says something about the lock's order."""
    return state.decided if record == state.record else max(state.decided, now)


def _instant_seen(operation: Operation) -> int | None:
    answer: Any = operation.response or {}
    if operation.f == "capture":
        seen = answer.get("decided_at")
    elif answer.get("outcome") in ("authorized", "failed"):
        seen = answer.get("payment", {}).get(DECIDED_IN[operation.f])
    elif answer.get("outcome") == "created" and "window" in value_of(operation):
        seen = answer.get("payment", {}).get(DECIDED_IN["authorize"])
    else:
        seen = None
    return None if seen is None else int(seen)


def _agrees(operation: Operation, record: Record, outcome: Outcome, replayed: bool) -> bool:
    answer: Any = operation.response
    if outcome.name.lower() not in outcomes_in(answer) or replayed:
        return False
    return "payment" not in answer or (
        record.payment is not None and _shows(answer["payment"], view_of(record.payment))
    )


def _shows(seen: Value, stored: Value) -> bool:
    """Whether all that is seen is so. A service may show less than there is."""
    return all(name in stored and stored[name] == value for name, value in seen.items())


def _with_body(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    """The state with the answer's bytes under its key; nothing if other bytes were seen there (I3)."""
    answer: Any = operation.response
    key, body = key_in(operation), answer.get("body")
    if key is None or body is None or state.record.attempt(key) is None or answer["outcome"] == "key_reused":
        yield state
    elif state.body(key) in (None, body):
        yield replace(state, bodies=state.bodies | {(key, body)})


def _replay(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    answer: Any = operation.response
    stored = state.record.attempt(str(value_of(operation)["key"]))
    if (
        stored is not None
        and stored.amount == value_of(operation)["amount"]
        and stored.outcome.name.lower() in outcomes_in(answer)
        and stored.decided_at == answer.get("decided_at", stored.decided_at)
    ):
        yield from _with_body(state, operation)


def _read(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    answer: Any = operation.response or {}
    value = value_of(operation)
    payment = state.record.payment
    if operation.outcome is history.Outcome.UNKNOWN:
        yield state
    elif payment is None or "payment" not in answer:
        if payment is None and answer.get("outcome") == "not_found":
            yield state
    elif _shows(answer["payment"], view_of(payment)) and (
        value["earliest"] <= answer.get("as_of", value["earliest"]) <= value["latest"]
    ):
        yield state


def _attempts(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    answer: Any = operation.response or {}
    if operation.outcome is history.Outcome.UNKNOWN:
        yield state
    elif state.record.payment is None:
        if answer.get("outcome") == "not_found":
            yield state
    else:
        seen = sorted(answer.get("attempts", ()), key=lambda each: each["key"])
        stored = attempts_of(state.record)
        if len(seen) == len(stored) and all(map(_shows, seen, stored)):
            yield state


def _sweep(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    """A sweep may pass over a payment, for instance because it is locked; it may expire it when it is due."""
    yield state
    if state.locked_outside or not isinstance(state.record.payment, Authorized):
        return
    value = value_of(operation)
    earliest = max(state.decided, value["earliest"], state.record.payment.capture_expires_at)
    for now in value["instants"] or [earliest]:
        if earliest <= now <= value["latest"]:
            record, done = apply(state.record, Expire(), now)
            if done.outcome is Outcome.EXPIRED:
                yield replace(state, record=record, decided=now)


def _lock(state: PaymentState, _operation: Operation) -> Iterator[PaymentState]:
    if not state.locked_outside:
        yield replace(state, locked_outside=True)


def _unlock(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    if state.locked_outside:
        released = max(state.decided, value_of(operation)["earliest"])
        yield replace(state, locked_outside=False, decided=released)


def _clock(state: PaymentState, _operation: Operation) -> Iterator[PaymentState]:
    yield state


def _clock_back(state: PaymentState, _operation: Operation) -> Iterator[PaymentState]:
    yield replace(state, decided=0)


STEPS: Mapping[str, Callable[[PaymentState, Operation], Iterator[PaymentState]]] = {
    "create": _decide,
    "authorize": _decide,
    "capture": _capture,
    "fail": _decide,
    "read": _read,
    "attempts": _attempts,
    "sweep": _sweep,
    "clock": _clock,
    "clock_back": _clock_back,
    "lock": _lock,
    "unlock": _unlock,
}
"""The states in which each operation may leave a payment."""
