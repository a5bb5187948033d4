"""Secrets are left out of what is written, in whatever form they stand there."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""A value of fewer characters is left as it is: it would be found in everything."""

_COMMON = frozenset({"true", "false", "null", "none"})
_JSON_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
_PLAIN_KEY = re.compile(r"[a-z_]+")
_FORMS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: re.sub(r"[<>&'+]", lambda found: f"\\u{ord(found[0]):04x}", text),
    lambda text: re.sub(r"[<>&'+]", lambda found: f"\\u{ord(found[0]):04X}", text),
    html.escape,
    lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    lambda text: html.escape(text, quote=False).replace("'", "&apos;"),
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="").lower(),
    quote_plus,
    lambda text: text.replace("/", "\\/"),
    lambda text: text.replace("'", "'\\''"),
    lambda text: text.replace("'", "'\"'\"'"),
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
    lambda text: "".join(f"\\{each:03o}" for each in text.encode()) if not text.isascii() else text,
)
"""A character in JSON, a page, a URL, a form, a word of bash."""
_WITHIN_ANOTHER = 3


def redacted(text: str, secrets: Mapping[str, str]) -> str:
    """Write ``${NAME}`` where a secret stands, also one that is escaped, and escaped within another text.

    Args:
        text: what is to be written.
        secrets: each secret, and its name; see `is_too_short` for those that stay.
    """
    there = _in(text, secrets)
    if not there:
        return text
    longest_first = sorted(there, key=len, reverse=True)
    found = re.compile("|".join(f"({_pattern(value)})" for value in longest_first))
    return found.sub(lambda match: f"${{{there[longest_first[(match.lastindex or 1) - 1]]}}}", text)


def redacted_json(text: str, secrets: Mapping[str, str]) -> str:
    """The same in the strings of JSON, of one value or of one a line, which stays JSON."""
    there = _in(text, secrets)

    def of_string(found: re.Match[str]) -> str:
        if found[2] and _PLAIN_KEY.fullmatch(found[1]):
            return found[0]
        value: str = json.loads(f'"{found[1]}"', strict=False)
        shown = redacted(value, there)
        return found[0] if shown == value else json.dumps(shown, ensure_ascii=False) + (found[2] or "")

    return _JSON_STRING.sub(of_string, text) if there else text


def redacted_value(value: Any, secrets: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """The same in every text of a value that JSON has."""
    match value:
        case str():
            return redacted(value, secrets)
        case dict():
            return {name: redacted_value(each, secrets) for name, each in value.items()}
        case list() | tuple():
            return [redacted_value(each, secrets) for each in value]
    return value


def too_short(secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets that stay."""
    return sorted({name for value, name in secrets.items() if value and is_too_short(value)})


def _in(text: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets that may be in a text; soon told, as there may be one for each request."""
    return {
        value: name
        for value, name in secrets.items()
        if not is_too_short(value) and _unescaped(value) in text
    }


def is_too_short(value: str) -> bool:
    """Whether a value stays, since what has it by chance would be destroyed."""
    return len(value) < SHORTEST or value.lower() in _COMMON


@cache
def _unescaped(value: str) -> str:
    """The longest part of it that no form changes: where it is missing, the value is, too."""
    return max(re.split(r"[^A-Za-z0-9]", value), key=len)


@cache
def _pattern(value: str) -> str:
    pattern = "".join(
        re.escape(one) if one.isascii() and one.isalnum() else f"(?:{_forms(one)})" for one in value
    )
    return rf"(?<!\d){pattern}(?!\d)" if value.isdecimal() else pattern


@cache
def _forms(one: str) -> str:
    found = {one}
    for _ in range(_WITHIN_ANOTHER):
        found |= {form(each) for form in _FORMS for each in found}
    return "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
