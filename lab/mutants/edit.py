"""Changes of a package's source, anchored so that they fail loudly when the code has moved on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class EditError(ValueError):
    """An edit that does not fit the code; the message names the file and the anchor."""


@dataclass(frozen=True)
class Edit:
    """One change of a file: ``find``, which must stand in it exactly once, becomes ``replace``.

    Attributes:
        file: the file, relative to the package.
        find: the anchor; ``None`` for a new file.
        replace: what stands there instead, or in the new file.
    """

    file: str
    find: str | None
    replace: str

    def apply(self, package: Path) -> None:
        """Change the file of the package in this folder.

        Raises:
            EditError: if the anchor does not stand in the file exactly once, or a new file exists already.
        """
        path = package / self.file
        if self.find is None:
            if path.exists():
                raise EditError(f"{self.file} exists already; an edit without an anchor makes a new file")
            path.write_text(self.replace, encoding="utf-8")
            return
        if not path.is_file():
            raise EditError(f"{self.file} is no file of {package}")
        source = path.read_text(encoding="utf-8")
        found = source.count(self.find)
        if found != 1:
            raise EditError(f"{self.file}: the anchor stands {found} times in it, not once: {self.find!r}")
        path.write_text(source.replace(self.find, self.replace), encoding="utf-8")


def mutated_copy(package: Path, folder: Path, edits: Sequence[Edit]) -> Path:
    """Copy a package into a folder, with the edits applied in their order; the folder is for ``PYTHONPATH``.

    Raises:
        EditError: if an edit does not fit.
    """
    target = folder / package.name
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        edit.apply(target)
    return folder
