"""The examples are written by the front door alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ("seats", "transfers")
FILES = [
    each
    for name in EXAMPLES
    for each in (ROOT / "examples" / name).iterdir()
    if each.suffix in {".py", ".js", ".md"}
]
OURS = re.compile(r"payment|^\s*(?:from|import) (?:lab|tests)\b", re.IGNORECASE | re.MULTILINE)
INSIDE = re.compile(r"from pgweave\.")


def test_there_are_examples() -> None:
    assert {each.parent.name for each in FILES} == set(EXAMPLES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_example_uses_the_front_door_alone(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert OURS.search(text) is None
    assert INSIDE.search(text) is None


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_small(name: str) -> None:
    lines = sum(len(each.read_text().splitlines()) for each in FILES if each.parent.name == name)
    assert lines <= 300
