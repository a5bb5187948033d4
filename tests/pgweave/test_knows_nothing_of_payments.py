"""The engine has no word of payments; import-linter sees its imports, this its words."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable

WORD = re.compile(r"payment|captur(e|es|ed)\b|authori[sz](e|es|ed)\b", re.IGNORECASE)


def files(folder: Traversable) -> list[Traversable]:
    found = [each for each in folder.iterdir() if each.name != "__pycache__"]
    return [file for each in found for file in (files(each) if each.is_dir() else [each])]


def test_no_word_of_payments() -> None:
    engine = files(resources.files("pgweave"))
    assert len(engine) > 50
    assert [
        f"{file}:{number}: {line}"
        for file in engine
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if WORD.search(line)
    ] == []


def test_a_word_of_payments_is_found() -> None:
    assert WORD.search("def load(dsn, clock_function='payment_clock')")
