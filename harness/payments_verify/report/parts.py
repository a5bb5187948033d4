"""What the sections of the page are made of: headings, tables, bars, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgweave.timeline.markup import Content, Element, tag

_STATES = {
    "holds": "good",
    "confirmed": "good",
    "killed": "good",
    "violated": "bad",
    "refuted": "bad",
    "survived": "bad",
    "not run": "none",
}


def section(anchor: str, title: str, *content: Content) -> Element:
    """A section that can be linked to."""
    return tag("section", tag("h2", title), *content, id=anchor, aria_label=title)


def note(*content: Content) -> Element:
    """A line of explanation."""
    return tag("p", *content, class_="note")


def verdict(text: str) -> Element:
    """A verdict with its colour and its mark, which tells it to who sees no colours."""
    kind = _STATES.get(text, "open")
    mark = {"good": "✓", "bad": "✗", "none": "–", "open": "?"}[kind]
    return tag("span", tag("span", mark, aria_hidden="true"), " ", text, class_=f"verdict-{kind}")


def number(value: object) -> str:
    """A number with separators; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def table(head: Sequence[str], rows: Iterable[Sequence[Content]], *, right: Iterable[int] = ()) -> Element:
    """A table.

    Args:
        head: The names of its columns.
        rows: What is in them; the first of each row is its heading.
        right: The columns whose content is aligned to the right, from 0.
    """
    columns = set(right)

    def class_of(column: int) -> str | None:
        return "number" if column in columns else None

    names = [tag("th", name, scope="col", class_=class_of(column)) for column, name in enumerate(head)]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=class_of(0)),
            [tag("td", cell, class_=class_of(column)) for column, cell in enumerate(row[1:], 1)],
        )
        for row in rows
    ]
    whole = tag("table", tag("thead", tag("tr", names)), tag("tbody", body))
    return tag("div", whole, class_="wide", tabindex=0, role="region", aria_label=" ".join(head))


def folded(summary: str, *content: Content, is_open: bool = False) -> Element:
    """What is shown when it is asked for."""
    return tag("details", tag("summary", summary), *content, open=is_open)


def text(content: str) -> Element:
    """Preformatted text."""
    return tag("pre", content, class_="text")


def figures(pairs: Iterable[tuple[str, Content]]) -> Element:
    """Numbers, each with its name."""
    return tag(
        "dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs], class_="figures"
    )
