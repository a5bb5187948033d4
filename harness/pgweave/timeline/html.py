"""A timeline as one self-contained page: it loads nothing, and its policy forbids that it does.

It is read without JavaScript too. With it, the arrow keys walk through the schedule.
"""

from __future__ import annotations

from html import escape
from importlib import resources
from xml.etree import ElementTree as ET

from pgweave.timeline import svg
from pgweave.timeline.markup import Element, policy, tag
from pgweave.timeline.model import Timeline
from pgweave.visible import one_line, visible

_FILES = resources.files(__package__)
STYLE = svg.STYLE + _FILES.joinpath("page.css").read_text(encoding="utf-8")
"""The style of a page with figures."""

SCRIPT = _FILES.joinpath("page.js").read_text(encoding="utf-8")
"""The script of a page with figures. It stands at the end of the page."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="{policy}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{heading}{figure}{explanation}{steps}</main>
<script>
{script}</script>
</body>
</html>
"""


def render(timeline: Timeline) -> str:
    """Make a page of it.

    Args:
        timeline: What is drawn.

    Returns:
        An HTML document, which is well-formed XML as well.
    """
    return _PAGE.format(
        policy=escape(policy(f"\n{SCRIPT}"), quote=True),
        title=_text(one_line(timeline.title)),
        style=STYLE,
        heading=_heading(timeline),
        figure=ET.tostring(figure(timeline), encoding="unicode"),
        explanation=_optional("pre", "explanation", timeline.explanation),
        steps=_steps(timeline),
        script=SCRIPT,
    )


def figure(timeline: Timeline) -> Element:
    """The drawing, its legend and its buttons, for a page that has `STYLE` and `SCRIPT`.

    Args:
        timeline: What is drawn.

    Returns:
        A ``figure`` element. A page may have several.
    """
    entries = (tag("li", svg.swatch(each), meaning) for each, meaning in svg.legend(timeline).items())
    buttons = (tag("button", name, type="button") for name in ("← previous", "next →", "show all"))
    return tag(
        "figure",
        tag("figcaption", tag("ul", entries, class_="legend")),
        tag(
            "div",
            svg.drawn(timeline),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label="the schedule",
        ),
        tag(
            "div",
            tag("div", buttons, tag("output"), class_="buttons"),
            tag("pre", aria_live="polite"),
            class_="walk",
            hidden=True,
        ),
        class_="schedule",
    )


def _heading(timeline: Timeline) -> str:
    verdict = "verdict violated" if timeline.is_violation else "verdict"
    return _optional("p", "subtitle", timeline.subtitle) + _optional("p", verdict, timeline.verdict)


def _steps(timeline: Timeline) -> str:
    items = "".join(
        f"<li><pre>{_text(svg.hint(timeline, number))}</pre></li>\n" for number in range(len(timeline.steps))
    )
    return f'<details><summary>Every step in full</summary>\n<ol class="full">\n{items}</ol></details>\n'


def _optional(element: str, class_: str, content: str) -> str:
    return f'<{element} class="{class_}">{_text(content)}</{element}>\n' if content else ""


def _text(content: str) -> str:
    return escape(visible(content), quote=True)
