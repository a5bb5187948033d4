"""Which code this is: what was found by one version says nothing of another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

_PACKAGES = ("payments_model", "payments_core", "pgweave", "payments_verify")


@cache
def sources_hash(*more: str, without: tuple[str, ...] = ()) -> str:
    """A hash of the packages, and of more that are named, as they are imported.

    Args:
        more: other packages.
        without: folders that do not count, as ``PACKAGE/FOLDER/``.
    """
    digest = hashlib.sha256()
    for package in (*_PACKAGES, *more):
        for name, file in sorted(_files(resources.files(package), package)):
            if not name.startswith(without):
                digest.update(f"{name}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def folder_hash(folder: Path) -> str:
    """A hash of a folder's files, those in hidden folders and of installed packages left out."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        skipped = any(part.startswith((".", "node_modules", "__pycache__")) for part in name.parts)
        if file.is_file() and not skipped:
            digest.update(f"{name}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _files(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir() and each.name != "__pycache__":
            yield from _files(each, f"{name}/{each.name}")
        elif each.is_file():
            yield f"{name}/{each.name}", each
