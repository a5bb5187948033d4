"""Histories: what clients of a service saw, as invocations and responses in real-time order.

A history is written as JSON Lines, one event a line. The order of the lines is the order of real time: an
operation whose response stands above another's invocation happened before it. The first line may be a
header::

    {"format": "pgweave-history", "version": 1, "spec": "kv"}
    {"type": "invoke", "process": 0, "f": "put", "value": {"key": "a", "value": "1"}, "time": 1000}
    {"type": "invoke", "process": 1, "f": "get", "value": {"key": "a"}, "time": 1400}
    {"type": "ok", "process": 1, "f": "get", "value": {"key": "a", "value": "1"}, "time": 2100}
    {"type": "unknown", "process": 0, "f": "put", "value": null, "time": 9000}

`process` is one client that waits for each response before its next invocation. `value` is any JSON value
(null if left out), and means what the `Spec` says. `time` is nanoseconds of a monotonic clock; it is for
readers, no verdict depends on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value, as `json` and `msgspec` decode it."""

FORMAT_NAME = "pgweave-history"
_FORMAT_NAMES = "-history"  # a file may name the tool that recorded it
FORMAT_VERSION = 1

_T = TypeVar("_T")


class HistoryError(ValueError):
    """A history that cannot be read or recorded; the message says where, and what was wrong."""


class Outcome(StrEnum):
    """What the client learned about its operation.

    Attributes:
        OK: A definite answer: the operation took effect, between its invocation and its response.
        FAIL: A definite refusal. What it says of the state it was given in is for the `Spec` to say.
        UNKNOWN: No answer (a timeout, a lost connection, the end of the recording). The operation may take
            effect at any point after its invocation, or never.
    """

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


_OUTCOMES = {each.value: each for each in Outcome}


@dataclass(frozen=True, slots=True)
class Operation:
    """One invocation together with its response.

    Attributes:
        process: The client. It has at most one operation open at a time.
        f: The name of the command, such as `write` or `read`.
        value: The argument of the invocation.
        outcome: What the client learned.
        response: The content of the response; None when the outcome is unknown.
        called: The position of the invocation among the events of the history.
        returned: The position of the response, or None when the outcome is unknown: then the operation is
            open to the end.
        called_ns: When it was called, in ns of a monotonic clock, where the file says so. For readers alone:
            operations that differ in nothing else are equal.
        returned_ns: When its response came, likewise.
    """

    process: int
    f: str
    value: Json
    outcome: Outcome
    response: Json
    called: int
    returned: int | None
    called_ns: int | None = field(default=None, compare=False)
    returned_ns: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.UNKNOWN) != (self.returned is None):
            raise HistoryError(
                "an operation has no return position exactly when its outcome is unknown: "
                f"{self.outcome}, {self.returned}"
            )
        if self.returned is not None and self.returned <= self.called:
            raise HistoryError(f"a response comes after its invocation: {self.called}, {self.returned}")


@dataclass(frozen=True, slots=True)
class History:
    """The operations of one recording, in the order of their invocations.

    Attributes:
        operations: The operations.
        spec: The name of the specification it was recorded for, where the file says so.
        format: The file format it was read from.
        lines: The line that each event stands on, from 1, where it was read from a file.
    """

    operations: tuple[Operation, ...]
    spec: str | None = None
    format: str = "ours"
    lines: tuple[int, ...] = field(default=(), compare=False)


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a history: an invocation, or the response to the open invocation of its process."""

    type: Literal["invoke", "ok", "fail", "unknown"]
    process: Annotated[int, msgspec.Meta(ge=0)]
    f: Annotated[str, msgspec.Meta(min_length=1)]
    value: Any = None
    time: int | None = None


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optional first line of a history."""

    format: str
    version: int
    spec: str | None = None


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


def lines_of(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank, each with its number from 1."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def parse(data: bytes, source: str) -> History:
    """Read a history in the format of this module.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history.

    Raises:
        HistoryError: The bytes are not such a history; says the line and what was wrong.
    """
    return parse_lines(data.split(b"\n"), source)


def parse_lines(lines: Iterable[bytes], source: str) -> History:
    """Read a history in the format of this module from lines that come one after the other.

    Args:
        lines: The lines of the file.
        source: The name of the file, for messages.

    Returns:
        The history.

    Raises:
        HistoryError: The lines are not such a history; says the line and what was wrong.
    """
    numbered = lines_of(lines)
    number, first = next(numbered, (0, b""))
    if not first:
        raise HistoryError(f"{source}: the file is empty; a history has a header or at least one event")
    header = None
    if _is_header(first):
        header = _decode(first, _HEADER, f"{source}:{number}")
        _require_supported(header, f"{source}:{number}")
    else:
        numbered = chain([(number, first)], numbered)
    events = ((number, _decode(line, _EVENT, f"{source}:{number}")) for number, line in numbered)
    return pair(events, source, header.spec if header else None)


def _is_header(line: bytes) -> bool:
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "format" in content


def _require_supported(header: Header, where: str) -> None:
    if not header.format.endswith(_FORMAT_NAMES):
        raise HistoryError(f"{where}: the header's format is {header.format!r}; expected {FORMAT_NAME!r}")
    if header.version != FORMAT_VERSION:
        raise HistoryError(
            f"{where}: version {header.version} is not supported; this reads version {FORMAT_VERSION}"
        )


def _decode(line: bytes, decoder: msgspec.json.Decoder[_T], where: str) -> _T:
    try:
        decoded = decoder.decode(line)
        # msgspec keeps the last of two equal members in silence; a line that it writes so too has none
        if msgspec.json.encode(msgspec.json.decode(line)) != line.rstrip():
            _DISTINCT.decode(line.decode())
    except RecursionError:
        raise HistoryError(f"{where}: the JSON is nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise HistoryError(f"{where}: not a valid {decoder.type.__name__.lower()}: {error}") from None
    return decoded


def _require_distinct(members: list[tuple[str, Any]]) -> None:
    if len(dict(members)) == len(members):
        return
    twice, _ = Counter(name for name, _ in members).most_common(1)[0]
    raise ValueError(f"the member {twice!r} stands twice in an object")


_EVENT, _HEADER = msgspec.json.Decoder(Event), msgspec.json.Decoder(Header)
_DISTINCT = json.JSONDecoder(object_pairs_hook=_require_distinct)
