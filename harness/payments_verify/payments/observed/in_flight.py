"""The answer "in progress, ask again": legal exactly while another request with the same key is in flight.

A service that compares a request with one in flight may say "this key is another request's" instead. The
binding names that answer ``key_reused`` and ``in_progress``; it is legal while one with the key and another
amount is in flight.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from payments_verify.payments.observed.observations import IN_PROGRESS, Invocation, Observation, outcomes_in
from pgweave.history.operations import Operation

if TYPE_CHECKING:
    from pgweave.scheduler import ScheduledOperation

_FOR_EVER = float("inf")


def is_in_progress(observed: Observation | None) -> bool:
    """Whether an answer may say that a request with the same key is in progress."""
    return observed is not None and IN_PROGRESS in outcomes_in(observed.value)


def asked_again(answers: Iterable[tuple[Invocation, Observation | None]]) -> Sequence[Invocation]:
    """What a client asks again once nothing is in flight: each request that was answered "in progress"."""
    found: dict[Hashable, Invocation] = {}
    for asked, observed in answers:
        if is_in_progress(observed):
            found.setdefault(tuple(asked.value.values()), asked)
    return list(found.values())


def contended_in_history(operations: Iterable[Operation]) -> frozenset[int]:
    """The captures that were told to ask again while another with their key was in flight.

    By the positions of their invocations. A request without an answer is in flight for ever.
    """
    captures = [each for each in operations if each.f == "capture"]
    told = [each for each in captures if IN_PROGRESS in outcomes_in(_mapping(each.response))]
    with_key: dict[Hashable, list[Operation]] = {_key(each.value): [] for each in told}
    for each in captures if told else ():
        with_key.get(_key(each.value), []).append(each)

    def overlaps(one: Operation, other: Operation) -> bool:
        return (
            other is not one
            and _end(other) > one.called
            and _end(one) > other.called
            and _explains(other.value, one.value, _mapping(one.response))
        )

    return frozenset(
        one.called for one in told if any(overlaps(one, other) for other in with_key[_key(one.value)])
    )


def contended_in_race(operations: Sequence[ScheduledOperation], *, has_lease: bool = False) -> frozenset[int]:
    """The same for the operations of a race, by their indices, as they were sent and answered in the run.

    With a lease a request that failed counts as in flight from then on: the lease ends after the race.

    A service may know from its memory what is in flight. So another request counts from when it was sent,
    even if its first statement came later; the one that is told so counts from its own first statement.
    """
    told = [number for number, each in enumerate(operations) if is_in_progress(each.result)]
    flights = list(_flights(operations, has_lease=has_lease)) if told else []

    def overlaps(one: int, other: int) -> bool:
        sent, ended = flights[one]
        first = operations[one].first
        begun = sent if first is None else first
        asked, of = operations[other].value, operations[one].value
        return (
            asked.f == "capture"
            and _explains(asked.value, of.value, operations[one].result.value)
            and flights[other][0] <= ended
            and flights[other][1] >= begun
        )

    others = range(len(operations))
    return frozenset(one for one in told if any(overlaps(one, other) for other in others if other != one))


def goes_on(operations: Iterable[ScheduledOperation], asked: Invocation) -> bool:
    """Whether a request with the same key may go on in the service, cut off from its client."""
    return any(
        each.value.f == "capture"
        and _key(each.value.value) == _key(asked.value)
        and not _is_over(each.result)
        for each in operations
    )


def has_failed(operations: Iterable[ScheduledOperation], asked: Invocation) -> bool:
    """Whether a request with the same key got no definite answer: it may have left its key in progress."""
    return any(
        each.value.f == "capture"
        and _key(each.value.value) == _key(asked.value)
        and (each.result is None or each.result.kind == "unknown")
        for each in operations
    )


def _flights(operations: Sequence[ScheduledOperation], *, has_lease: bool) -> Iterator[tuple[float, float]]:
    """The steps during which each operation was sent, and answered."""
    sent: dict[int, int] = {}
    for each in operations:
        is_over = _is_over(each.result) and not (has_lease and each.result.kind == "unknown")
        ended = each.answered if each.answered is not None and is_over else _FOR_EVER
        yield sent.get(each.process, -1), ended
        sent[each.process] = each.answered or 0


def _is_over(observed: Observation | None) -> bool:
    """Whether the service has done with a request: one that was cut off from its client may go on."""
    return observed is not None and (observed.kind != "unknown" or "status" in observed.value)


def _explains(in_flight: object, asked: object, answer: Mapping[str, Any]) -> bool:
    """Whether one capture in flight is a reason for this answer to another."""
    if _key(in_flight) != _key(asked):
        return False
    return (
        "key_reused" not in outcomes_in(answer) or _mapping(in_flight)["amount"] != _mapping(asked)["amount"]
    )


def _key(asked: object) -> Hashable:
    value = _mapping(asked)
    return value["payment"], value["key"]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _end(operation: Operation) -> float:
    return _FOR_EVER if operation.returned is None else operation.returned
