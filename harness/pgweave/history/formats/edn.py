"""Reads EDN, Clojure's notation for data, form by form, each with the line that it begins on.

The reader on PyPI (edn-format) keeps the last of two equal keys in silence, tells no lines, and stops at each
tagged literal that it was not told of: that could change a verdict, or hide where a file is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pgweave.history.operations import HistoryError


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword, such as ``:read``; its name is without the colon."""

    name: str


@dataclass(frozen=True, slots=True)
class Map:
    """A map, in the order in which it is written. No two of its keys are equal."""

    pairs: tuple[tuple[Form, Form], ...]

    def get(self, name: str) -> Form:
        """What stands under a keyword; nil if nothing does."""
        return next((value for key, value in self.pairs if key == Keyword(name)), None)


@dataclass(frozen=True, slots=True)
class Set:
    """A set, in the order in which it is written. No two of its elements are equal."""

    elements: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tagged literal, such as ``#inst "2026-01-01"``."""

    tag: str
    form: Form


@dataclass(frozen=True, slots=True)
class Other:
    """What has no meaning here, as it is written: a symbol, a character, a number that is no integer."""

    text: str


Form: TypeAlias = "bool | int | str | Keyword | Map | Set | Tagged | Other | tuple[Form, ...] | None"
"""A form; a list and a vector are both a tuple."""


class EdnError(HistoryError):
    """What is no EDN.

    Attributes:
        line: where, from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(problem)


_TOKEN = re.compile(
    r"""(?:[\s,]|;[^\n]*)*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<open>\#?\{|\[|\() | (?P<close>[\])}])
      | (?P<discard>\#_)
      | (?P<tag>\#[^\s,;"()\[\]{}\#_][^\s,;"()\[\]{}]*)
      | (?P<other>\\(?:.[^\s,;"()\[\]{}]*)|\#\#[A-Za-z]+)
      | (?P<atom>[^\s,;"()\[\]{}\#\\][^\s,;"()\[\]{}]*)
      | (?P<wrong>.)
    )?""",
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*)N?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]+")
_NUMBER_OR_SYMBOL = re.compile(
    r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?M?|[+-]?\d+/\d+|(?![+-]?\d)[^:\d^@`~'][^^@`~]*", re.ASCII
)
_WORDS: dict[str, bool | None] = {"nil": None, "true": True, "false": False}
_CLOSING = {"{": "}", "#{": "}", "[": "]", "(": ")"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}


def forms(text: str) -> Iterator[tuple[int, Form]]:
    """Read a text's forms.

    Yields:
        The line that each begins on, from 1, and the form.

    Raises:
        EdnError: the text is no EDN.
    """
    return _read(text, enters=False)


def elements_of_file(data: bytes, source: str) -> Iterator[tuple[int, Form]]:
    """Read the elements of the one vector or list that a file is; if it is none, its forms.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Yields:
        The line that each begins on, from 1, and the form.

    Raises:
        HistoryError: The file is no EDN; says the line and what was wrong.
    """
    try:
        yield from _read(data.decode(), enters=True)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HistoryError(f"{source}:{line}: {error}") from None
    except EdnError as error:
        raise HistoryError(f"{source}:{error.line}: {error}") from None


def _read(text: str, *, enters: bool) -> Iterator[tuple[int, Form]]:
    reader = _Reader(text)
    try:
        closing = reader.enter() if enters else ""
        while not reader.is_at(closing):
            yield reader.line, reader.form()
        if closing:
            reader.leave()
    except RecursionError:
        raise EdnError(reader.line, "the EDN is nested too deeply") from None


def shown(form: Form) -> str:
    """A form as it could be written."""
    match form:
        case Map(pairs):
            text = "{" + ", ".join(f"{shown(key)} {shown(value)}" for key, value in pairs) + "}"
        case Set(elements):
            text = "#{" + " ".join(map(shown, elements)) + "}"
        case tuple():
            text = "[" + " ".join(map(shown, form)) + "]"
        case Tagged(tag, inner):
            text = f"#{tag} {shown(inner)}"
        case Keyword(name):
            text = f":{name}"
        case Other(written):
            text = written
        case _:
            text = "nil" if form is None else json.dumps(form, ensure_ascii=False)
    return text


class _Reader:
    """A position in a text, always before a token; `kind` and `token` are that token's."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._counted = 0
        self.line = 1
        self._advance()

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._end)
        assert found is not None
        self.kind = found.lastgroup
        self.token = found[self.kind] if self.kind else ""
        self._end = found.end()
        begins = found.start(self.kind) if self.kind else self._end
        self.line += self._text.count("\n", self._counted, begins)
        self._counted = begins

    def _take(self) -> str:
        token = self.token
        self._advance()
        return token

    def _skip_discarded(self) -> None:
        while self.kind == "discard":
            self._advance()
            self.form()

    def enter(self) -> str:
        """Step into the vector or list that the text begins with, and return what closes it, if it is one."""
        self._skip_discarded()
        return _CLOSING[self._take()] if self.token in ("[", "(") else ""

    def is_at(self, closing: str) -> bool:
        """Whether what is closed so ends here; the text itself if by nothing."""
        self._skip_discarded()
        return self.token == closing and self.kind in ("close", None)

    def leave(self) -> None:
        """Step out of what the text consists of: nothing may follow."""
        self._advance()
        if not self.is_at(""):
            raise EdnError(self.line, f"{self.token!r} follows the end of the vector")

    def form(self) -> Form:
        """Take the next form.

        Raises:
            EdnError: there is none.
        """
        self._skip_discarded()
        line, kind, token = self.line, self.kind, self._take()
        match kind:
            case "string":
                return _string(token, line)
            case "open":
                return self._collection(token, line)
            case "tag":
                return Tagged(token[1:], self.form())
            case "other":
                return Other(token)
            case "atom":
                return _atom(token, line)
            case None:
                raise EdnError(line, "the EDN ends in the middle of a form")
        raise EdnError(line, f"{token!r} begins no form")

    def _collection(self, opening: str, line: int) -> Form:
        elements: list[Form] = []
        while not self.is_at(_CLOSING[opening]):
            if self.kind is None:
                raise EdnError(line, f"{opening} is not closed before the end of the EDN")
            elements.append(self.form())
        self._advance()
        if opening == "#{":
            return Set(_distinct(elements, line))
        if opening != "{":
            return tuple(elements)
        if len(elements) % 2:
            raise EdnError(line, "a map has a key without a value")
        _distinct(elements[::2], line)
        return Map(tuple(zip(elements[::2], elements[1::2], strict=True)))


def _distinct(elements: list[Form], line: int) -> tuple[Form, ...]:
    seen: set[tuple[type, Form]] = set()
    for element in elements:
        if (type(element), element) in seen:  # True == 1 in Python
            raise EdnError(line, f"{shown(element)} stands twice in a map or a set")
        seen.add((type(element), element))
    return tuple(elements)


def _string(token: str, line: int) -> str:
    def unescaped(found: re.Match[str]) -> str:
        code, character = found.groups()
        if code is None and character not in _ESCAPED:
            raise EdnError(line, f"Invalid escape \\{character} in a string")
        return chr(int(code, 16)) if code else _ESCAPED[character]

    # a character beyond 16 bits is written as two escapes
    text = _ESCAPE.sub(unescaped, token[1:-1])
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _atom(token: str, line: int) -> Form:
    if token in _WORDS:
        return _WORDS[token]
    if token.startswith(":") and token.strip(":"):
        return Keyword(token[1:])
    try:
        if _INTEGER.fullmatch(token):
            return int(token.removesuffix("N"))
        if _HEXADECIMAL.fullmatch(token):
            return int(token, 16)
    except ValueError:  # Python bounds the digits of an integer
        raise EdnError(line, "an integer has thousands of digits") from None
    if _NUMBER_OR_SYMBOL.fullmatch(token):
        return Other(token)
    raise EdnError(line, f"{token!r} is no EDN")
