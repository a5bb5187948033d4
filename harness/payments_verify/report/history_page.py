"""Histories as one page: the verdict on each, and the linearization or the attempt at one, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from payments_verify.report import attempt_figure, parts
from payments_verify.report.page import SCRIPT, STYLE
from pgweave.history.attempt import Attempt
from pgweave.timeline.markup import Element, document, tag
from pgweave.verdict import Verdict

MOST_DRAWN = 6
"""How many parts of a history are drawn."""

_BANNERS: Mapping[Verdict, tuple[str, str, str]] = {
    "holds": ("good", "✓", "linearizable"),
    "violated": ("bad", "✗", "not linearizable"),
    "no verdict": ("open", "?", "no verdict"),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One history and what was found.

    Attributes:
        file: Its name.
        verdict: The verdict.
        seconds: How long it took to read and check it.
        spec: The specification; None if the file could not be read.
        operations: How many operations it has.
        parts: How many independent parts.
        reason: Why there is no verdict.
        attempts: What is drawn of it.
    """

    file: str
    verdict: Verdict
    seconds: float
    spec: str | None
    operations: int
    parts: int
    reason: str | None
    attempts: tuple[Attempt, ...]


def make_history_page(histories: Sequence[Drawn]) -> str:
    """Make the page.

    Args:
        histories: What is on it.

    Returns:
        An HTML document that loads nothing.
    """
    bad = sum(each.verdict == "violated" for each in histories)
    alone = len(histories) == 1
    title = histories[0].file if alone else f"{len(histories)} histories, {bad} not linearizable"
    body: list[Element] = [tag("h1", title)]
    if not alone:
        body.append(_table(histories))
    body += [_history(place, each, alone=alone) for place, each in enumerate(histories)]
    return document(title, body, STYLE, SCRIPT)


def _table(histories: Sequence[Drawn]) -> Element:
    rows = [
        (
            tag("a", each.file, href=f"#history-{place}"),
            _BANNERS[each.verdict][2],
            parts.number(each.operations),
            parts.number(each.parts),
            f"{each.seconds:.3f}",
        )
        for place, each in enumerate(histories)
    ]
    return parts.table(("file", "verdict", "operations", "parts", "seconds"), rows, right=(2, 3, 4))


def _history(place: int, drawn: Drawn, *, alone: bool) -> Element:
    kind, mark, verdict = _BANNERS[drawn.verdict]
    left = drawn.parts - len(drawn.attempts)
    undrawn = None
    if drawn.verdict == "holds" and left > 0:
        undrawn = parts.note(f"{left} more parts are linearizable too, and not drawn.")
    return tag(
        "section",
        None if alone else tag("h2", drawn.file),
        tag(
            "p",
            tag("span", mark, class_="mark", aria_hidden="true"),
            tag("strong", verdict),
            None
            if drawn.spec is None
            else f" {drawn.operations:,} operations of {drawn.spec} in {drawn.seconds:.3f} s",
            class_=f"banner {kind}",
        ),
        None if drawn.reason is None else parts.text(drawn.reason),
        [attempt_figure.figure(each) for each in drawn.attempts],
        undrawn,
        id=f"history-{place}",
    )
