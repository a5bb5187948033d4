"""Text from outside, made fit to be shown: nothing moves the cursor, is no XML, or gives a password away."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

_TEMPLATE = r"(?:\{password\}|\$\{\w+\})"
_IN_A_URL = re.compile(rf"""(\b[a-z][a-z0-9+.-]*://[^\s:/@'"]*:)(?!{_TEMPLATE}@)[^\s'"]*@""", re.IGNORECASE)
_BY_NAME = re.compile(
    rf"""(\w*password\s*=\s*)(?!(['"]?){_TEMPLATE}\2(?:[\s'"&]|$))('(?:[^'\\]|\\.)*'|[^\s'"&]+)""",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """Leave the password of every connection string out, whether it is a URL or of names and values."""
    return _BY_NAME.sub(r"\1…", _IN_A_URL.sub(r"\1…@", text))


def visible(text: str) -> str:
    """Keep the line breaks; write every other character that has no shape of its own as an escape."""
    return "\n".join(map(escaped, text.expandtabs(4).replace("\r\n", "\n").split("\n")))


def escaped(text: str) -> str:
    """Write every character that has no shape of its own as an escape, line breaks and tabs too."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def one_line(text: str) -> str:
    """The same on one line, each run of white space a single space."""
    return escaped(" ".join(text.split()))


def in_json(text: str) -> str:
    """The same value in JSON, where each character without a shape is an escape of JSON's; lines are kept."""
    return re.sub(r"[^\n -~]", lambda found: _shaped_in_json(found[0]), text)


def clipped(text: str, width: int, ellipsis: str = "...") -> str:
    """The beginning of a text, so that it is at most this many columns of a terminal wide."""
    if cell_len(text) <= width:
        return text
    if width <= cell_len(ellipsis):
        return ellipsis[: max(0, width)]
    return set_cell_size(text, width - cell_len(ellipsis)) + ellipsis


def _shaped_in_json(one: str) -> str:
    if one.isprintable():
        return one
    units = one.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def counted(count: int, what: str) -> str:
    """A count and its noun, for people: ``1 race``, ``2 races``, ``1,000 races``."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
