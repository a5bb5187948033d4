"""SQL text as PostgreSQL's scanner reads it, and rewritten so that no other scanner can read it otherwise.

Scanners disagree about strings: ``VALUES ($1,$2,f())`` holds two parameters, or a dollar-quoted string. So
the text is cut into tokens by PostgreSQL's rules (manual, section 4.1), and what goes to the parser is
written anew: comments dropped, each parameter a quoted identifier ``"$1"``, each string the plain literal of
its number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto


class ScanError(ValueError):
    """The text is not SQL that is understood; the message says why."""


class TokenKind(Enum):
    """What a token is."""

    WORD = auto()
    QUOTED = auto()
    STRING = auto()
    PARAMETER = auto()
    NUMBER = auto()
    SYMBOL = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: what it is.
        text: a word in lower case, a quoted identifier without its quotes, a string's characters, a
            parameter's number, anything else as written.
        exact: for a string, whether ``text`` is its value for certain.
    """

    kind: TokenKind
    text: str
    exact: bool = True

    @property
    def name(self) -> str | None:
        """The identifier that it is, if it may be one."""
        return self.text if self.kind in (TokenKind.WORD, TokenKind.QUOTED) else None

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words, unquoted."""
        return self.kind is TokenKind.WORD and self.text in words


_SPACE = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)+")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_DOLLAR_QUOTE = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$")
_PARAMETER = re.compile(r"\$([0-9]+)")
_ESCAPED_STRING = re.compile(r"[eE]'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_OTHER_STRING = re.compile(r"(?:[bBxXnN]|[uU]&)'((?:[^']|'')*)'")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_UNICODE_NAME = re.compile(r'[uU]&"')
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_WORD = re.compile(r"([A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)")
_NUMBER = re.compile(r"((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_AFTER_NUMBER = re.compile(r"[A-Za-z_\x80-\U0010ffff]")
_READ_ALIKE = re.compile(r"[a-z_][a-z_0-9]*")
_LONGEST_NAME = 63
_OPERATOR = re.compile(r"(?:(?!--|/\*)[-+*/<>=~!@#%^&|`?])+")
_LETS_OPERATOR_END_IN_SIGN = frozenset("~!@#%^&|`?")


def scan(sql: str) -> tuple[Token, ...]:
    """The tokens of a text, comments and white space left out.

    Raises:
        ScanError: A string, quoted identifier or comment has no end, or the text has what PostgreSQL
            reads by its version, or what is not followed: ``0x10``, a string that goes on in another line,
            ``U&"..."``.
    """
    tokens: list[Token] = []
    position = 0
    while (position := _skip_space(sql, position)) < len(sql):
        if sql[position] == "'" and tokens and tokens[-1].kind is TokenKind.STRING:
            raise ScanError("a string goes on in another line")
        token, position = _next(sql, position)
        if token.kind is TokenKind.NUMBER and _AFTER_NUMBER.match(sql, position):
            raise ScanError("a number is followed by a letter")
        tokens.append(token)
    return tuple(tokens)


def statements(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    """The statements of a text: what stands between semicolons, the empty ones left out."""
    result: list[tuple[Token, ...]] = []
    current: list[Token] = []
    for token in (*tokens, Token(TokenKind.SYMBOL, ";")):
        if token.kind is not TokenKind.SYMBOL or token.text != ";":
            current.append(token)
        elif current:
            result.append(tuple(current))
            current = []
    return result


def with_following(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """Each token and the one after it; after the last comes a semicolon."""
    return zip(tokens, (*tokens[1:], Token(TokenKind.SYMBOL, ";"))[: len(tokens)], strict=True)


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables of them."""
    return frozenset(text.split())


def rewritten(tokens: Sequence[Token]) -> tuple[str, tuple[Token, ...]]:
    """The tokens as text for the parser, and what its literals ``'s0'``, ``'s1'`` ... stand for."""
    pieces = []
    strings: list[Token] = []
    for token in tokens:
        match token.kind:
            case TokenKind.STRING:
                pieces.append(f"'s{len(strings)}'")
                strings.append(token)
            case TokenKind.PARAMETER:
                pieces.append(f'"${token.text}"')
            case TokenKind.WORD if _READ_ALIKE.fullmatch(token.text):
                pieces.append(token.text)
            case TokenKind.WORD | TokenKind.QUOTED:
                pieces.append('"{}"'.format(token.text.replace('"', '""')))
            case _:
                pieces.append(token.text)
    return " ".join(pieces), tuple(strings)


def _skip_space(sql: str, position: int) -> int:
    while True:
        start = position
        if space := _SPACE.match(sql, position):
            position = space.end()
        if sql.startswith("/*", position):
            position = _end_of_comment(sql, position)
        if position == start:
            return position


def _end_of_comment(sql: str, position: int) -> int:
    depth = 0
    while edge := _COMMENT_EDGE.search(sql, position):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
        if depth == 0:
            return position
    raise ScanError("a comment has no end")


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], Token]], ...] = (
    (_STRING, lambda text: Token(TokenKind.STRING, text.replace("''", "'"), exact="\\" not in text)),
    (_ESCAPED_STRING, lambda text: Token(TokenKind.STRING, text, exact=False)),
    (_OTHER_STRING, lambda text: Token(TokenKind.STRING, text, exact=False)),
    (_QUOTED, lambda text: Token(TokenKind.QUOTED, _cut(text.replace('""', '"')))),
    (_WORD, lambda text: Token(TokenKind.WORD, _cut(_folded(text)))),
    (_NUMBER, lambda text: Token(TokenKind.NUMBER, text)),
)


def _next(sql: str, position: int) -> tuple[Token, int]:
    if sql[position] == "$":
        return _dollar(sql, position)
    if _UNICODE_NAME.match(sql, position):
        raise ScanError('identifiers of the form U&"..." are not supported')
    for form, token_of in _FORMS:
        if found := form.match(sql, position):
            return token_of(found.group(1)), found.end()
    if sql[position] in "'\"":
        raise ScanError("a string or quoted identifier has no end")
    found = _OPERATOR.match(sql, position)
    text = _without_sign(found.group()) if found else _symbol(sql, position)
    return Token(TokenKind.SYMBOL, text), position + len(text)


def _symbol(sql: str, position: int) -> str:
    pair = sql[position : position + 2]
    return pair if pair in ("::", ":=") else sql[position]


def _without_sign(operator: str) -> str:
    """An operator without the signs at its end, which belong to what follows: ``=-1`` is ``= -1``."""
    if _LETS_OPERATOR_END_IN_SIGN.isdisjoint(operator):
        return operator[0] + operator[1:].rstrip("+-")
    return operator


def _dollar(sql: str, position: int) -> tuple[Token, int]:
    if parameter := _PARAMETER.match(sql, position):
        return Token(TokenKind.PARAMETER, parameter.group(1)), parameter.end()
    quote = _DOLLAR_QUOTE.match(sql, position)
    if quote is None:
        raise ScanError("a dollar sign begins neither a parameter nor a string")
    end = sql.find(quote.group(), quote.end())
    if end < 0:
        raise ScanError(f"a string has no closing {quote.group()}")
    return Token(TokenKind.STRING, sql[quote.end() : end]), end + len(quote.group())


def _folded(word: str) -> str:
    """An unquoted identifier as PostgreSQL folds it: ASCII letters in lower case."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in word)


def _cut(name: str) -> str:
    """An identifier as PostgreSQL cuts it off, at the end of a character."""
    return name if len(name) * 4 <= _LONGEST_NAME else name.encode()[:_LONGEST_NAME].decode(errors="ignore")
