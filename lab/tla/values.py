"""Values of TLA+ as TLC prints them, and as a module has them.

A string, a whole number and a boolean are Python's; a sequence is a tuple, a set a frozenset; a record and
any other function is a `Function`, a record's with names for keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""``bool | int | str | tuple | frozenset | Function``, and hashable."""


class Function(dict[Value, Value]):
    """A function by its arguments; nobody changes it once it is made."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+)
      | (?P<name>\w+)
      | (?P<mark><<|>>|\|->|:>|@@|[\[\](){},])
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_CLOSING = {"<<": ">>", "{": "}"}
_WORDS = {"TRUE": True, "FALSE": False}


class ValueSyntaxError(ValueError):
    """A text that is no value of those that are known here; the message says where."""


def parse(text: str) -> Value:
    """The value that a text stands for.

    Raises:
        ValueSyntaxError: it stands for none.
    """
    reader = _Reader(text)
    value = reader.value()
    reader.expect_end()
    return value


def write_value(value: Value) -> str:
    """A value as TLA+ text."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case tuple():
            return "<<" + ", ".join(map(write_value, value)) + ">>"
        case frozenset():
            return "{" + ", ".join(sorted(map(write_value, value))) + "}"
        case Mapping():
            return "[" + ", ".join(f"{name} |-> {write_value(each)}" for name, each in value.items()) + "]"
    raise TypeError(f"no value of TLA+: {value!r}")


def unquoted(printed: str) -> str:
    """The characters of a string that TLC has printed as a value."""
    return _ESCAPED.sub(r"\1", printed[1:-1])


class _Reader:
    """Reads values off a text, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._kind: str | None = None
        self._token = ""
        self._advance()

    def value(self) -> Value:
        kind, text = self._kind, self._token
        self._advance()
        match kind:
            case "string":
                return unquoted(text)
            case "number":
                return int(text)
            case "name":
                return _WORDS.get(text, text)
            case "mark" if text in _CLOSING:
                items = self._items(_CLOSING[text])
                return tuple(items) if text == "<<" else frozenset(items)
            case "mark" if text == "[":
                return self._record()
            case "mark" if text == "(":
                return self._function()
        raise ValueSyntaxError(f"no value begins with {text!r} in {self._text!r}")

    def expect_end(self) -> None:
        if self._kind is not None:
            raise ValueSyntaxError(f"{self._token!r} follows a value in {self._text!r}")

    def _items(self, closing: str) -> list[Value]:
        items: list[Value] = []
        while not self._took(closing):
            if items:
                self._expect(",")
            items.append(self.value())
        return items

    def _record(self) -> Function:
        fields = Function()
        while not self._took("]"):
            if fields:
                self._expect(",")
            name = self.value()
            self._expect("|->")
            fields[name] = self.value()
        return fields

    def _function(self) -> Function:
        pairs = Function()
        while not self._took(")"):
            if pairs:
                self._expect("@@")
            argument = self.value()
            self._expect(":>")
            pairs[argument] = self.value()
        return pairs

    def _took(self, mark: str) -> bool:
        if self._kind != "mark" or self._token != mark:
            return False
        self._advance()
        return True

    def _expect(self, mark: str) -> None:
        if not self._took(mark):
            raise ValueSyntaxError(f"{mark!r} is missing before {self._token!r} in {self._text!r}")

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._end)
        if found is None:
            rest = self._text[self._end :].strip()
            if rest:
                raise ValueSyntaxError(f"not understood: {rest!r}")
            self._kind, self._token = None, "the end"
            return
        self._kind, self._end = found.lastgroup, found.end()
        self._token = found[str(self._kind)]
