"""The gist of a SQL statement, for a narrow column: its verb, its tables, its locks.

``SELECT id, owner FROM seats WHERE id = $1 FOR UPDATE`` becomes ``SELECT seats FOR UPDATE``. It reads
tokens, not grammar: of a statement that it does not understand it keeps the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pgweave.visible import one_line


class GistKind(IntEnum):
    """What a statement does, in short; of a text of several, the greatest counts."""

    OTHER = 0
    READ = 1
    LOCK = 2
    WRITE = 3
    COMMIT = 4
    ROLLBACK = 5


@dataclass(frozen=True, slots=True)
class Gist:
    """A statement in short.

    Attributes:
        text: One line.
        kind: What it does.
    """

    text: str
    kind: GistKind


_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_TOKEN = re.compile(
    rf"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |[eE]'(?:[^'\\]|''|\\.)*'
    |'(?:[^']|'')*'
    |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    |\$\d+
    |{_NAME}(?:\.{_NAME})*
    |\d[\w.]*
    |[-+*/<>=~!@\#%^&|?:]+
    |.""",
    re.DOTALL | re.VERBOSE,
)
_KINDS = {
    **dict.fromkeys(("SELECT", "VALUES", "TABLE", "SHOW", "FETCH"), GistKind.READ),
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY"), GistKind.WRITE),
    **dict.fromkeys(("COMMIT", "END"), GistKind.COMMIT),
    **dict.fromkeys(("ROLLBACK", "ABORT"), GistKind.ROLLBACK),
    "LOCK": GistKind.LOCK,
}
_VERBS = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES"}
_SUBQUERY = "(...)"
_AFTER_FROM = {
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FOR",
}
_BEFORE_TABLE = {"INTO", "FROM", "ONLY", "LATERAL", "TABLE"}
_STRENGTH = {"NO", "KEY", "UPDATE", "SHARE"}
_LOCKING = {"FOR", "NOWAIT", "SKIP", "LOCKED"} | _STRENGTH
_ADVISORY = re.compile(r"\bpg_(?:try_)?advisory_(?:xact_)?lock", re.IGNORECASE)


def gist(sql: str) -> Gist:
    """Shorten a statement, or several that are separated by semicolons.

    Args:
        sql: The text.

    Returns:
        What is left of it. Never empty, unless the text is.
    """
    tokens = [match[0] for match in _TOKEN.finditer(sql) if match["space"] is None]
    found = [_statement(part) for part in _split(tokens, ";") if part]
    if not found:
        return Gist(one_line(sql), GistKind.OTHER)
    return Gist(one_line("; ".join(one.text for one in found)), max(one.kind for one in found))


def _statement(tokens: Sequence[str]) -> Gist:
    verb = tokens[0].upper()
    if verb == "WITH":
        return _with(tokens)
    if verb == "SELECT":
        return _select(tokens)
    kind = _KINDS.get(verb, GistKind.OTHER)
    if verb in {"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"}:
        return Gist(" ".join([verb, *_target(tokens), *_conflict(tokens)]), kind)
    return Gist(_join([verb, *tokens[1:]]), kind)


def _select(tokens: Sequence[str]) -> Gist:
    outer = list(_outermost(tokens))
    tables = list(dict.fromkeys(_tables(outer)))
    named = [table for table in tables if table != _SUBQUERY]
    tables = named or tables
    if not tables:
        calls = _ADVISORY.search(" ".join(tokens))
        return Gist(_join(["SELECT", *tokens[1:]]), GistKind.LOCK if calls else GistKind.READ)
    locking = list(_lock_words(outer))
    text = " ".join(["SELECT", ", ".join(tables), *locking])
    return Gist(text, GistKind.LOCK if locking else GistKind.READ)


def _with(tokens: Sequence[str]) -> Gist:
    """What its parts do, one after the other; the last is the statement itself."""
    parts: list[Gist] = []
    depth = start = 0
    for position, lexeme in enumerate(tokens):
        if lexeme == "(":
            start = position + 1 if depth == 0 else start
            depth += 1
        elif lexeme == ")":
            depth -= 1
            is_statement = start < position and tokens[start].upper() in {*_VERBS, "WITH"}
            if depth == 0 and is_statement:
                parts.append(_statement(tokens[start:position]))
        elif depth == 0 and lexeme.upper() in _VERBS:
            parts.append(_statement(tokens[position:]))
            break
    if not parts:
        return Gist(_join(tokens), GistKind.OTHER)
    return Gist(" + ".join(part.text for part in parts), max(part.kind for part in parts))


def _tables(outer: Sequence[str]) -> Iterator[str]:
    is_from = is_expected = False
    for position, lexeme in enumerate(outer):
        word = lexeme.upper()
        if word == "FROM" and outer[position - 1].upper() != "DISTINCT":
            is_from = is_expected = True
        elif is_from and (word in {"JOIN", ","}):
            is_expected = True
        elif word in _AFTER_FROM:
            is_from = is_expected = False
        elif is_expected and word not in _BEFORE_TABLE:
            is_expected = False
            yield _SUBQUERY if lexeme == "()" else lexeme


def _lock_words(outer: Sequence[str]) -> Iterator[str]:
    is_locking = is_name = False
    for position, lexeme in enumerate(outer):
        word = lexeme.upper()
        following = outer[position + 1].upper() if position + 1 < len(outer) else ""
        if word == "FOR":
            is_locking = following in _STRENGTH
        is_name = is_locking and (word in {"OF", ","} or (is_name and word not in _LOCKING))
        if is_locking and word in _LOCKING and not is_name:
            yield word


def _target(tokens: Sequence[str]) -> list[str]:
    return [lexeme for lexeme in tokens[1:4] if lexeme.upper() not in _BEFORE_TABLE][:1]


def _conflict(tokens: Sequence[str]) -> list[str]:
    words = [lexeme.upper() for lexeme in _outermost(tokens)]
    for position, word in enumerate(words):
        if word == "ON" and words[position + 1 : position + 2] == ["CONFLICT"] and "DO" in words[position:]:
            done = words.index("DO", position)
            return ["ON CONFLICT", *words[done : done + 2]]
    return []


def _outermost(tokens: Sequence[str]) -> Iterator[str]:
    """The tokens outside parentheses; each outermost pair is one, ``()``."""
    depth = 0
    for lexeme in tokens:
        depth = max(0, depth - (lexeme == ")"))
        if depth == 0 and lexeme != "(":
            yield "()" if lexeme == ")" else lexeme
        depth += lexeme == "("


def _split(tokens: Sequence[str], separator: str) -> Iterator[Sequence[str]]:
    start = 0
    for position, lexeme in enumerate(tokens):
        if lexeme == separator:
            yield tokens[start:position]
            start = position + 1
    yield tokens[start:]


def _join(tokens: Sequence[str]) -> str:
    text = ""
    for lexeme in tokens:
        is_tight = lexeme in {")", ",", "]", "[", "."} or text.endswith(("(", "[", "."))
        is_call = lexeme == "(" and re.search(r"\w$", text) is not None
        text += lexeme if not text or is_tight or is_call else f" {lexeme}"
    return text
