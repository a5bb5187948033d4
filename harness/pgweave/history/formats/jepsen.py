"""What the entries of a Jepsen test of compare-and-set registers mean, in its log as in its `history.edn`.

- Operations of the nemesis are left out: they are no client's.
- What a `:fail` or an `:info` says of a value does not matter.
- A value ``[K V]``, for a compare-and-set ``[K [FROM TO]]``, is one of the register K of several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from pgweave.history.formats import edn
from pgweave.history.formats.edn import Form, Keyword
from pgweave.history.operations import History, HistoryError, Json
from pgweave.history.pairing import Event, EventType, pair

_KINDS: Mapping[str, EventType] = {"invoke": "invoke", "ok": "ok", "fail": "fail", "info": "unknown"}
NEMESIS = Keyword("nemesis")
_KNOWN = "read nil|N, write N, cas [N N]"


class _Argument(NamedTuple):
    """What is read, written, or compared and set; the register's key where there are several."""

    content: Json
    key: Json = None


@dataclass(frozen=True, slots=True)
class Said:
    """What an invocation or a completion says, whoever's it is."""

    kind: EventType
    f: str
    argument: _Argument
    json: Json
    of: Form


Entry: TypeAlias = "tuple[int, Form, Said | None, Form]"
"""An invocation or a completion: its line, whose it is, what it says, unless the nemesis does, and when."""


@dataclass(slots=True)
class _Clients:
    """Makes events of entries, and refuses those of which it is open what they mean."""

    _invoked: dict[int, Said] = field(default_factory=dict)
    _first: _Argument | None = None

    def event(self, process: Form, said: Said, time: Form) -> Event:
        """The event of a client's entry.

        Raises:
            HistoryError: it is none of a test of registers; says what was wrong.
        """
        if type(process) is not int or process < 0:
            raise HistoryError(f"process {edn.shown(process)} is neither a number nor {edn.shown(NEMESIS)}")
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

    def _require_as_many_registers(self, said: Said) -> None:
        first = self._first = self._first or said.argument
        if (said.argument.key is None) != (first.key is None):
            others = "one register" if first.key is None else "several registers, [K V]"
            raise HistoryError(f"{said.f} {edn.shown(said.of)}: the operations before are of {others}")


def _require_what_was_asked(asked: Said, answered: Said) -> None:
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


def said_by(kind: str, f: str, value: Form) -> Said:
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
    return Said(known, f, argument, _json(told), value)


def _json(argument: _Argument) -> Json:
    return argument.content if argument.key is None else {"key": argument.key, "value": argument.content}


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


def history_of(entries: Iterable[Entry], source: str, format_name: str) -> History:
    """The history of what the entries of a file say; raises `HistoryError` where that is none."""
    return pair(_events(entries, source), source, "cas-register", format_name)
