"""Blocks of a Markdown page that are made, each between two comments with its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_BLOCK = re.compile(
    r"^<!-- made by `make specs`: (?P<name>[\w-]+) -->$\n(?P<text>.*?)^<!-- end of (?P<end>[\w-]+) -->$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"^<!-- (?:made by `make specs`: |end of )", re.MULTILINE)


class PageError(ValueError):
    """A page whose blocks cannot be told apart, or name nothing that is made."""


def blocks_of(page: str) -> Mapping[str, str]:
    """The blocks of a page by name, in their order.

    Raises:
        PageError: a block has no end, another's end, or a name that was there before.
    """
    found: dict[str, str] = {}
    for block in _BLOCK.finditer(page):
        name = block["name"]
        if block["end"] != name or _COMMENT.search(block["text"]):
            raise PageError(f"the block {name!r} does not end with its own <!-- end of {name} -->")
        if name in found:
            raise PageError(f"there are two blocks {name!r}")
        found[name] = block["text"]
    if len(_COMMENT.findall(page)) != 2 * len(found):
        raise PageError("a block begins or ends without the other; the whole blocks are " + ", ".join(found))
    return found


def fill(page: str, made: Mapping[str, str]) -> str:
    """The page, with each of its blocks made anew.

    Raises:
        PageError: as for `blocks_of`, or a block has a name that nothing is made for.
    """
    unknown = [name for name in blocks_of(page) if name not in made]
    if unknown:
        raise PageError(f"nothing is made for the blocks {', '.join(unknown)}")

    def anew(block: re.Match[str]) -> str:
        name = block["name"]
        return f"<!-- made by `make specs`: {name} -->\n{made[name].strip()}\n<!-- end of {name} -->"

    return _BLOCK.sub(anew, page)


def filled_by(command: str, page: str, text: str) -> str:
    """The page, with a new text in the block that a command makes.

    Raises:
        PageError: the page has no such block.
    """
    begin, end = f"<!-- made by `{command}` -->\n", "<!-- end -->"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise PageError(f"the page has no block that is made by `{command}`")
    return f"{before}{begin}{text.strip()}\n{end}{after}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(names: Sequence[str], none: str = "") -> str:
    """Names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names) or none
