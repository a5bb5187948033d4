"""Text from outside, made fit to be shown: nothing moves the cursor or is no XML."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def visible(text: str) -> str:
    """Keep the line breaks; write every other character that has no shape of its own as an escape."""
    return "\n".join(map(_printable, text.expandtabs(4).replace("\r\n", "\n").split("\n")))


def one_line(text: str) -> str:
    """The same on one line, each run of white space a single space."""
    return _printable(" ".join(text.split()))


def clipped(text: str, width: int, ellipsis: str = "...") -> str:
    """The beginning of a text, so that it is at most this many columns of a terminal wide."""
    if cell_len(text) <= width:
        return text
    if width <= cell_len(ellipsis):
        return ellipsis[: max(0, width)]
    return set_cell_size(text, width - cell_len(ellipsis)) + ellipsis


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
