"""The shape of a statement: what stays the same when it is sent again with other values and names.

A client may write values into its statements, draw the names of savepoints and cursors from a thread's number
or a counter, and append a request's number as a comment. Two such runs are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from pgweave.sql.tokens import ScanError, Token, TokenKind, scan, statements, words

_NAMED_AT_ITS_END = words("abort close deallocate fetch move release rollback savepoint")
_NAMED_AT_ITS_BEGINNING = words("declare execute prepare")
_NO_NAME = words("all chain no prepare savepoint to transaction work")


@lru_cache(maxsize=4096)
def shape(sql: str, *, literals: bool = False) -> str:
    """A text without its comments, its literals, and the names that it gives to savepoints and cursors.

    Args:
        sql: the text.
        literals: whether the literals stay.
    """
    try:
        parts = statements(scan(sql))
    except ScanError:
        return sql
    return "; ".join(" ".join(_words(part, literals)) for part in parts)


def _words(tokens: Sequence[Token], literals: bool) -> Iterator[str]:
    named = _place_of_name(tokens)
    for place, token in enumerate(tokens):
        if place == named or (not literals and token.kind in (TokenKind.STRING, TokenKind.NUMBER)):
            yield "?"
        else:
            yield f'"{token.text}"' if token.kind is TokenKind.QUOTED else token.text


def _place_of_name(tokens: Sequence[Token]) -> int | None:
    if len(tokens) < 2:
        return None
    if tokens[0].is_word(*_NAMED_AT_ITS_BEGINNING):
        return 1
    if tokens[0].is_word(*_NAMED_AT_ITS_END) and not tokens[-1].is_word(*_NO_NAME):
        return len(tokens) - 1
    return None
