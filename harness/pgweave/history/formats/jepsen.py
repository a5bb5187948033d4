"""Reads what a Jepsen test of compare-and-set registers writes: its log, `history.txt` and `history.edn`.

An operation of a log is ``PROCESS :TYPE :F VALUE``, alone on its line or after what a logger puts before it
(``INFO  jepsen.util -``, an instant, a thread's name); an error may stand after the value. An operation of
`history.edn` is a map, ``{:process 0, :type :invoke, :f :read, :value nil}``, with its keys in any order.

- Operations of the nemesis are left out: they are no client's. So are lines of a log that have no operation.
- What a `:fail` or an `:info` says of a value does not matter.
- A value ``[K V]``, for a compare-and-set ``[K [FROM TO]]``, is one of the register K of several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from pgweave.history.formats import edn
from pgweave.history.formats.edn import EdnError, Form, Keyword, Map, Tagged
from pgweave.history.operations import Event, History, HistoryError, Json, lines_of, pair

Kind: TypeAlias = Literal["invoke", "ok", "fail", "unknown"]

_KINDS: Mapping[str, Kind] = {"invoke": "invoke", "ok": "ok", "fail": "fail", "info": "unknown"}
_NEMESIS = Keyword("nemesis")
_KNOWN = "read nil|N, write N, cas [N N]"
_NAME = r"""[^\s,;"()\[\]{}]+"""
_OPERATION = re.compile(
    r"(?P<prefix>\s*INFO\s+jepsen\.util\s+-\s+||.*?\s)"
    rf"(?P<process>-?\d{{1,18}}|:nemesis|:{_NAME}(?=\s+:(?:invoke|ok|fail|info)\s))"
    rf"\s+:(?P<kind>{_NAME})\s+:(?P<f>{_NAME})(?P<rest>\s.*)?",
    re.ASCII,
)
_MEANT_AS_ONE = re.compile(
    r"\s*(-?\d+|:\S+)(\s+:.*|\s*)|.*\bjepsen\.util\b.*|(.*\s)?:(invoke|ok|fail|info)(\s+:.*|\s*)", re.ASCII
)


class _Argument(NamedTuple):
    """What is read, written, or compared and set; the register's key where there are several."""

    content: Json
    key: Json = None


@dataclass(frozen=True, slots=True)
class _Said:
    """What an invocation or a completion says, whoever's it is."""

    kind: Kind
    f: str
    argument: _Argument
    json: Json
    of: Form


Entry: TypeAlias = "tuple[int, Form, _Said | None, Form]"
"""An invocation or a completion: its line, whose it is, what it says, unless the nemesis does, and when."""


@dataclass(slots=True)
class _Clients:
    """Makes events of entries, and refuses those of which it is open what they mean."""

    _invoked: dict[int, _Said] = field(default_factory=dict)
    _first: _Argument | None = None

    def event(self, process: Form, said: _Said, time: Form) -> Event:
        """The event of a client's entry.

        Raises:
            HistoryError: it is none of a test of registers; says what was wrong.
        """
        if type(process) is not int or process < 0:
            raise HistoryError(f"process {edn.shown(process)} is neither a number nor {edn.shown(_NEMESIS)}")
        kind = said.kind
        if kind == "invoke":
            self._require_as_many_registers(said)
            self._invoked[process] = said
        else:
            asked = self._invoked.pop(process, said)
            if kind == "ok":
                self._require_as_many_registers(said)
                _require_what_was_asked(asked, said)
        return Event(kind, process, said.f, said.json, time if type(time) is int else None)

    def _require_as_many_registers(self, said: _Said) -> None:
        first = self._first = self._first or said.argument
        if (said.argument.key is None) != (first.key is None):
            others = "one register" if first.key is None else "several registers, [K V]"
            raise HistoryError(f"{said.f} {edn.shown(said.of)}: the operations before are of {others}")


def _require_what_was_asked(asked: _Said, answered: _Said) -> None:
    """An answer is to what was asked. A read may say in advance what it will have read."""
    f, expected, argument = answered.f, asked.argument, answered.argument
    if f != asked.f:
        return
    if f == "read" and expected.content is None:
        expected = _Argument(argument.content, expected.key)
    if argument != expected:
        raise HistoryError(
            f"{f} is invoked with {_json(expected)!r} and answers {_json(argument)!r}: which was it?"
        )


def _said(kind: str, f: str, value: Form) -> _Said:
    """What an entry says.

    Raises:
        HistoryError: nothing that one of a test of registers does; says what was wrong.
    """
    known = _KINDS.get(kind)
    if known is None:
        raise HistoryError(f"type {kind!r} is none of {', '.join(_KINDS)}")
    try:
        argument = _argument(f, value)
    except ValueError:
        if known in ("invoke", "ok") or f not in _COMMANDS:
            raise HistoryError(f"{f!r} {edn.shown(value)!r} is none of {_KNOWN}") from None
        argument = _Argument(None)
    told = _Argument(None, argument.key) if f == "read" and known != "ok" else argument
    return _Said(known, f, argument, _json(told), value)


def _json(argument: _Argument) -> Json:
    return argument.content if argument.key is None else {"key": argument.key, "value": argument.content}


def _name(form: Form) -> str:
    return form.name if isinstance(form, Keyword) else edn.shown(form)


def _argument(f: str, form: Form) -> _Argument:
    """What an operation's value says.

    Raises:
        ValueError: nothing that such a command takes.
    """
    of_one = _COMMANDS.get(f)
    if of_one is None:
        raise ValueError(f)
    try:
        return _Argument(of_one(form))
    except ValueError:
        if not isinstance(form, tuple) or len(form) != 2 or form[0] is None:
            raise
        return _Argument(of_one(form[1]), _content(form[0]))


def _content(form: Form) -> Json:
    """A register's content, or its key."""
    if form is None or isinstance(form, str) or type(form) is int:
        return form
    if isinstance(form, Keyword):
        return edn.shown(form)
    raise ValueError(form)


def _contents(form: Form) -> Json:
    if not isinstance(form, tuple) or len(form) != 2:
        raise ValueError(form)
    return [_content(form[0]), _content(form[1])]


_COMMANDS: Mapping[str, Callable[[Form], Json]] = {"read": _content, "write": _content, "cas": _contents}


def _events(entries: Iterable[Entry], source: str) -> Iterator[tuple[int, Event]]:
    clients = _Clients()
    for number, process, said, time in entries:
        if said is None:
            continue
        try:
            event = clients.event(process, said, time)
        except HistoryError as error:
            raise HistoryError(f"{source}:{number}: {error}") from None
        yield number, event


# ---- logs ----------------------------------------------------------------------------------------


def is_log(data: bytes) -> bool:
    """Whether a line has an operation, or was to have one."""
    lines = (line.decode(errors="backslashreplace") for _, line in lines_of(data.split(b"\n")))
    return any(_OPERATION.fullmatch(line) or _MEANT_AS_ONE.fullmatch(line) for line in lines)


def parse_jepsen(data: bytes, source: str) -> History:
    """Read a Jepsen test's log, or its `history.txt`.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `cas-register` specification.

    Raises:
        HistoryError: The bytes are not such a log; says the line and what was wrong.
    """
    entries = list(_log_entries(data, source))
    if not entries:
        raise HistoryError(f"{source}: no line reads `INFO  jepsen.util - PROCESS :TYPE :F VALUE`")
    return _history(entries, source, "jepsen")


def _log_entries(data: bytes, source: str) -> Iterator[Entry]:
    stands_alone = False
    others: list[int] = []
    for number, line in lines_of(data.split(b"\n")):
        text = line.decode(errors="backslashreplace")
        found = _OPERATION.fullmatch(text.rstrip())
        if found is not None:
            prefix, process, kind, f, rest = found.groups()
            stands_alone |= not prefix.strip()
            try:
                said = None if process == ":nemesis" else _said_in_log(kind, f, rest or "")
            except HistoryError as error:
                raise HistoryError(f"{source}:{number}: {error}") from None
            who: Form = Keyword(process[1:]) if process.startswith(":") else int(process)
            yield number, who, said, None
        elif _MEANT_AS_ONE.fullmatch(text):
            raise HistoryError(
                f"{source}:{number}: {text.strip()!r} lacks something of PROCESS :TYPE :F VALUE"
            )
        else:
            others.append(number)
        if stands_alone and others:
            raise HistoryError(
                f"{source}:{others[0]}: no operation, and in this file operations stand alone on their lines"
            )


@lru_cache(maxsize=1_024)  # registers hold few values: most lines of a log say what others have said
def _said_in_log(kind: str, f: str, rest: str) -> _Said:
    # what comes with a failure is free text
    value = _value_of_failure if kind in ("fail", "info") else _value
    return _said(kind, f, value(rest.strip()))


def _value(text: str) -> Form:
    found = list(islice(edn.forms(text), 2))
    if len(found) != 1:
        raise HistoryError(f"{text[:60]!r} is not one value")
    return found[0][1]


def _value_of_failure(text: str) -> Form:
    try:
        return next((form for _, form in edn.forms(text)), None)
    except EdnError:
        return None


# ---- history.edn ---------------------------------------------------------------------------------


def parse_edn(data: bytes, source: str) -> History:
    """Read a Jepsen test's `history.edn`: maps, or a vector of maps.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `cas-register` specification.

    Raises:
        HistoryError: The bytes are not such a history; says the line and what was wrong.
    """
    return _history(_edn_entries(edn.elements_of_file(data, source), source), source, "edn")


def _edn_entries(elements: Iterable[tuple[int, Form]], source: str) -> Iterator[Entry]:
    last = -1
    for number, form in elements:
        op = form.form if isinstance(form, Tagged) and form.tag.startswith("jepsen.") else form
        if not isinstance(op, Map):
            raise HistoryError(f"{source}:{number}: {edn.shown(form)[:60]} is no operation")
        missing = [name for name in ("process", "type", "f") if op.get(name) is None]
        if missing:
            raise HistoryError(f"{source}:{number}: the operation has no :{missing[0]}")
        index = op.get("index")
        if type(index) is int and index <= last:
            raise HistoryError(f"{source}:{number}: its :index is {index}, and one before it has {last}")
        last = index if type(index) is int else last
        try:
            who = op.get("process")
            said = None if who == _NEMESIS else _said_in_edn(op)
        except HistoryError as error:
            raise HistoryError(f"{source}:{number}: {error}") from None
        yield number, who, said, op.get("time")


def _said_in_edn(op: Map) -> _Said:
    return _said(_name(op.get("type")), _name(op.get("f")), op.get("value"))


def _history(entries: Iterable[Entry], source: str, format_name: str) -> History:
    return pair(_events(entries, source), source, "cas-register", format_name)
