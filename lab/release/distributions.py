"""The distributions: each a project of its own, with packages of this one, as `pyproject.toml` says.

``[tool.distributions.NAME]`` names the packages, the extra whose requirements it always has, and the extras
that it offers. An extra that another distribution has becomes a requirement of that distribution.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

Table: TypeAlias = Mapping[str, str | Sequence[str]]

_OF_ITSELF = re.compile(r"payments-core\[([\w,-]+)\]")
_KEPT = ("license", "license-files", "requires-python")


class Distribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is built and installed by itself.

    Attributes:
        description: one line.
        packages: their folders, from the root.
        requires: the extra whose requirements it always has; none if empty.
        extras: those that it offers.
    """

    description: str
    packages: tuple[str, ...]
    requires: str = ""
    extras: tuple[str, ...] = ()


class Distributions:
    """All of them.

    Args:
        root: the checkout.
        version: theirs.
    """

    def __init__(self, root: Path, version: str) -> None:
        self._root, self._version = root, version
        read = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        self._build_system, self._project = read["build-system"], read["project"]
        self.named = msgspec.convert(read["tool"]["distributions"], dict[str, Distribution])

    def write(self, name: str, folder: Path) -> None:
        """Write the project of one of them to a folder, which is made."""
        distribution = self.named[name]
        folder.mkdir(parents=True)
        for package in distribution.packages:
            source = self._root / package
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("LICENSE", "README.md", "CHANGELOG.md"):
            shutil.copy(self._root / file, folder)
        tables = self._tables(name, distribution)
        (folder / "pyproject.toml").write_text("\n".join(map(_shown, tables, tables.values())))

    def _tables(self, name: str, distribution: Distribution) -> Mapping[str, Table]:
        """The tables of its ``pyproject.toml``."""
        whole = self._project
        packages = [Path(package).name for package in distribution.packages]
        project: Table = {
            "name": name,
            "version": self._version,
            "description": distribution.description,
            "readme": "README.md",
            "dependencies": self._requirements(name, distribution.requires) if distribution.requires else [],
            **{each: whole[each] for each in _KEPT},
        }
        return {
            "build-system": self._build_system,
            "project": project,
            "project.optional-dependencies": {
                each: self._requirements(name, each) for each in distribution.extras
            },
            "project.scripts": _within(packages, whole["scripts"]),
            **{
                f'project.entry-points."{group}"': _within(packages, found)
                for group, found in whole["entry-points"].items()
            },
            "tool.hatch.build.targets.wheel": {"packages": packages},
            "tool.hatch.build.targets.sdist": {"only-include": [*packages, "CHANGELOG.md"]},
        }

    def _requirements(self, name: str, extra: str) -> Sequence[str]:
        """What an extra of the whole requires, for this distribution."""
        if (owner := self._owner(extra)) != name:
            return [self._pinned(owner, extra)]
        found: list[str] = []
        for requirement in self._project["optional-dependencies"][extra]:
            of_itself = _OF_ITSELF.fullmatch(requirement)
            found += [requirement] if of_itself is None else self._of_ours(name, of_itself[1].split(","))
        return found

    def _of_ours(self, name: str, extras: Sequence[str]) -> Iterator[str]:
        for extra in extras:
            owner = self._owner(extra)
            if owner != name:
                yield self._pinned(owner, extra)
            elif extra != self.named[name].requires:
                yield f"{name}[{extra}]"

    def _pinned(self, owner: str, extra: str) -> str:
        shown = "" if self.named[owner].requires == extra else f"[{extra}]"
        return f"{owner}{shown}=={self._version}"

    def _owner(self, extra: str) -> str:
        """The distribution that always has what an extra requires; else the last that offers it."""
        requires = [name for name, each in self.named.items() if each.requires == extra]
        offers = [name for name, each in self.named.items() if extra in each.extras]
        return (requires or offers)[-1]


def _within(packages: Sequence[str], named: Mapping[str, str]) -> Table:
    """The programs, or entry points, whose code is in one of these packages."""
    return {
        name: place for name, place in named.items() if place.partition(":")[0].partition(".")[0] in packages
    }


def _shown(name: str, table: Table) -> str:
    """A table as TOML, in which strings and lists of them are written as in JSON."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
    return "\n".join([f"[{name}]", *lines, ""])
