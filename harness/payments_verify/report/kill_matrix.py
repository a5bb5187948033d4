"""The kill matrix as a picture that follows the preference for light or dark, on a page or by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import groupby
from xml.etree import ElementTree as ET

from payments_verify.report.saved import Cell, MutantRow, Mutants
from pgweave.timeline import elements as svg
from pgweave.timeline.elements import Element

AS_IT_IS = "the code as it is"

STYLE = resources.files(__package__).joinpath("kill_matrix.css").read_text(encoding="utf-8")
_MARGIN = 20.0
_NAMES = 270.0
_COLUMN = 148.0
_ROW = 24.0
_GAP = 6.0
_ABOVE = 86.0
_LEGEND = {
    "killed": "killed: tries, seconds, size of the smallest counterexample",
    "missed": "should have been found",
    "survived": "survived",
    "unknown": "no verdict",
    "untried": "not tried",
}
_LEGEND_WIDTHS = (430.0, 200.0, 110.0, 120.0, 90.0)


def cell_text(cell: Cell) -> str:
    """A cell in a few characters."""
    if cell.state == "killed" and cell.tries is not None:
        return f"{cell.tries:,} · {cell.seconds or 0:.1f} s · {cell.size}"
    return "" if cell.state == "not tried" else cell.state


def draw_kill_matrix(found: Mutants) -> Element:
    """Draw a row for the code as it is and for each mutant, and a column for each technique."""
    groups = list(_groups(found))
    columns = [technique.name for technique in found.techniques]
    rows = sum(len(members) + 1 for _, members in groups)
    width = 2 * _MARGIN + max(_NAMES + _COLUMN * len(columns), sum(_LEGEND_WIDTHS))
    height = _ABOVE + _ROW * rows + _GAP * len(groups) + 56
    root = svg.root(width, height, f"Kill matrix: {found.summary}", "matrix")
    svg.box(root, (0, 0, width, height), "paper", 0)
    svg.text(root, _MARGIN, 30, f"{found.killed} of {found.total} mutants killed", "heading")
    svg.text(root, _MARGIN, 50, found.summary, "bad" if found.verdict == "violated" else "muted")
    for number, technique in enumerate(columns):
        svg.text(root, _MARGIN + _NAMES + _COLUMN * number, _ABOVE - 12, technique, "name")
    y = _ABOVE
    for title, members in groups:
        svg.text(root, _MARGIN, y + 16, title, "muted")
        y += _ROW
        for row in members:
            _draw_row(root, row, columns, y)
            y += _ROW
        y += _GAP
    _draw_legend(root, y + 22)
    return root


def write_kill_matrix(found: Mutants) -> str:
    """The picture as an SVG document that loads nothing."""
    root = draw_kill_matrix(found)
    style = ET.Element("style")
    style.text = STYLE
    root.insert(0, style)
    return svg.write(root)


def _groups(found: Mutants) -> Iterator[tuple[str, list[MutantRow]]]:
    yield AS_IT_IS, [found.unmutated]
    for category, rows in groupby(found.mutants, key=lambda row: row.category):
        yield category, list(rows)


def _draw_row(root: Element, row: MutantRow, columns: Sequence[str], y: float) -> None:
    wrong = row.verdict == ("survived" if row.name else "killed")
    drawn = svg.group(root, "row", row.stands_for.strip())
    svg.text(drawn, _MARGIN + 8, y + 16, row.name or AS_IT_IS, "bad" if wrong else "")
    for number, column in enumerate(columns):
        cell = row.cells.get(column, Cell(state="not tried"))
        x = _MARGIN + _NAMES + _COLUMN * number
        held = svg.group(root, "cell", _hint(row, cell))
        class_ = _class(row, cell)
        if class_ == "untried":
            svg.box(held, (x + _COLUMN / 2 - 7, y + 10, 6, 2), class_, 1)
            continue
        svg.box(held, (x, y + 2, _COLUMN - 8, _ROW - 4), class_, 3)
        svg.text(held, x + 8, y + 16, cell_text(cell), "mono")


def _class(row: MutantRow, cell: Cell) -> str:
    if cell.state == "not tried":
        return "untried"
    if cell.state == "killed":
        return "killed" if row.name else "alarm"
    if cell.state == "survived" or (cell.state == "another reason" and cell.expected):
        return "missed" if cell.expected else "survived"
    return "unknown"


def _hint(row: MutantRow, cell: Cell) -> str:
    name = row.name or AS_IT_IS
    if cell.tries is None:
        return f"{name}: {cell.state}"
    told = f"{name}: {cell.state} after {cell.tries:,} tries"
    found = "" if cell.size is None else f"; {cell.size} {cell.unit} in the smallest counterexample"
    return f"{told}{found}\n{' '.join(cell.command or ())}\n{(cell.evidence or '')[:600]}"


def _draw_legend(root: Element, y: float) -> None:
    x = _MARGIN
    for (class_, meaning), width in zip(_LEGEND.items(), _LEGEND_WIDTHS, strict=True):
        area = (x + 8, y - 3, 6, 2) if class_ == "untried" else (x, y - 9, 22, 14)
        svg.box(root, area, class_, 3)
        svg.text(root, x + 30, y + 2, meaning, "muted")
        x += width
