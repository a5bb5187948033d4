"""A line of a terminal, whose columns are written in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from rich.cells import cell_len
from rich.text import Text


@dataclass(slots=True)
class Line:
    """One line. A character of two columns is followed by an empty cell."""

    cells: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)

    def put(self, start: int, text: str, style: str = "") -> int:
        """Write a text from a column on, and return the column after it."""
        for character in text:
            size = cell_len(character)
            if size == 0 and start > 0:
                self.cells[start - 1] += character
                continue
            self._extend(start + size)
            self.cells[start : start + size] = [character, ""][:size]
            self.styles[start : start + size] = [style] * size
            start += size
        return start

    def fill(self, start: int, end: int, character: str, style: str = "") -> None:
        """Write a character into every blank column from start to before end."""
        self._extend(end)
        for column in range(start, end):
            if self.cells[column] == " ":
                self.put(column, character, style)

    def written(self) -> Iterator[int]:
        """The columns in which something stands, from the left."""
        return (column for column, cell in enumerate(self.cells) if cell != " ")

    def text(self) -> Text:
        """The line with its colours."""
        line = Text()
        for style, run in groupby(zip(self.cells, self.styles, strict=True), key=itemgetter(1)):
            line.append("".join(cell for cell, _ in run), style)
        return line

    def _extend(self, columns: int) -> None:
        missing = columns - len(self.cells)
        self.cells += [" "] * missing
        self.styles += [""] * missing
