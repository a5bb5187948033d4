"""Our own format of histories: JSON Lines, one event a line, an invocation or a response.

The order of the lines is the order of real time: an operation whose response stands above another's
invocation happened before it. The first line may be a header::

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
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

import msgspec

from pgweave.history.operations import History, HistoryError, Operation
from pgweave.history.pairing import Event, pair

FORMAT_NAME = "pgweave-history"
_FORMAT_NAMES = "-history"  # a file may name the tool that recorded it
FORMAT_VERSION = 1

_T = TypeVar("_T")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optional first line of a history."""

    format: str
    version: int
    spec: str | None = None


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


def written(operations: Iterable[Operation], spec: str) -> bytes:
    """Operations as the content of a file; their events in the order of their positions."""
    events: list[tuple[int, Event]] = []
    for each in operations:
        events.append((each.called, Event("invoke", each.process, each.f, each.value, each.called_ns)))
        if each.returned is not None:
            answered = Event(each.outcome.value, each.process, each.f, each.response, each.returned_ns)
            events.append((each.returned, answered))
    events.sort(key=lambda pair: pair[0])
    lines = [Header(FORMAT_NAME, FORMAT_VERSION, spec), *(event for _, event in events)]
    # A value may be larger than msgspec writes.
    return "".join(f"{json.dumps(msgspec.to_builtins(line))}\n" for line in lines).encode()


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
