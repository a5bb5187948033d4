"""The kill matrix: which technique notices which bug that is put into the service on purpose."""

from __future__ import annotations

from collections.abc import Iterator

from payments_verify.report import parts
from payments_verify.report.kill_matrix import draw_kill_matrix
from payments_verify.report.saved import Mutants, Saved
from pgweave.timeline.markup import Element, tag

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
    yield parts.figures(
        [
            ("killed", f"{found.killed} of {found.total}"),
            ("survivors", ", ".join(found.survivors) or "none"),
            ("false alarms", ", ".join(found.false_alarms) or "none"),
            ("verdict", f"{found.verdict}: {found.summary}"),
            ("made", found.finished_at or "nobody knows when"),
            ("of the sources", found.sources or "nobody knows which"),
        ]
    )
    yield parts.note(
        "A row is a bug, put into a copy of the service or the model; a column is a technique. What a bug"
        " stands for, and how it was found, is shown when a pointer rests on it."
    )
    yield tag(
        "div",
        draw_kill_matrix(found),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="the kill matrix",
    )
    stands_for = [(each.name, each.stands_for, each.verdict) for each in found.mutants]
    yield parts.folded("What each bug stands for", parts.table(("bug", "what it stands for", ""), stands_for))
