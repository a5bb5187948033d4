"""Pairs the responses of a history with their invocations, as they come in real time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from pgweave.history.operations import History, HistoryError, Operation, Outcome

EventType: TypeAlias = Literal["invoke", "ok", "fail", "unknown"]

_OUTCOMES = {each.value: each for each in Outcome}


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a history: an invocation, or the response to the open invocation of its process."""

    type: EventType
    process: Annotated[int, msgspec.Meta(ge=0)]
    f: Annotated[str, msgspec.Meta(min_length=1)]
    value: Any = None
    time: int | None = None


@dataclass(slots=True)
class Pairing:
    """Pairs responses with invocations, and refuses events that no waiting client can produce."""

    _open: dict[int, tuple[Event, int]] = field(default_factory=dict)
    _retired: set[int] = field(default_factory=set)
    _operations: list[Operation] = field(default_factory=list)
    _events: int = 0

    def add(self, event: Event) -> None:
        """Take the next event in real time.

        Args:
            event: The event.

        Raises:
            HistoryError: No client that waits for its responses can produce this event here.
        """
        if event.type == "invoke":
            self._invoke(event, self._events)
        else:
            self._respond(event, self._events)
        self._events += 1

    def open_command(self, process: int) -> str:
        """Return the name of the command that the process waits for.

        Args:
            process: The client.

        Raises:
            HistoryError: The process has no open invocation.
        """
        if process not in self._open:
            raise HistoryError(f"process {process} has no open invocation to respond to")
        return self._open[process][0].f

    def _invoke(self, event: Event, position: int) -> None:
        if event.process in self._retired:
            raise HistoryError(
                f"process {event.process} is used again after an unknown outcome; "
                "give the client a new process number"
            )
        if event.process in self._open:
            pending = self._open[event.process][0].f
            raise HistoryError(
                f"process {event.process} invokes {event.f!r} while its {pending!r} is still open"
            )
        self._open[event.process] = (event, position)

    def _respond(self, event: Event, position: int) -> None:
        invoked = self.open_command(event.process)
        if invoked != event.f:
            raise HistoryError(f"process {event.process} invoked {invoked!r} but this answers {event.f!r}")
        invocation, called = self._open.pop(event.process)
        if event.type == "unknown":
            self._retired.add(event.process)
            self._operations.append(_unanswered(invocation, called))
        else:
            outcome = _OUTCOMES[event.type]
            operation = Operation(
                event.process,
                event.f,
                invocation.value,
                outcome,
                event.value,
                called,
                position,
                invocation.time,
                event.time,
            )
            self._operations.append(operation)

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations so far, by invocation; what has no response yet is unknown."""
        unanswered = [_unanswered(event, called) for event, called in self._open.values()]
        return tuple(sorted([*self._operations, *unanswered], key=lambda operation: operation.called))


def _unanswered(invocation: Event, called: int) -> Operation:
    return Operation(
        invocation.process,
        invocation.f,
        invocation.value,
        Outcome.UNKNOWN,
        None,
        called,
        returned=None,
        called_ns=invocation.time,
    )


def pair(
    events: Iterable[tuple[int, Event]], source: str, spec: str | None = None, format_name: str = "ours"
) -> History:
    """Pair the events of a file into operations.

    Args:
        events: Line numbers, from 1, and events, in real-time order.
        source: The name of the file, for messages.
        spec: The name of the specification, where the file or its format says so.
        format_name: The format of the file.

    Returns:
        The history.

    Raises:
        HistoryError: The events are not those of clients that wait for their responses, or there are none;
            says which line.
    """
    pairing = Pairing()
    lines = []
    for number, event in events:
        lines.append(number)
        try:
            pairing.add(event)
        except HistoryError as error:
            raise HistoryError(f"{source}:{number}: {error}") from None
    if not lines:
        raise HistoryError(f"{source}: it has no operation of a client")
    return History(pairing.operations(), spec, format_name, tuple(lines))
