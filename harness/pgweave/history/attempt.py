"""The attempt to linearize one part of a history: how far it came, and where it got stuck.

It is plain data, which `pgweave.history.explain` writes as text and a report draws: the operations, and for
each place of the order what could have come next in real time, and what the specification would have
answered to it there. Everything is tuples, strings and numbers, so that `msgspec.json` writes it and reads
it back unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pgweave.history.linearizability import Part
from pgweave.history.operations import Operation
from pgweave.history.spec import S, Spec
from pgweave.visible import one_line

SHOWN = 300
"""How many operations of the order are kept: those placed last."""

AFTERWARDS = 60
"""How many operations are kept that were called after the response that no order gets past."""

_UNANSWERED = 8
_TEXT_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Call:
    """One operation, as its client saw it.

    Attributes:
        process: The client.
        text: What was called and observed, in the words of the specification.
        asked: The argument, as JSON.
        answered: The response, as JSON; None if there was none.
        called: The position of the invocation among the events of the history.
        returned: The position of the response; None if there was none: it is open to the end.
        called_ns: When it was called, in ns of a monotonic clock, where that is known.
        returned_ns: When its response came, likewise.
        place: Its place in the order, from 1; None if it has none.
    """

    process: int
    text: str
    asked: str
    answered: str | None
    called: int
    returned: int | None
    called_ns: int | None = None
    returned_ns: int | None = None
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation that could come next in real time.

    Attributes:
        call: Its index among the calls.
        expected: What the specification would have answered; empty for one that nobody was answered.
        fits: Whether it can take effect there with what was observed.
    """

    call: int
    expected: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """A place between two operations of the order.

    Attributes:
        state: The state there.
        candidates: What could come next in real time: all that was answered, and a few of what was not.
    """

    state: str
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt to put the operations of one part in an order.

    Attributes:
        spec: The name of the specification.
        label: The label of the part.
        is_linearizable: Whether the order has every operation that was answered.
        answered: How many operations of the part were answered.
        explained: How many of these stand in the order.
        hidden: How many operations stand in the order before those that are kept here.
        later: How many operations that came later are not kept here.
        calls: The operations, by their invocations.
        order: Their indices in the order: a linearization, or a longest linearizable prefix.
        moments: The place before the first of the order, and that after each.
        other_states: The other states that prefixes as long as this one end in.
        standard: What `Candidate.expected` is.
        is_longest: False where the search for a longer prefix was given up: see `Part.is_longest`.
        unanswered: How many operations that nobody was answered could come next where it is stuck. After none
            of them can an answered one.
    """

    spec: str
    label: str
    is_linearizable: bool
    answered: int
    explained: int
    hidden: int
    later: int
    calls: tuple[Call, ...]
    order: tuple[int, ...]
    moments: tuple[Moment, ...]
    other_states: tuple[str, ...] = ()
    standard: str = "the model answers"
    is_longest: bool = True
    unanswered: int = 0

    @property
    def blocked(self) -> tuple[Candidate, ...]:
        """The answered operations of which one has to come next, where none can; by their responses."""
        if self.is_linearizable:
            return ()
        found = [each for each in self.moments[-1].candidates if self.calls[each.call].returned is not None]
        return tuple(sorted(found, key=lambda each: self.calls[each.call].returned or 0))

    @property
    def horizon(self) -> int | None:
        """The position of the response before which one of the blocked would have to come; None if none."""
        ends = [self.calls[each.call].returned for each in self.blocked]
        return min((end for end in ends if end is not None), default=None)

    def name_of(self, call: int) -> str:
        """What an operation is called in a picture: its place in the order, or a letter if it is blocked."""
        place = self.calls[call].place
        if place is not None:
            return str(place)
        blocked = [each.call for each in self.blocked]
        return letter(blocked.index(call)) if call in blocked else ""


def letter(number: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0 and up."""
    before, last = divmod(number, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + last)


def which_prefix(*, is_longest: bool) -> str:
    """Return what a prefix is called."""
    return "a longest linearizable prefix" if is_longest else "the longest linearizable prefix found"


def why_stuck(*, is_longest: bool) -> str:
    """Return what is known of the operations of which one has to come next."""
    return "none can" if is_longest else "the search for an order in which one can was given up"


def attempt_of(
    spec: Spec[S], part: Part[S], recorded: Sequence[Operation] = (), *, shown: int = SHOWN
) -> Attempt:
    """Tell how far the search for a linearization came.

    Args:
        spec: The specification that the part was checked against.
        part: A part that is decided.
        recorded: The operations as they were recorded, where the specification replaced their arguments.
        shown: How many operations of the order are kept.

    Raises:
        ValueError: The part is not decided.
    """
    if part.verdict == "no verdict":
        raise ValueError(f"{part.label} is not decided; there is no attempt to show")
    hidden = max(0, len(part.order) - shown)
    left = _left(part)
    kept, later = _kept(part, hidden, left)
    index = {operation.called: number for number, operation in enumerate(kept)}
    order = [index[step.operation.called] for step in part.order[hidden:]]
    places = {number: hidden + place for place, number in enumerate(order, 1)}
    originals = {operation.called: operation for operation in recorded}
    states = [
        spec.initial() if hidden == 0 else part.order[hidden - 1].state,
        *(step.state for step in part.order[hidden:]),
    ]
    return Attempt(
        spec=spec.name,
        label=one_line(part.label),
        is_linearizable=part.verdict == "holds",
        answered=sum(operation.returned is not None for operation in part.operations),
        explained=sum(step.operation.returned is not None for step in part.order),
        hidden=hidden,
        later=later,
        calls=tuple(
            _call(one_line(spec.describe(each)), originals.get(each.called, each), places.get(number))
            for number, each in enumerate(kept)
        ),
        order=tuple(order),
        moments=tuple(_moments(spec, states, kept, order)),
        other_states=tuple(one_line(repr(each)) for each in part.ends[1:]),
        is_longest=part.is_longest,
        unanswered=sum(each.returned is None and not spec.observes(each) for each in left.soon),
    )


@dataclass(frozen=True, slots=True)
class _Left:
    """The operations without a place: those that could come next in real time, and those that could not."""

    soon: tuple[Operation, ...]
    after: tuple[Operation, ...]


def _left(part: Part[S]) -> _Left:
    placed = {step.operation.called for step in part.order}
    left = [operation for operation in part.operations if operation.called not in placed]
    horizon = min((each.returned for each in left if each.returned is not None), default=0)
    soon = tuple(each for each in left if each.called < horizon)
    return _Left(soon, tuple(each for each in left if each.called >= horizon))


def _kept(part: Part[S], hidden: int, left: _Left) -> tuple[list[Operation], int]:
    """The operations to show, whatever could come next among them, and how many later ones are left out."""
    placed = (step.operation for step in part.order[hidden:])
    kept = [*placed, *left.soon, *left.after[:AFTERWARDS]]
    return sorted(kept, key=lambda each: each.called), len(left.after[AFTERWARDS:])


def _call(text: str, operation: Operation, place: int | None) -> Call:
    return Call(
        process=operation.process,
        text=text,
        asked=_json(operation.value),
        answered=None if operation.returned is None else _json(operation.response),
        called=operation.called,
        returned=operation.returned,
        called_ns=operation.called_ns,
        returned_ns=operation.returned_ns,
        place=place,
    )


def _moments(
    spec: Spec[S], states: Sequence[S], kept: Sequence[Operation], order: Sequence[int]
) -> Iterator[Moment]:
    left: Mapping[int, Operation] = dict(enumerate(kept))
    for place, state in enumerate(states):
        yield Moment(one_line(repr(state)), tuple(_candidates(spec, state, left)))
        if place < len(order):
            left = {number: each for number, each in left.items() if number != order[place]}


def _candidates(spec: Spec[S], state: S, left: Mapping[int, Operation]) -> Iterator[Candidate]:
    """What was called before the next response: no other operation was over by then."""
    returns = [operation.returned for operation in left.values() if operation.returned is not None]
    if not returns:
        return
    horizon = min(returns)
    unanswered = 0
    for number, operation in left.items():
        unanswered += operation.returned is None
        if operation.called < horizon and (operation.returned is not None or unanswered <= _UNANSWERED):
            fits = bool(spec.step(state, operation))
            expected = "" if operation.returned is None else one_line(spec.expected(state, operation))
            yield Candidate(number, expected, fits)


def _json(value: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "..."
