"""What the checkers know about a service: a sequential specification.

A specification describes an object that handles one operation at a time. The linearizability checker then
decides whether a concurrent history of the real service can be explained as some sequence of such steps, one
for every operation, each between the operation's invocation and its response (Herlihy and Wing,
"Linearizability: A Correctness Condition for Concurrent Objects", TOPLAS 1990).

To check a service of your own, derive one class from `Spec`. It needs one method::

    class Counter(Spec[int]):
        def initial(self):
            return 0

        def step(self, state, operation):
            if operation.f == "increment":
                return (state + 1,)
            return (state,) if operation.response == state else ()
"""

from __future__ import annotations

import reprlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar, cast, runtime_checkable

from pgweave.history.operations import Json, Operation, Outcome

S = TypeVar("S", bound=Hashable)


class SpecError(ValueError):
    """A history that a specification cannot interpret, or a specification that breaks its own promises.

    Attributes:
        event: The position in the history, from 0, of the invocation that is not understood.
    """

    def __init__(self, problem: str, event: int | None = None) -> None:
        self.event = event
        super().__init__(problem)


def not_understood(spec_name: str, operation: Operation, known: str) -> SpecError:
    """Return the error for an operation that a specification does not know.

    Args:
        spec_name: The name of the specification.
        operation: The operation.
        known: The operations that it knows.
    """
    value, response = reprlib.repr(operation.value), reprlib.repr(operation.response)
    return SpecError(
        f"{spec_name}: process {operation.process}, event {operation.called + 1}: {operation.f!r} {value} -> "
        f"{operation.outcome} {response} is not understood; known are {known}",
        operation.called,
    )


def shown(value: Json) -> str:
    """A value for people: what a mapping has, without its names."""
    return " ".join(map(str, value.values())) if isinstance(value, Mapping) else repr(value)


@runtime_checkable
class Spec(Protocol[S]):
    """A sequential specification, generic over its state `S`.

    A state is any immutable value with `==` and `hash`; two states are equal exactly when no operation can
    tell them apart. The smaller the set of reachable states, the faster the check. `repr(state)` is shown in
    explanations.

    Every method is a pure function of its arguments. `step`, `observes` and `expected` may look at an
    operation's `f`, `value`, `outcome` and `response`, and at nothing else: operations that agree in these
    are interchangeable to the checker, whoever called them and when.

    Derived from this class a specification needs `step` alone; the rest has defaults, which are right for
    every object, if not the fastest.

    Attributes:
        name: The name under which it is registered, and which a history's header carries; that of the class
            if it gives none.
    """

    @property
    def name(self) -> str:
        """The name of the class, if it gives no other."""
        return type(self).__name__

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        """Split a history into parts that cannot influence one another.

        Linearizability is local: a history is linearizable exactly when its part for every object is (Herlihy
        and Wing, theorem 1), and small parts are far cheaper to check than a large whole. Split by whatever
        the objects are: seats, keys, accounts. If there is one object, return one part.

        Called once, before anything else: also the place to refuse operations that the specification does not
        know.

        Args:
            operations: The history, in the order of the invocations.

        Returns:
            The parts by label, each in the order of the invocations. Every operation is in one part; only one
            that acts on several objects independently, with no promise that it does so at one instant, is in
            several. An operation's `value` may be replaced, to carry what the whole history says of it. The
            label names the object in reports (`key "3"`). One part, if not given.

        Raises:
            SpecError: An operation is not one of this specification; says which, and what it knows.
        """
        return {self.name: operations}

    def initial(self) -> S:
        """Return the state of every part before its first operation; ``None`` if not given."""
        return cast("S", None)

    def step(self, state: S, operation: Operation) -> tuple[S, ...]:
        """Perform one operation with the outcome that was observed.

        - `ok`: the states after the operation took effect in `state` and gave this response.
        - `fail`: the states after the operation was refused with this response. A refusal that could not have
          been given in `state` is illegal, as any wrong response is.
        - `unknown`: the states that the operation may lead to if it took effect in `state`, whatever it may
          have answered. That it may never take effect need not be said: the checker considers both.

        Args:
            state: The state before.
            operation: The operation, with what the client learned of it.

        Returns:
            Every possible state after, several where the object is free to choose; empty when the operation
            cannot take effect in `state` with what was observed.
        """
        ...

    def observes(self, operation: Operation) -> bool:
        """Say whether the operation never changes the state, whatever the state is.

        True for reads, and for refusals that leave no trace. It is a hint that saves much time: such an
        operation can be placed as soon as it is legal, without trying the alternatives. False is always safe.
        True is held to: a step of such an operation to another state is a `SpecError`.

        Args:
            operation: The operation, with its outcome.
        """
        del operation
        return False

    def describe(self, operation: Operation) -> str:
        """Return the operation and what was observed, for people, in under about 60 characters (`read -> 2`).

        Args:
            operation: The operation.
        """
        argument = "" if operation.value is None else f" {shown(operation.value)}"
        observed = "?" if operation.outcome is Outcome.UNKNOWN else shown(operation.response)
        refused = "refused: " if operation.outcome is Outcome.FAIL else ""
        return f"{operation.f}{argument} -> {refused}{observed}"

    def expected(self, state: S, operation: Operation) -> str:
        """Return what the specification would have answered in `state`, in the words of `describe` (`4`).

        Explanations put it beside what was observed, for operations whose `step` in `state` is empty.

        Args:
            state: A state.
            operation: The operation.
        """
        del state, operation
        return "otherwise"


class Foresight(Spec[S], Protocol[S]):
    """A `Spec` that rules out states by an answer that has yet to be explained; a specification need not.

    A store of strings that are only appended to is an example: a later get has to begin with the string
    that there is now. Without foresight the search finds a wrong order of appends at the next get. With it,
    the search finds it at the first append that is out of order.
    """

    def can_lead_to(self, state: S, operation: Operation, meanwhile: Iterable[Operation]) -> bool:
        """Say whether an operation can take effect later.

        True is always safe. False is believed: a False for what can happen is a wrong verdict.

        Args:
            state: The state now.
            operation: An operation that `observes`, with what was observed.
            meanwhile: The other operations that may take effect before it, given once. Some may have
                done so already.

        Returns:
            False only if there is no sequence of some of `meanwhile`, in any order, that leads from `state`
            to a state in which `operation` can take effect with what was observed.
        """
        ...


def steps_of(spec: Spec[S], state: S, operation: Operation) -> tuple[S, ...]:
    """Perform an operation, and hold the specification to what it says of it.

    Raises:
        SpecError: The operation is said to observe only, and leads to another state.
    """
    after = spec.step(state, operation)
    if any(other != state for other in after) and spec.observes(operation):
        raise SpecError(
            f"{spec.name}: {spec.describe(operation)} is said to observe only, "
            f"but leads from {state!r} to {after!r}"
        )
    return after
