"""Reads the key-value logs among the test data of the porcupine checker: a map in EDN a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pgweave.history.formats import edn
from pgweave.history.formats.edn import Form, Keyword, Map
from pgweave.history.json_lines import lines_of
from pgweave.history.operations import History, HistoryError, Json
from pgweave.history.pairing import Event, pair

_KINDS: dict[Form, str] = {Keyword("invoke"): "invoke", Keyword("ok"): "ok"}
_COMMANDS: dict[Form, str] = {Keyword(f): f for f in ("get", "put", "append")}
_USUAL = re.compile(
    r"\{:process (0|[1-9]\d{0,17}), :type :(?:invoke|(ok)), :f :(get|put|append),"
    r' :key "([^"\\\ud800-\udfff]*)", :value (?:nil|"([^"\\\ud800-\udfff]*)")\}',
    re.ASCII,
)


def parse_porcupine(data: bytes, source: str) -> History:
    """Read such a log.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `kv` specification.

    Raises:
        HistoryError: The bytes are not such a log; says the line and what was wrong.
    """
    return pair(_as_asked(_events(data, source), source), source, "kv", "porcupine")


def _as_asked(events: Iterable[tuple[int, Event]], source: str) -> Iterator[tuple[int, Event]]:
    """The same events. An answer names the key that was asked for, and what was put, if it says it."""
    asked: dict[int, Event] = {}
    for number, event in events:
        if event.type == "invoke":
            asked[event.process] = event
        else:
            invoked, answer = asked.get(event.process, event), event.value
            says_value = event.f != "get" and "value" in answer
            expected = invoked.value if says_value else {"key": invoked.value["key"]}
            if invoked.f == event.f and answer | expected != answer:
                raise HistoryError(
                    f"{source}:{number}: {event.f} is invoked with {invoked.value!r}"
                    f" and answers {answer!r}: which was it?"
                )
        yield number, event


def _events(data: bytes, source: str) -> Iterator[tuple[int, Event]]:
    usual = _usual_events(data)
    if usual is not None:
        yield from usual
        return
    for number, form in edn.elements_of_file(data, source):
        event = _event(form)
        if event is None:
            raise HistoryError(
                f"{source}:{number}: expected "
                '{:process P, :type :invoke|:ok, :f :get|:put|:append, :key "K", :value nil|"V"}'
            )
        yield number, event


def _usual_events(data: bytes) -> list[tuple[int, Event]] | None:
    """The events where each line is as porcupine writes it; `edn` reads the same, in more time."""
    events = []
    for number, line in lines_of(data.split(b"\n")):
        found = _USUAL.fullmatch(line.decode(errors="surrogateescape"))
        if found is None:
            return None
        process, is_ok, f, key, value = found.groups()
        content = {"key": key} if value is None else {"key": key, "value": value}
        events.append((number, Event("ok" if is_ok else "invoke", int(process), f, content)))
    return events


def _event(form: Form) -> Event | None:
    if not isinstance(form, Map):
        return None
    process, kind, f = form.get("process"), _KINDS.get(form.get("type")), _COMMANDS.get(form.get("f"))
    key, value = form.get("key"), form.get("value")
    if type(process) is not int or process < 0 or kind is None or f is None or not isinstance(key, str):
        return None
    if not isinstance(value, str | None):
        return None
    content: dict[str, Json] = {"key": key} if value is None else {"key": key, "value": value}
    return Event("invoke" if kind == "invoke" else "ok", process, f, content)
