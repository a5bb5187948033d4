"""What TLC says in its tool mode: numbered messages between marks, and whatever a specification prints.

The numbers are those of TLC's own table of messages (``tlc2.output.EC``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lab.tla.values import Value, parse

_START = re.compile(r"@!@!@STARTMSG (\d+):(\d+) @!@!@")
_END = "@!@!@ENDMSG"
_STATE = re.compile(r"\d+: <(\w+)[^>]*>\n(.*)", re.DOTALL)
_VARIABLE = re.compile(r"^/\\ (\w+) = ", re.MULTILINE)
_COUNTS = re.compile(r"([\d,]+) states generated, ([\d,]+) distinct states found")
_NAME = re.compile(r"(?:Invariant|[Pp]roperty) (\w+) is violated")
_LINE = re.compile(r"property line (\d+)")

_FINISHED = 2193
_STATE_PRINTED = 2217
_COUNTED = 2199
_DEPTH = 2194
_VIOLATIONS: Mapping[int, str] = {
    2107: "an invariant does not hold initially",
    2110: "an invariant is violated",
    2112: "an action property is violated",
    2114: "deadlock",
    2116: "a temporal property is violated",
}
_ERROR_CLASS = 1


@dataclass(frozen=True)
class TracedState:
    """A state of a counterexample.

    Attributes:
        action: the name of the action that led to it; ``Initial`` for the first.
        variables: the value of each variable.
    """

    action: str
    variables: Mapping[str, Value]


@dataclass(frozen=True)
class Found:
    """What TLC found.

    Attributes:
        states: distinct states.
        generated: states generated, the initial ones included: one more than transitions, for one of them.
        depth: states on the longest of the shortest ways, both ends included.
        violated: the violated property's name, or ``deadlock``; ``None`` if nothing is.
        trace: the counterexample, from an initial state.
        error: why there is no verdict; ``None`` if there is one.
    """

    states: int = 0
    generated: int = 0
    depth: int = 0
    violated: str | None = None
    trace: tuple[TracedState, ...] = ()
    error: str | None = None


@dataclass
class Listener:
    """Takes TLC's output line by line."""

    printed: list[str] = field(default_factory=list)
    _messages: list[tuple[int, int, str]] = field(default_factory=list)
    _stray: list[str] = field(default_factory=list)
    _open: list[tuple[int, int, list[str]]] = field(default_factory=list)

    def take(self, line: str) -> str | None:
        """Take a line; returned if it is a string that the specification has printed."""
        if found := _START.match(line):
            self._open.append((int(found[1]), int(found[2]), []))
        elif line.startswith(_END):
            if self._open:
                code, kind, lines = self._open.pop()
                self._messages.append((code, kind, "\n".join(lines)))
        elif line.startswith('"'):
            return line
        elif self._open:
            self._open[-1][2].append(line)
        else:
            self._stray.append(line)
        return None

    def found(self) -> Found:
        """What the output amounts to."""
        texts: dict[int, str] = {}
        for code, _, text in self._messages:
            texts.setdefault(code, text)
        states, generated = _counts(texts.get(_COUNTED, ""))
        violated = next((_violated(code, texts[code]) for code in _VIOLATIONS if code in texts), None)
        return Found(
            states=states,
            generated=generated,
            depth=int(match[0]) if (match := re.search(r"\d+", texts.get(_DEPTH, ""))) else 0,
            violated=violated,
            trace=tuple(self._trace()) if violated is not None else (),
            error=None if violated is not None or _FINISHED in texts else self._errors(),
        )

    def _trace(self) -> Iterator[TracedState]:
        for code, _, text in self._messages:
            if code == _STATE_PRINTED and (found := _STATE.match(text)):
                yield TracedState(found[1], dict(_variables(found[2])))

    def _errors(self) -> str:
        errors = [text for _, kind, text in self._messages if kind == _ERROR_CLASS]
        # What is wrong with a module, its parser says outside of any message.
        stray = [
            line
            for line in self._stray
            if line.strip() and not line.startswith(("Parsing", "Semantic processing"))
        ]
        return "\n".join([*errors, *stray]) or "TLC ended without a verdict"


def _counts(text: str) -> tuple[int, int]:
    found = _COUNTS.search(text)
    if found is None:
        return 0, 0
    generated, states = (int(each.replace(",", "")) for each in found.groups())
    return states, generated


def _violated(code: int, text: str) -> str:
    found = _NAME.search(text)
    if found is not None:
        return found[1]
    line = _LINE.search(text)
    return _VIOLATIONS[code] if line is None else f"{_VIOLATIONS[code]}, line {line[1]}"


def _variables(text: str) -> Iterator[tuple[str, Value]]:
    parts = _VARIABLE.split(text)
    for name, value in zip(parts[1::2], parts[2::2], strict=True):
        yield name, parse(value)
