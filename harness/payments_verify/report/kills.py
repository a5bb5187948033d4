"""The kill matrix: which technique notices which bug that is put into the service on purpose."""

from __future__ import annotations

from collections.abc import Iterator

from payments_verify.report import parts
from payments_verify.report.saved import Cell, MutantRow, Mutants, Saved
from pgweave.timeline.markup import Content, Element, tag

_TITLE = "Kill matrix"


def kills(report: Saved) -> Element:
    """The matrix, or plainly that it was not made."""
    if report.mutants is None:
        says = " puts known bugs into copies of the service, and tells which technique notices which."
        return parts.section("mutants", _TITLE, parts.note("Not run. ", tag("code", "make mutants"), says))
    if isinstance(report.mutants, str):
        return parts.section("mutants", _TITLE, parts.note(report.mutants))
    return parts.section("mutants", _TITLE, *_matrix(report.mutants))


def _matrix(found: Mutants) -> Iterator[Element]:
    names = [each.name for each in found.techniques]
    yield parts.figures(
        [
            ("killed", f"{found.killed} of {found.total}"),
            ("survivors", ", ".join(found.survivors) or "none"),
            ("false alarms", ", ".join(found.false_alarms) or "none"),
            ("verdict", f"{found.verdict}: {found.summary}"),
        ]
    )
    yield parts.note(
        "A row is a bug, put into a copy of the service or the model; a column is a technique. A number is"
        " what the technique tried until it noticed; a dot is one that did not, and was not expected to."
    )
    rows = [_row("the code as it is", "", found.unmutated, names)]
    rows += [_row(each.name, each.stands_for, each, names) for each in found.mutants]
    yield parts.table(("bug", "what it stands for", *names, ""), rows)


def _row(name: str, about: str, row: MutantRow, names: list[str]) -> tuple[Content, ...]:
    is_mutated = name != "the code as it is"
    cells = [_cell(row.cells.get(each, Cell(state="not tried")), is_mutated=is_mutated) for each in names]
    verdict = row.verdict
    good = (verdict == "killed") == is_mutated and verdict in ("killed", "survived")
    bad = verdict in ("killed", "survived") and not good
    class_ = "verdict-good" if good else "verdict-bad" if bad else "verdict-open"
    return (name, about, *cells, tag("span", verdict, class_=class_))


def _cell(cell: Cell, *, is_mutated: bool) -> Element:
    state, expected = cell.state, cell.expected
    if state == "killed":
        class_ = "verdict-good" if is_mutated else "verdict-bad"
        mark = "✓" if cell.tries is None else f"✓ {cell.tries:,}"
        return tag("span", mark, class_=class_, title=_about(cell))
    if state == "survived" and not expected:
        return tag("span", "·", class_="never", title="did not notice")
    if state == "not tried":
        return tag("span", "–", class_="never", title=state)
    class_ = "verdict-bad" if expected and state == "survived" else "verdict-open"
    return tag("span", state, class_=class_, title="should have noticed" if expected else state)


def _about(cell: Cell) -> str:
    said = ["noticed" if cell.seconds is None else f"noticed in {cell.seconds:.1f} s"]
    if cell.size is not None:
        said.append(f"the counterexample has {cell.size} {cell.unit}")
    return "; ".join(said)
