"""The engine has no word of payments; import-linter sees its imports, this its words."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable

import pytest

WORD = re.compile(r"payment|captur(e|es|ed)\b|authori[sz](e|es|ed)\b", re.IGNORECASE)


def files(folder: Traversable) -> list[Traversable]:
    found = [each for each in folder.iterdir() if each.name != "__pycache__"]
    return [file for each in found for file in (files(each) if each.is_dir() else [each])]


@pytest.mark.parametrize(
    "file", files(resources.files("pgweave")), ids=lambda file: str(file).rpartition("pgweave/")[2]
)
def test_no_word_of_payments(file: Traversable) -> None:
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    assert [f"{number}: {line}" for number, line in lines if WORD.search(line)] == []


def test_a_word_of_payments_is_found() -> None:
    assert WORD.search("def load(dsn, clock_function='payment_clock')")
