"""A linearization that needs no search: the operations by their return, most of them.

Where clients rarely meet on an object, its operations took effect in the order in which they returned, or one
that returned a little later took effect a little sooner. Such an order is tried first, in one pass that
compares no configurations. Where it is legal it is a linearization, and that is all that has to be known;
where it is not, nothing is known, and `pgweave.history.search` begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgweave.history.operations import Operation, returned
from pgweave.history.spec import S, Spec, steps_of

MOST_OPERATIONS = 10_000
"""No longer part is tried: the pass is not interrupted."""

_AHEAD = 32
"""How many later returns are looked through for an operation that took effect sooner."""


def order_by_return(spec: Spec[S], operations: Sequence[Operation]) -> list[tuple[Operation, S]] | None:
    """Order a part by its returns, each time with at most one operation before its turn.

    An operation that is drawn forward was called before the return that it is placed at, and whatever is not
    yet placed returns no sooner than that. So no operation stands before one that returned before its call.

    Args:
        spec: The specification.
        operations: The part.

    Returns:
        A linearization: operations, and the state after each. ``None`` if this is none, or the part is long:
        there may be another.

    Raises:
        SpecError: The specification breaks its own promises.
    """
    if len(operations) > MOST_OPERATIONS:
        return None
    answered = sorted((each for each in operations if each.returned is not None), key=returned)
    unanswered = [each for each in operations if each.returned is None]
    state = spec.initial()
    order: list[tuple[Operation, S]] = []
    placed: set[int] = set()
    for number, operation in enumerate(answered):
        if operation.called in placed:
            continue
        after = steps_of(spec, state, operation)
        if not after:
            for sooner in _open_at(operation, answered, number, unanswered):
                if sooner.called not in placed and (found := _both(spec, state, sooner, operation)):
                    between, after = found
                    placed.add(sooner.called)
                    order.append((sooner, between))
                    break
            else:
                return None
        state = after[0]
        order.append((operation, state))
    return order


def _open_at(
    operation: Operation, answered: Sequence[Operation], number: int, unanswered: Sequence[Operation]
) -> Iterator[Operation]:
    """What was called before the operation returned, and has not returned."""
    moment = returned(operation)
    for others in (answered[number + 1 : number + 1 + _AHEAD], unanswered):
        for other in others:
            if other.called < moment:
                yield other


def _both(spec: Spec[S], state: S, first: Operation, second: Operation) -> tuple[S, tuple[S, ...]] | None:
    """The state between the two, and those after both; ``None`` if they cannot follow each other."""
    for between in steps_of(spec, state, first):
        if after := steps_of(spec, between, second):
            return between, after
    return None
