"""What conformance found of a service, as one page: the levels, and what is wrong, drawn and as requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payments_verify.report import overview, parts
from payments_verify.report.page import SCRIPT, STYLE
from payments_verify.report.saved import Check
from pgweave.timeline.markup import Element, document, tag


def make_conformance_page(found: Mapping[str, Any]) -> str:
    """Make the page.

    Args:
        found: what `conformance --json` prints.

    Returns:
        An HTML document that loads nothing.
    """
    title = f"{found['service']}: {found['summary']}"
    rows = [
        (
            f"{level['level']} {level['name']}",
            parts.verdict(level["verdict"]),
            parts.number(level["cases"]),
            f"{level['seconds']:.1f}",
            "; ".join(filter(None, (level["reason"], level["part"]))),
        )
        for level in found["levels"]
    ]
    checks = [check for level in found["levels"] for check in level["checks"] if check["counterexample"]]
    unchecked = [tag("li", each) for each in found["unchecked"]]
    body: list[Element] = [
        tag("h1", title),
        parts.table(("level", "verdict", "cases", "seconds", ""), rows, right=(2, 3)),
        *[_evidence(place, check) for place, check in enumerate(checks)],
        tag("section", tag("h2", "Not checked"), tag("ul", unchecked or tag("li", "nothing was left out"))),
    ]
    return document(title, body, STYLE, SCRIPT)


def _evidence(place: int, check: Mapping[str, Any]) -> Element:
    return overview.violation(
        place,
        Check(
            name=check["name"],
            kind=check["kind"],
            cases=check["cases"],
            verdict=check["verdict"],
            seconds=check["seconds"],
            counterexample=check["counterexample"],
            timelines=tuple(check["timelines"]),
        ),
        is_folded=False,
    )
