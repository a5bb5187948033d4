"""Payments as a specification for the linearizability checker: the model, with what a history leaves open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from payments_model import RECORDED, Record
from payments_verify.payments.observed.in_flight import contended_in_history
from payments_verify.payments.observed.observations import IN_PROGRESS, attempts_of, outcomes_in, view_of
from payments_verify.payments.observed.shapes import require_types
from payments_verify.payments.specification.oracle import decide
from payments_verify.payments.specification.steps import DECIDED_IN, STEPS, PaymentState, key_in, value_of
from payments_verify.payments.specification.timing import Bounds, bounds
from pgweave.history import operations as history
from pgweave.history.operations import Operation

_OBSERVING = frozenset({"read", "attempts", "clock"})
_GLOBAL = frozenset({"sweep", "clock", "clock_back"})
_STORED = frozenset(outcome.name.lower() for outcome in RECORDED)
_LONGEST_SHOWN = 40


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
        contended = contended_in_history(operations)
        parts: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            if operation.f not in _GLOBAL:
                parts[value_of(operation)["payment"]].append(operation)
        if not parts:
            return {"clock": list(operations)} if operations else {}
        everywhere = [operation for operation in operations if operation.f in _GLOBAL]
        dated = {}
        for payment, part in parts.items():
            found = _instants_seen(part)
            known = _known_of_windows(part, limits, found)
            dated[label_of(payment)] = [
                _noted(operation, limits[operation.called], found, known, contended)
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
        if operation.outcome is not history.Outcome.FAIL:
            return False
        answer: Any = operation.response
        stored = operation.f in ("capture", "lock", "unlock", "sweep")
        return not stored or outcomes_in(answer) == {IN_PROGRESS}

    def step(self, state: PaymentState, operation: Operation) -> tuple[PaymentState, ...]:
        """Apply the model, at every instant that the history leaves open."""
        return tuple(dict.fromkeys(STEPS[operation.f](state, operation)))

    def describe(self, operation: Operation) -> str:
        """The command and what was observed: ``capture k1 500 -> captured``."""
        value = value_of(operation)
        asked = [_shown(value[name]) for name in ("key", "amount", "reason", "now", "by") if name in value]
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
        now = max(state.decided, value_of(operation)["earliest"])
        _, done = decide(state.record, operation.f, value_of(operation), now, key_in(operation))
        right = done.outcome.name.lower() + (" (replayed)" if done.replayed else "")
        answer: Any = operation.response or {}
        if IN_PROGRESS in outcomes_in(answer):
            return f"{right}, for no other request with its key was in flight"
        return right


def _shown(value: object) -> str:
    """An argument; of a long key both ends, where keys may differ that a service takes for equal."""
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:16]}…{text[-16:]}"


def _noted(
    operation: Operation,
    limits: Bounds,
    found: Mapping[str, set[int]],
    known: set[int],
    contended: Container[int],
) -> Operation:
    value = value_of(operation)
    kind = f"key {value['key']}" if operation.f == "capture" else DECIDED_IN.get(operation.f, "")
    instants = set(found.get(kind, ()))
    others: set[int] = set()
    if operation.f in ("authorize", "create") and "window" in value:
        instants |= found.get(DECIDED_IN["authorize"], set())
        instants |= {end - value["window"] for end in found.get("capture_expires_at", set())}
        # The earliest by which the window is open at an instant that something was decided at.
        others = set() if instants else {instant - value["window"] + 1 for instant in known}
    elif operation.f == "capture" and not instants:
        others = found.get("captured_at", set())
    noted: dict[str, Any] = {
        "earliest": limits.earliest,
        "latest": limits.latest,
        "instants": sorted(instants),
    }
    if others:
        noted["others"] = sorted(others)
    if operation.called in contended:
        noted["contended"] = True
    return Operation(  # what `replace` does, in half of the time
        operation.process,
        operation.f,
        dict(value) | noted,
        operation.outcome,
        operation.response,
        operation.called,
        operation.returned,
        operation.called_ns,
        operation.returned_ns,
    )


def _known_of_windows(
    part: Iterable[Operation], limits: Mapping[int, Bounds], found: Mapping[str, set[int]]
) -> set[int]:
    """The instants at which, or from which on, captures were decided: by them it is known what was open."""
    dated = {
        instant
        for name, seen in found.items()
        if name.startswith("key ") or name == "captured_at"
        for instant in seen
    }
    return dated | {limits[each.called].earliest for each in part if each.f in ("capture", "unlock")}


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
        if "decided_at" in answer and not _STORED.isdisjoint(outcomes_in(answer)):
            found[f"key {value_of(operation)['key']}"].add(answer["decided_at"])
    return found
