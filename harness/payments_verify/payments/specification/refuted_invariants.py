"""Which invariants a payment's history breaks, as far as the history proves it.

What is told here needs no order of the operations: it is a fact about answers that clients were given, which
breaks its invariant whatever else happened. Where no such fact is found, a history that is not linearizable
breaks I10, and nothing more is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from payments_model import RECORDED
from payments_verify.payments.specification.steps import value_of
from pgweave.history.operations import Operation

LINEARIZABLE = "I10"

_STORED = frozenset(outcome.name.lower() for outcome in RECORDED)
_PLACE = {"pending": 0, "authorized": 1, "captured": 2, "failed": 2}
_MOVES = {"authorize": "authorized", "capture": "captured"}
"""The state to which each command alone leads, which is what its success is called, too."""


def invariants_refuted(operations: Sequence[Operation]) -> tuple[str, ...]:
    """The invariants that a payment's history breaks, given that it is not linearizable.

    Args:
        operations: the refuted part, noted as `Payments.partition` does.
    """
    found = {
        *_of_two_captures(operations),
        *_of_a_key(operations),
        *_of_the_window(operations),
        *_of_states(operations),
        *_of_reads(operations),
        *_of_refusals(operations),
    }
    return tuple(sorted(found, key=lambda name: int(name[1:]))) or (LINEARIZABLE,)


def not_linearizable(operations: Sequence[Operation]) -> str:
    """That a payment's history is not linearizable, and what it breaks where that can be said.

    Args:
        operations: the refuted part, noted as `Payments.partition` does.
    """
    broken = invariants_refuted(operations)
    return "not linearizable" if broken == (LINEARIZABLE,) else f"{', '.join(broken)}: not linearizable"


def _answer(operation: Operation) -> Mapping[str, Any]:
    response: Any = operation.response
    return response or {}


def _outcome(operation: Operation) -> str | None:
    """What was answered; ``None`` for no definite answer, and for one that stands for several outcomes."""
    answer = _answer(operation)
    return None if answer.get("also") else answer.get("outcome")


def _captures(operations: Sequence[Operation]) -> list[Operation]:
    """The captures with an answer that is stored under their key."""
    return [each for each in operations if each.f == "capture" and _outcome(each) in _STORED]


def _succeeded(operations: Sequence[Operation]) -> list[Operation]:
    return [each for each in _captures(operations) if _outcome(each) == "captured"]


def _views(operations: Sequence[Operation]) -> Iterator[Mapping[str, Any]]:
    yield from (_answer(each)["payment"] for each in operations if "payment" in _answer(each))


def _of_two_captures(operations: Sequence[Operation]) -> Iterator[str]:
    """Two keys that both captured, and neither with the other's answer; or two such attempts in one list."""
    pairs = combinations(_succeeded(operations), 2)
    listed = (_answer(each).get("attempts", ()) for each in operations)
    captured = (sum(attempt.get("outcome") == "captured" for attempt in seen) for seen in listed)
    if any(_are_two(*pair) for pair in pairs) or any(count > 1 for count in captured):
        yield "I1"


def _are_two(one: Operation, other: Operation) -> bool:
    first, second = _answer(one), _answer(other)
    if value_of(one)["key"] == value_of(other)["key"]:
        return False
    instants = {first.get("decided_at"), second.get("decided_at")} - {None}
    return len(instants) > 1 or (first.get("replayed") is False and second.get("replayed") is False)


def _of_a_key(operations: Sequence[Operation]) -> Iterator[str]:
    """Answers to one key that differ, or that are equal for different requests."""
    by_key = defaultdict(list)
    listed = [attempt for each in operations for attempt in _answer(each).get("attempts", ())]
    if any(_is_another(attempt, each) for each in _captures(operations) for attempt in listed):
        yield "I3"
    for each in operations:
        if each.f == "capture":
            by_key[value_of(each)["key"]].append(each)
    for captures in by_key.values():
        amounts = {repr(value_of(each).get("amount")) for each in captures}
        stored = _captures(captures)
        if any(_differ(*pair) for pair in combinations(stored, 2)):
            yield "I3"
        if len({repr(value_of(each).get("amount")) for each in stored}) > 1:
            yield "I4"
        if len(amounts) == 1 and any(_outcome(each) == "key_reused" for each in captures):
            yield "I3"
        if any(_answer(each).get("replayed") and _is_first(each, captures) for each in captures):
            yield "I3"


def _is_another(attempt: Mapping[str, Any], capture: Operation) -> bool:
    """Whether what is listed under a capture's key is not what the capture was told."""
    if attempt.get("key") != value_of(capture)["key"] or attempt.get("amount") != value_of(capture).get(
        "amount"
    ):
        return False
    told = _answer(capture)
    return any(
        name in told and told[name] != attempt.get(name, told[name]) for name in ("outcome", "decided_at")
    )


def _is_first(repeated: Operation, captures: Sequence[Operation]) -> bool:
    """Whether nothing could have been stored under the key before an answer repeated it."""
    end = repeated.returned
    return all(each is repeated or (end is not None and each.called > end) for each in captures)


def _differ(one: Operation, other: Operation) -> bool:
    """Whether the answers to one request under one key cannot both be the stored one."""
    if repr(value_of(one).get("amount")) != repr(value_of(other).get("amount")):
        return False
    first, second = _answer(one), _answer(other)
    if first.get("replayed") is False and second.get("replayed") is False:
        return True
    return any(
        name in first and name in second and first[name] != second[name]
        for name in ("outcome", "decided_at", "body")
    )


def _of_the_window(operations: Sequence[Operation]) -> Iterator[str]:
    """A capture that was decided too late, or any at an instant at which it cannot have been."""
    ends = {view["capture_expires_at"] for view in _views(operations) if "capture_expires_at" in view}
    end: int | None = ends.pop() if len(ends) == 1 else None
    for each in _captures(operations):
        decided: int | None = _answer(each).get("decided_at")
        earliest, latest = _when(each, operations)
        if decided is not None and not earliest <= decided <= latest:
            yield "I5"
        elif _outcome(each) == "captured":
            if end is not None and (earliest if decided is None else decided) >= end:
                yield "I5"
        elif _outcome(each) == "window_expired" and decided is not None and end is not None and decided < end:
            yield "I5"


def _when(capture: Operation, operations: Sequence[Operation]) -> tuple[int, int]:
    """Between which instants a capture was decided, if that was after it had been sent and had the lock."""
    if _answer(capture).get("replayed") is not False:
        return 0, value_of(capture)["latest"]
    earliest = value_of(capture)["earliest"]
    locked = [each for each in operations if each.f in ("lock", "unlock")]
    for lock, unlock in pairwise(locked):
        had = lock.returned if (lock.f, unlock.f) == ("lock", "unlock") else None
        if had is not None and had < capture.called < unlock.called:
            earliest = max(earliest, value_of(unlock)["earliest"])
    return earliest, value_of(capture)["latest"]


def _of_states(operations: Sequence[Operation]) -> Iterator[str]:
    """Both ends of a payment were seen; or one move was made twice."""
    ends = {view["state"] for view in _views(operations)} & {"captured", "failed"}
    if len(ends) > 1:
        yield "I2"
    listed = (attempt for each in operations for attempt in _answer(each).get("attempts", ()))
    if "failed" in ends and any(attempt.get("outcome") == "captured" for attempt in listed):
        yield "I6"
    for f, outcome, name in (("authorize", "authorized", "authorized_at"), ("fail", "failed", "failed_at")):
        made = [each for each in operations if each.f == f and _outcome(each) == outcome]
        if len({_answer(each).get("payment", {}).get(name) for each in made} - {None}) > 1:
            yield "I2"


def _of_reads(operations: Sequence[Operation]) -> Iterator[str]:
    """A look that does not see what had been acknowledged or read before it was sent."""
    looks = [each for each in operations if _outcome(each) in ("read", "not_found") and each.f != "attempts"]
    known = [(each, place) for each in operations if (place := _place(each)) is not None]
    for look in looks:
        before = [place for each, place in known if each.returned is not None and each.returned < look.called]
        seen = _place(look)
        if before and max(before) > (-1 if seen is None else seen):
            yield "I8"


def _place(operation: Operation) -> int | None:
    """How far the payment had come at least, as an answer says; ``None`` if it says nothing of that."""
    if operation.f == "capture":
        return _PLACE["captured"] if _outcome(operation) == "captured" else None
    state = _answer(operation).get("payment", {}).get("state")
    return None if state is None else _PLACE[state]


def _of_refusals(operations: Sequence[Operation]) -> Iterator[str]:
    """A payment has moved, and each command that could have moved it was refused."""
    states = {view["state"] for view in _views(operations)}
    for f, moved in _MOVES.items():
        outcomes = [_outcome(each) for each in operations if each.f == f]
        if moved in states and outcomes and None not in outcomes and moved not in outcomes:
            yield "I11"
