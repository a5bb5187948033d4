"""The histories with known verdicts that others recorded; they are not part of this repository."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

FOLDER = Path(os.environ.get("PEER_HISTORIES") or Path(__file__).parents[3] / "shared" / "peer-histories")
INDEX = FOLDER / "porcupine" / "INDEX.json"

needs_peers = pytest.mark.skipif(
    not INDEX.exists(),
    reason=f"the peer histories are not at {FOLDER} (no {INDEX.name}); set PEER_HISTORIES to their folder",
)


class _Entry(msgspec.Struct):
    linearizable: bool
    model: str


class _Index(msgspec.Struct):
    files: dict[str, _Entry]


def peer_verdicts() -> dict[Path, str]:
    """Return the known verdict of every peer history; none where the folder is missing."""
    if not INDEX.exists():
        return {}
    index = msgspec.json.decode(INDEX.read_bytes(), type=_Index)
    return {
        INDEX.parent / name: "holds" if entry.linearizable else "violated"
        for name, entry in index.files.items()
    }
