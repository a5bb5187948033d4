"""Pages are lines that fit a screen: prose under 120 characters, and a README of two screens."""

from __future__ import annotations

import re

from tests.docs.pages import README, ROOT

LIMIT = 120
TWO_SCREENS = 90
WRITTEN = [page for folder in ("", "adr", "tla") for page in sorted((ROOT / "specs" / folder).glob("*.md"))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *WRITTEN]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MADE = re.compile(r"^<!-- made by .*?^<!-- end of ", re.MULTILINE | re.DOTALL)


def long_lines(page: str) -> list[str]:
    """The lines of prose that are too long; a row of a table and a picture's text cannot be broken."""
    lines = MADE.sub("", FENCE.sub("", page)).splitlines()
    return [line for line in lines if len(line) >= LIMIT and not line.startswith(("|", "!["))]


def test_lines_of_prose_are_under_120_characters() -> None:
    found = {str(page.relative_to(ROOT)): long_lines(page.read_text()) for page in PAGES}
    assert {page: lines for page, lines in found.items() if lines} == {}


def test_a_long_line_is_found_in_prose_only() -> None:
    long = "x" * LIMIT
    made = f"<!-- made by `make specs`: a -->\n{long}\n<!-- end of a -->"
    page = f"short\n```\n{long}\n```\n{made}\n| {long} |\n![{long}](a.svg)\n- {long}"
    assert long_lines(page) == [f"- {long}"]


def test_the_readme_has_two_screens() -> None:
    assert len(README.splitlines()) <= TWO_SCREENS
