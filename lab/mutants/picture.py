"""The kill matrix as one SVG picture. It is self-contained, and follows the preference for light or dark."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from itertools import groupby
from xml.etree import ElementTree as ET

from lab.mutants.plan import UNMUTATED
from lab.mutants.report import Cell, Matrix
from pgweave.timeline import elements as svg
from pgweave.timeline.elements import Element

STYLE = resources.files(__package__).joinpath("matrix.css").read_text(encoding="utf-8")

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


def text_of(cell: Cell) -> str:
    """A cell in a few characters."""
    trial = cell.trial
    if cell.state == "killed" and trial is not None:
        return f"{trial.tries:,} · {trial.seconds or 0:.1f} s · {trial.size}"
    return {"not tried": "", "survived": "survived", "not yet": "not yet"}.get(cell.state, cell.state)


def render(matrix: Matrix) -> str:
    """Draw it: a row for the code as it is and for each mutant, a column for each technique."""
    groups = list(_groups(matrix))
    columns = list(matrix.techniques)
    rows = sum(len(names) + 1 for _, names in groups)
    width = 2 * _MARGIN + max(_NAMES + _COLUMN * len(columns), sum(_LEGEND_WIDTHS))
    height = _ABOVE + _ROW * rows + _GAP * len(groups) + 56
    root = svg.root(width, height, f"Kill matrix: {matrix.summary}", "matrix")
    ET.SubElement(root, "style").text = STYLE
    svg.box(root, (0, 0, width, height), "paper", 0)
    killed = sum(matrix.fate(row) == "killed" for row in matrix.mutants)
    svg.text(root, _MARGIN, 30, f"{killed} of {len(matrix.mutants)} mutants killed", "heading")
    svg.text(root, _MARGIN, 50, matrix.summary, "bad" if matrix.verdict == "violated" else "muted")
    for number, technique in enumerate(columns):
        svg.text(root, _MARGIN + _NAMES + _COLUMN * number, _ABOVE - 12, technique, "name")
    y = _ABOVE
    for title, names in groups:
        svg.text(root, _MARGIN, y + 16, title, "muted")
        y += _ROW
        for name in names:
            _row(root, matrix, name, y)
            y += _ROW
        y += _GAP
    _legend(root, y + 22)
    return svg.write(root)


def _groups(matrix: Matrix) -> Iterator[tuple[str, list[str]]]:
    yield "the code as it is", [UNMUTATED]
    for category, names in groupby(matrix.mutants, key=lambda name: matrix.catalogue[name].category):
        yield category, list(names)


def _row(root: Element, matrix: Matrix, name: str, y: float) -> None:
    wrong = matrix.fate(name) == ("killed" if name == UNMUTATED else "survived")
    mutant = matrix.catalogue.get(name)
    drawn = svg.group(root, "row", "" if mutant is None else mutant.stands_for.strip())
    svg.text(drawn, _MARGIN + 8, y + 16, name, "bad" if wrong else "")
    for number, cell in enumerate(matrix.rows[name].values()):
        x = _MARGIN + _NAMES + _COLUMN * number
        held = svg.group(root, "cell", _hint(name, cell))
        class_ = _class(name, cell)
        if class_ == "untried":
            svg.box(held, (x + _COLUMN / 2 - 7, y + 10, 6, 2), class_, 1)
            continue
        svg.box(held, (x, y + 2, _COLUMN - 8, _ROW - 4), class_, 3)
        svg.text(held, x + 8, y + 16, text_of(cell), "mono")


def _class(name: str, cell: Cell) -> str:
    if cell.state == "not tried":
        return "untried"
    if cell.state == "killed":
        return "alarm" if name == UNMUTATED else "killed"
    if cell.state == "survived":
        return "missed" if cell.expected else "survived"
    return "unknown"


def _hint(name: str, cell: Cell) -> str:
    trial = cell.trial
    if trial is None:
        return f"{name}: {cell.state}"
    said = f"{name}: {cell.state} after {trial.tries:,} tries"
    found = "" if trial.size is None else f"; {trial.size} {trial.unit} in the smallest counterexample"
    return f"{said}{found}\n{' '.join(trial.arguments)}\n{trial.evidence[:600]}"


def _legend(root: Element, y: float) -> None:
    x = _MARGIN
    for (class_, meaning), width in zip(_LEGEND.items(), _LEGEND_WIDTHS, strict=True):
        area = (x + 8, y - 3, 6, 2) if class_ == "untried" else (x, y - 9, 22, 14)
        svg.box(root, area, class_, 3)
        svg.text(root, x + 30, y + 2, meaning, "muted")
        x += width
