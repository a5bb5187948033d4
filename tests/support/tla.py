"""Tests that run TLC, and copies of the specification with something changed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.tla.tlc import SPECIFICATION, Tlc, TlcError, find_tlc

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / SPECIFICATION


def tlc(specification: Path = FOLDER) -> Tlc:
    """TLC, or the test is skipped with the reason why there is none."""
    try:
        return find_tlc(specification)
    except TlcError as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Change:
    """A text of a module, which must stand in it exactly once, becomes another."""

    module: str
    text: str
    other: str


def changed(folder: Path, *changes: Change) -> Path:
    """A copy of the specification with changes."""
    copy = folder / "tla"
    shutil.copytree(FOLDER, copy)
    for change in changes:
        path = copy / f"{change.module}.tla"
        source = path.read_text()
        assert source.count(change.text) == 1, f"{change.module}: {change.text!r} stands not once in it"
        path.write_text(source.replace(change.text, change.other))
    return copy
