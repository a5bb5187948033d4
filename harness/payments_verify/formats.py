"""Reads history files: our own format, and two that other checkers' test data is written in.

- `ours`: JSON Lines, see `payments_verify.history`.
- `jepsen`: the log of a Jepsen test of one compare-and-set register. Only lines `INFO  jepsen.util - PROCESS
  :TYPE :F VALUE` count. A `:fail` read timed out and says nothing; an `:info` operation's outcome is unknown.
  Maps to `cas-register`.
- `porcupine`: the key-value logs among the test data of the porcupine checker, one map in EDN syntax a line.
  Maps to `kv`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from payments_verify.history import Event, History, HistoryError, Json, lines_of, pair, parse

Kind: TypeAlias = Literal["invoke", "ok", "fail", "unknown"]

_JEPSEN = re.compile(r"\s*INFO\s+jepsen\.util\s+-\s+(\d{1,18})\s+:(\S+)\s+:(\S+)\s+(.*?)\s*", re.ASCII)
_JEPSEN_TYPES: dict[str, Kind] = {"invoke": "invoke", "ok": "ok", "fail": "fail", "info": "unknown"}
_JEPSEN_CONTENT = r"(nil|-?\d{1,18})"
_JEPSEN_VALUES = {
    "read": re.compile(_JEPSEN_CONTENT, re.ASCII),
    "write": re.compile(_JEPSEN_CONTENT, re.ASCII),
    "cas": re.compile(rf"\[{_JEPSEN_CONTENT}\s+{_JEPSEN_CONTENT}\]", re.ASCII),
}
_PORCUPINE = re.compile(
    r"\s*\{:process (\d{1,18}), :type :(invoke|ok), :f :(get|put|append), "
    r':key ("(?:[^"\\]|\\.)*"), :value (nil|"(?:[^"\\]|\\.)*")\}\s*',
    re.ASCII,
)


def _jepsen_match(line: bytes) -> re.Match[str] | None:
    return _JEPSEN.fullmatch(line.decode(errors="backslashreplace"))


def _jepsen_content(text: str) -> int | None:
    return None if text == "nil" else int(text)


def _jepsen_value(f: str, text: str) -> Json:
    if text == ":timed-out":
        return None
    found = _JEPSEN_VALUES[f].fullmatch(text) if f in _JEPSEN_VALUES else None
    if found is None:
        raise HistoryError(f"{f!r} {text!r} is none of read nil|N, write N, cas [N N]")
    contents = [_jepsen_content(group) for group in found.groups()]
    return contents if f == "cas" else contents[0]


def _jepsen_events(data: bytes, source: str) -> Iterator[tuple[int, Event]]:
    for number, line in lines_of(data):
        found = _jepsen_match(line)
        if found is None:
            continue
        process, kind, f, text = found.groups()
        if kind not in _JEPSEN_TYPES:
            raise HistoryError(f"{source}:{number}: type {kind!r} is none of invoke, ok, fail, info")
        try:
            value = _jepsen_value(f, text)
        except HistoryError as error:
            raise HistoryError(f"{source}:{number}: {error}") from None
        yield number, Event(_JEPSEN_TYPES[kind], int(process), f, value)


def parse_jepsen(data: bytes, source: str) -> History:
    """Read the log of a Jepsen test of one compare-and-set register.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `cas-register` specification.

    Raises:
        HistoryError: The bytes are not such a log; says the line and what was wrong.
    """
    operations = pair(_jepsen_events(data, source), source)
    if not operations:
        raise HistoryError(f"{source}: no line reads `INFO  jepsen.util - PROCESS :TYPE :F VALUE`")
    return History(operations, spec="cas-register", format="jepsen")


def _edn_string(text: str) -> str:
    # the escapes of an EDN string that these logs use are those of JSON
    content = json.loads(text, strict=False)
    assert isinstance(content, str)
    return content


def _porcupine_event(line: bytes) -> Event:
    found = _PORCUPINE.fullmatch(line.decode("utf-8"))
    if found is None:
        raise HistoryError(
            'expected {:process P, :type :invoke|:ok, :f :get|:put|:append, :key "K", :value nil|"V"}'
        )
    process, kind, f, key, text = found.groups()
    value: dict[str, Json] = {"key": _edn_string(key)}
    if text != "nil":
        value["value"] = _edn_string(text)
    return Event("invoke" if kind == "invoke" else "ok", int(process), f, value)


def _porcupine_events(data: bytes, source: str) -> Iterator[tuple[int, Event]]:
    for number, line in lines_of(data):
        try:
            yield number, _porcupine_event(line)
        except ValueError as error:  # also bytes that are not UTF-8, and escapes that JSON does not know
            raise HistoryError(f"{source}:{number}: {error}") from None


def parse_porcupine(data: bytes, source: str) -> History:
    """Read a key-value log of porcupine's test data.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `kv` specification.

    Raises:
        HistoryError: The bytes are not such a log; says the line and what was wrong.
    """
    return History(pair(_porcupine_events(data, source), source), spec="kv", format="porcupine")


FORMATS: dict[str, Callable[[bytes, str], History]] = {
    "ours": parse,
    "jepsen": parse_jepsen,
    "porcupine": parse_porcupine,
}
"""The reader of every format, by its name."""


def detect(data: bytes, source: str) -> str:
    """Tell the format of a file by its content.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        A key of `FORMATS`.

    Raises:
        HistoryError: The content is like none of them.
    """
    start = data.lstrip()[:64]
    if re.match(rb'\{\s*["}]', start):
        return "ours"
    if start.startswith(b"{:"):
        return "porcupine"
    if any(_jepsen_match(line) for _, line in lines_of(data)):
        return "jepsen"
    what = "the file is empty" if not start else f"the content starts with {start[:20]!r}"
    raise HistoryError(f"{source}: {what}; it is like no history format ({', '.join(FORMATS)})")


def load(path: Path, format_name: str | None = None) -> History:
    """Read a history file.

    Args:
        path: The file.
        format_name: A key of `FORMATS`, or None to tell by the content.

    Returns:
        The history.

    Raises:
        HistoryError: The file is not a history of that format; says the line and what was wrong.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    return FORMATS[format_name or detect(data, str(path))](data, str(path))
