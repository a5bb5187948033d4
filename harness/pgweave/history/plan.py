"""One part of a history, prepared for `pgweave.history.search`: numbers and bits for what it compares."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Generic, TypeAlias, cast

import msgspec

from pgweave.history.operations import Operation, returned
from pgweave.history.spec import Foresight, S, Spec, SpecError, steps_of

_FORESEEN = 32
"""An observation is foreseen if it returns within so many returns."""


class States(Generic[S]):
    """Numbers for the states met, so that configurations are compared by small integers.

    Attributes:
        values: The states by their numbers.
    """

    def __init__(self) -> None:
        self.values: list[S] = []
        self._numbers: dict[S, int] = {}

    def number(self, state: S) -> int:
        """Return the number of a state; a new one if it was not met before."""
        known = self._numbers.setdefault(state, len(self.values))
        if known == len(self.values):
            self.values.append(state)
        return known


class Transitions(dict[int, tuple[int, ...]], Generic[S]):
    """The steps of a class of equal operations, from a state's number to those of the states after.

    Each is asked of the specification once, when it is first needed.

    Attributes:
        observes: Whether the operations never change the state.
    """

    def __init__(self, operation: Operation, spec: Spec[S], states: States[S]) -> None:
        super().__init__()
        self.observes = spec.observes(operation)
        self._operation = operation
        self._spec = spec
        self._states = states

    def __missing__(self, number: int) -> tuple[int, ...]:
        after = steps_of(self._spec, self._states.values[number], self._operation)
        self[number] = numbers = tuple(dict.fromkeys(map(self._states.number, after)))
        return numbers


class Prospects(dict[int, bool], Generic[S]):
    """Whether an answered observation can still take effect, by the number of the state now.

    Each is asked of the specification once, when it is first needed.

    Attributes:
        index: The observation, as an index in `SearchPlan.operations`.
        bit: The bit that says that it is placed; 0 if it was not yet called.
    """

    def __init__(self, plan: SearchPlan[S], spec: Foresight[S], passed: int, index: int) -> None:
        super().__init__()
        self.index = index
        is_called = plan.operations[index].called < returned(plan.operations[passed])
        self.bit = plan.returning[index] if is_called else 0
        self._plan = plan
        self._spec = spec
        self._passed = passed

    def __missing__(self, number: int) -> bool:
        state, operations = self._plan.states.values[number], self._plan.operations
        self[number] = can = self._spec.can_lead_to(state, operations[self.index], self._meanwhile())
        return can

    def _meanwhile(self) -> Iterator[Operation]:
        plan, index = self._plan, self.index
        yield from plan.operations[self._passed : index]
        for group in plan.candidates(index):
            for _, _, _, each in group:
                if each != index:
                    yield plan.operations[each]


Candidate: TypeAlias = "tuple[int, int, Transitions[S], int]"
"""An operation that may come next.

Its bit together with those of the equal operations that go before it, the latter alone, its transitions, and
its index in `SearchPlan.operations`.
"""

Group: TypeAlias = "tuple[Candidate[S], ...]"


class SearchPlan(Generic[S]):
    """One part of a history, prepared.

    Attributes:
        operations: The answered operations by their return, then the unanswered ones by their call.
            Unanswered observations are left out: they constrain nothing.
        answered: How many of them are answered.
        returning: By the number of returns passed, the bit of the operation that returns next; 0 at the end.
        slots: A mask over the bits of answered operations; those of unanswered ones are above.
        states: The numbers of the states.
    """

    def __init__(self, spec: Spec[S], operations: Sequence[Operation]) -> None:
        """Prepare a part.

        Args:
            spec: The specification.
            operations: The part.

        Raises:
            SpecError: The value of an operation is not JSON.
        """
        answered = sorted((one for one in operations if one.returned is not None), key=returned)
        unanswered = sorted((one for one in operations if one.returned is None), key=_called)
        unanswered = [one for one in unanswered if not spec.observes(one)]
        bits = _slots(answered)
        self.operations = (*answered, *unanswered)
        self.answered = len(answered)
        self.returning = (*bits, 0)
        self.slots = (1 << max(bits, default=0).bit_length()) - 1
        self.states: States[S] = States()
        transitions = _transitions(spec, self.operations, self.states)
        self._upcoming = _candidates(answered, unanswered, bits, transitions)
        self._candidates: list[tuple[Group[S], Group[S]]] = []
        self._foresight = cast("Foresight[S]", spec) if hasattr(spec, "can_lead_to") else None
        self._observations = [index for index in range(self.answered) if transitions[index].observes]
        self._prospects: list[Prospects[S] | None] = []

    def bound(self, passed: int, placed: int, state: int) -> int:
        """Foresee how many returns a configuration can get past at most.

        One observation is looked at: that which returns next. If it cannot take effect any more, its return
        is not passed.

        Args:
            passed: How many answered operations have returned.
            placed: The bits of what is placed beyond them.
            state: The number of the state.

        Returns:
            All returns, where nothing is foreseen.
        """
        if self._foresight is None or passed == self.answered:
            return self.answered
        while len(self._prospects) <= passed:
            self._prospects.append(self._next_observation(self._foresight, len(self._prospects)))
        prospects = self._prospects[passed]
        if prospects is None or placed & prospects.bit or prospects[state]:
            return self.answered
        return prospects.index

    def _next_observation(self, spec: Foresight[S], passed: int) -> Prospects[S] | None:
        number = bisect_left(self._observations, passed)
        for index in self._observations[number : number + 1]:
            if index - passed <= _FORESEEN:
                return Prospects(self, spec, passed, index)
        return None

    def candidates(self, passed: int) -> tuple[Group[S], Group[S]]:
        """Return the operations called before the next return that do not return before it.

        They are computed when first asked for, so that a search starts, and can be stopped, early in a long
        history.

        Args:
            passed: How many answered operations have returned; fewer than there are.

        Returns:
            The answered ones, observations first and then by their return; and the unanswered ones by their
            call.
        """
        while len(self._candidates) <= passed:
            self._candidates.append(next(self._upcoming))
        return self._candidates[passed]


def _called(operation: Operation) -> int:
    return operation.called


def _slots(answered: Sequence[Operation]) -> list[int]:
    """Give every answered operation a bit that no operation open at the same time has."""
    bits = [0] * len(answered)
    free: list[int] = []
    used = 0
    moments = [(operation.called, index) for index, operation in enumerate(answered)]
    moments += [(returned(operation), index) for index, operation in enumerate(answered)]
    for _, index in sorted(moments):
        if bits[index]:
            free.append(bits[index])
        elif free:
            bits[index] = free.pop()
        else:
            bits[index] = 1 << used
            used += 1
    return bits


def _transitions(spec: Spec[S], operations: Sequence[Operation], states: States[S]) -> list[Transitions[S]]:
    """Give every operation the transitions that it shares with the operations equal to it."""
    classes: dict[bytes, Transitions[S]] = {}
    found = []
    for operation in operations:
        content = (operation.f, operation.value, operation.outcome, operation.response)
        try:
            key = msgspec.json.encode(content, order="sorted")
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise SpecError(f"{spec.name}: {operation.f}: not a JSON value: {error}") from None
        if key not in classes:
            classes[key] = Transitions(operation, spec, states)
        found.append(classes[key])
    return found


def _candidates(
    answered: Sequence[Operation],
    unanswered: Sequence[Operation],
    bits: Sequence[int],
    transitions: Sequence[Transitions[S]],
) -> Iterator[tuple[Group[S], Group[S]]]:
    by_call = sorted(range(len(answered)), key=lambda index: answered[index].called, reverse=True)
    active: list[int] = []  # sorted, and so by return
    made: dict[int, Candidate[S]] = {}
    optional = _Optional(unanswered, max(bits, default=0).bit_length(), transitions[len(answered) :])
    for operation in answered:
        moment = returned(operation)
        while by_call and answered[by_call[-1]].called < moment:
            insort(active, by_call.pop())
        yield _required(active, bits, transitions, made), optional.called_before(moment, len(answered))
        del made[active.pop(0)]


def _required(
    active: Sequence[int],
    bits: Sequence[int],
    transitions: Sequence[Transitions[S]],
    made: dict[int, Candidate[S]],
) -> Group[S]:
    """Make candidates of operations, and share those that are as they were for an earlier return."""
    observations: list[Candidate[S]] = []
    others: list[Candidate[S]] = []
    equal: defaultdict[int, int] = defaultdict(int)
    for index in active:
        steps = transitions[index]
        before = equal[id(steps)]
        equal[id(steps)] = with_this = before | bits[index]
        known = made.get(index)
        if known is None or known[0] != with_this or known[1] != before:
            made[index] = known = (with_this, before, steps, index)
        (observations if steps.observes else others).append(known)
    return (*observations, *others)


class _Optional(Generic[S]):
    """The unanswered operations that have been called, as time goes on."""

    def __init__(
        self, unanswered: Sequence[Operation], width: int, transitions: Sequence[Transitions[S]]
    ) -> None:
        self._unanswered = unanswered
        self._width = width
        self._transitions = transitions
        self._equal: defaultdict[int, int] = defaultdict(int)
        self._called: Group[S] = ()

    def called_before(self, moment: int, first_index: int) -> Group[S]:
        while (number := len(self._called)) < len(self._unanswered):
            if self._unanswered[number].called > moment:
                break
            steps = self._transitions[number]
            before = self._equal[id(steps)]
            self._equal[id(steps)] = with_this = before | 1 << (self._width + number)
            self._called += ((with_this, before, steps, first_index + number),)
        return self._called
