"""Payments as a specification for the linearizability checker: the model, with what a history leaves open.

Open is when an operation was decided, and, where its outcome is unknown, whether it was. The state therefore
carries, beside the model's record, the latest instant decided under the payment's lock: decisions under one
lock are made one after another, so their instants never go back along a linearization, unless the clock does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from payments_model import RECORDED, Authorized, Command, Expire, Outcome, Record, apply, state_of
from payments_verify.payments.observations import attempts_of, outcomes_in, view_of
from payments_verify.payments.oracle import command_of
from payments_verify.payments.shapes import require_types
from payments_verify.payments.timing import bounds
from pgweave.history import operations as history
from pgweave.history.operations import Operation

_OBSERVING = frozenset({"read", "attempts", "clock"})
_GLOBAL = frozenset({"sweep", "clock", "clock_back"})
_REFUSED = frozenset(RECORDED) - {Outcome.CAPTURED}
_DECIDED_IN = {"authorize": "authorized_at", "fail": "failed_at", "sweep": "failed_at"}

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


def label_of(payment: str) -> str:
    """The label of a payment's part of a history."""
    return f"payment {payment}"


class Payments:
    """The specification of one payment.

    Args:
        max_stored_refusals: how many refused captures are stored. If that is not known, a service may store
            any number, and may say that there is no room for one as soon as one is stored.
    """

    name = "payments"

    def __init__(self, max_stored_refusals: int | None = None) -> None:
        self._max_stored_refusals = max_stored_refusals

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        """Split by payment, and note with each operation what the whole history says of its time.

        A sweep is not one atomic step but one for each payment, so it stands in the part of every payment.
        """
        for operation in operations:
            require_types(operation)
        limits = bounds(operations)
        parts: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            if operation.f not in _GLOBAL:
                parts[_value(operation)["payment"]].append(operation)
        if not parts:
            return {"clock": list(operations)} if operations else {}
        everywhere = [operation for operation in operations if operation.f in _GLOBAL]
        dated = {}
        for payment, part in parts.items():
            found = _instants_seen(part)
            dated[label_of(payment)] = [
                _dated(operation, limits[operation.called].earliest, limits[operation.called].latest, found)
                for operation in sorted([*part, *everywhere], key=lambda each: each.called)
            ]
        return dated

    def initial(self) -> PaymentState:
        """No such payment."""
        return PaymentState(Record(max_refusals=self._max_stored_refusals))

    def observes(self, operation: Operation) -> bool:
        """Reads, and refusals that store nothing."""
        if operation.f in _OBSERVING:
            return True
        stored = operation.f in ("capture", "lock", "unlock", "sweep")
        return operation.outcome is history.Outcome.FAIL and not stored

    def step(self, state: PaymentState, operation: Operation) -> tuple[PaymentState, ...]:
        """Apply the model, at every instant that the history leaves open."""
        return tuple(dict.fromkeys(_STEPS[operation.f](state, operation)))

    def describe(self, operation: Operation) -> str:
        """The command and what was observed: ``capture k1 500 -> captured``."""
        value = _value(operation)
        asked = [str(value[name]) for name in ("key", "amount", "reason", "now", "by") if name in value]
        response: Any = operation.response
        if operation.outcome is history.Outcome.UNKNOWN:
            seen = "?"
        elif operation.f == "read" and "payment" in response:
            seen = response["payment"]["state"]
        elif operation.f == "attempts" and "attempts" in response:
            seen = f"{len(response['attempts'])} stored"
        else:
            seen = response.get("outcome", "ok") + (" (replayed)" if response.get("replayed") else "")
        return " ".join([operation.f, *asked, "->", seen])

    def expected(self, state: PaymentState, operation: Operation) -> str:
        """The model's answer, at the earliest instant that is possible in ``state``."""
        if state.locked_outside:
            return "to wait for the lock that another session holds"
        if operation.f == "read":
            right = "not_found" if state.record.payment is None else str(view_of(state.record.payment))
            seen: Any = operation.response or {}
            # `describe` has the state alone, which may be the same.
            return f"{right}, and it showed {seen['payment']}" if "payment" in seen else right
        if operation.f == "attempts":
            return str(attempts_of(state.record))
        if operation.f not in ("create", "authorize", "capture", "fail"):
            return "ok"
        now = max(state.decided, _value(operation)["earliest"])
        _, done = apply(state.record, _command(operation), now, _key(operation))
        return done.outcome.name.lower() + (" (replayed)" if done.replayed else "")


def _value(operation: Operation) -> Value:
    assert isinstance(operation.value, Mapping)  # shapes has seen to it
    return operation.value


def _dated(operation: Operation, earliest: int, latest: int, found: Mapping[str, set[int]]) -> Operation:
    value = _value(operation)
    kind = f"key {value['key']}" if operation.f == "capture" else _DECIDED_IN.get(operation.f, "")
    instants = set(found.get(kind, ()))
    if operation.f == "capture" and not instants:
        instants |= found.get("captured_at", set())
    if operation.f == "authorize":
        instants |= {end - value["window"] for end in found.get("capture_expires_at", set())}
    dated: dict[str, Any] = {"earliest": earliest, "latest": latest, "instants": sorted(instants)}
    return Operation(  # what `replace` does, in half of the time
        operation.process,
        operation.f,
        dict(value) | dated,
        operation.outcome,
        operation.response,
        operation.called,
        operation.returned,
        operation.called_ns,
        operation.returned_ns,
    )


def _instants_seen(part: Iterable[Operation]) -> dict[str, set[int]]:
    """Every instant of a decision that any answer mentions: candidates for decisions nobody saw answered."""
    found: dict[str, set[int]] = defaultdict(set)
    for operation in part:
        answer: Any = operation.response or {}
        for name, instant in answer.get("payment", {}).items():
            if name.endswith("_at"):
                found[name].add(instant)
        for attempt in answer.get("attempts", ()):
            if "decided_at" in attempt:
                found[f"key {attempt['key']}"].add(attempt["decided_at"])
        if "decided_at" in answer:
            found[f"key {_value(operation)['key']}"].add(answer["decided_at"])
    return found


def _command(operation: Operation) -> Command:
    return command_of(operation.f, _value(operation))


def _key(operation: Operation) -> str | None:
    return str(_value(operation)["key"]) if operation.f == "capture" else None


def _possible(state: PaymentState, operation: Operation, seen: int | None) -> Iterator[int]:
    """The instants at which an operation may have been decided, as few as tell all answers apart.

    Args:
        state: the state before.
        operation: the operation, dated.
        seen: the instant that its own answer names, if it names one.
    """
    value = _value(operation)
    earliest = max(state.decided, value["earliest"])
    if seen is not None:
        candidates = [seen]
    elif value["instants"] and operation.outcome is history.Outcome.UNKNOWN:
        candidates = value["instants"]
    else:
        payment = state.record.payment
        ends = [payment.capture_expires_at] if isinstance(payment, Authorized) else []
        candidates = [*value["instants"], earliest, *ends]
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
        record, done = apply(state.record, _command(operation), now, _key(operation))
        if operation.outcome is history.Outcome.UNKNOWN:
            yield replace(state, record=record, decided=_decided_at(state, now, record))
        elif "too_many_refusals" in outcomes_in(answer) and state.record.max_refusals is None:
            if done.outcome in _REFUSED and any(
                each.outcome in _REFUSED for _, each in state.record.attempts
            ):
                yield state
        elif _agrees(operation, record, done.outcome, done.replayed):
            after = replace(state, record=record, decided=_decided_at(state, now, record))
            yield from _with_body(after, operation)


def _decided_at(state: PaymentState, now: int, record: Record) -> int:
    """Only what was decided under the lock, and stored, says something about the lock's order."""
    return state.decided if record == state.record else max(state.decided, now)


def _instant_seen(operation: Operation) -> int | None:
    answer: Any = operation.response or {}
    if operation.f == "capture":
        seen = answer.get("decided_at")
    elif answer.get("outcome") in ("authorized", "failed"):
        seen = answer.get("payment", {}).get(_DECIDED_IN[operation.f])
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
    key, body = _key(operation), answer.get("body")
    if key is None or body is None or state.record.attempt(key) is None or answer["outcome"] == "key_reused":
        yield state
    elif state.body(key) in (None, body):
        yield replace(state, bodies=state.bodies | {(key, body)})


def _replay(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    answer: Any = operation.response
    stored = state.record.attempt(str(_value(operation)["key"]))
    if (
        stored is not None
        and stored.amount == _value(operation)["amount"]
        and stored.outcome.name.lower() in outcomes_in(answer)
        and stored.decided_at == answer.get("decided_at", stored.decided_at)
    ):
        yield from _with_body(state, operation)


def _read(state: PaymentState, operation: Operation) -> Iterator[PaymentState]:
    answer: Any = operation.response or {}
    value = _value(operation)
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
    value = _value(operation)
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
        released = max(state.decided, _value(operation)["earliest"])
        yield replace(state, locked_outside=False, decided=released)


def _clock(state: PaymentState, _operation: Operation) -> Iterator[PaymentState]:
    yield state


def _clock_back(state: PaymentState, _operation: Operation) -> Iterator[PaymentState]:
    yield replace(state, decided=0)


_STEPS: Mapping[str, Callable[[PaymentState, Operation], Iterator[PaymentState]]] = {
    "create": _decide,
    "authorize": _decide,
    "capture": _decide,
    "fail": _decide,
    "read": _read,
    "attempts": _attempts,
    "sweep": _sweep,
    "clock": _clock,
    "clock_back": _clock_back,
    "lock": _lock,
    "unlock": _unlock,
}
