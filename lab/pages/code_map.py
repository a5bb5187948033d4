"""The map of the code: every package, what is at home there, and which others it imports.

Both come from the code: the first sentence of the package's own text, and its import statements.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.pages.blocks import code, table

ROOTS = (
    "model/payments_model",
    "impl/payments_core",
    "impl/payments_client",
    "impl/payments_demo",
    "harness/pgweave",
    "harness/payments_verify",
    "lab",
)
"""The packages that stand for themselves, by their places."""

_SENTENCE = re.compile(r"(.+?)(?:\.\s|[.:]?$)", re.DOTALL)


class NoTextError(ValueError):
    """A package does not say what it is."""


@dataclass
class Package:
    """A package, or a module that stands beside packages.

    Attributes:
        place: its folder or file in the repository.
        says: the first sentence of its text.
        imports: the packages of ours that it imports, by their dotted names.
    """

    place: str
    says: str
    imports: set[str] = field(default_factory=set)


def code_map(root: Path) -> str:
    """Every package as a Markdown table.

    Args:
        root: the repository's folder.

    Raises:
        NoTextError: a package does not say what it is.
    """
    packages = dict(_packages(root))
    for name, package in packages.items():
        for file in _modules_of(root / package.place, name, packages):
            imported = (_package_of(each, packages) for each in _imports(file))
            package.imports |= {each for each in imported if each and each != name}
    rows = [
        (f"`{each.place}`", each.says, code(_named(each.imports, name))) for name, each in packages.items()
    ]
    return table(("where", "what is at home there", "imports"), rows)


def _packages(root: Path) -> Iterator[tuple[str, Package]]:
    for place in ROOTS:
        top = root / place
        inner = sorted(each.parent for each in top.rglob("__init__.py") if each.parent != top)
        beside = [each for each in sorted(top.glob("*.py")) if inner and not each.name.startswith("__")]
        for path in (top, *beside, *inner):
            says = _said(path if path.is_file() else path / "__init__.py")
            yield _dotted(path.with_suffix(""), top), Package(f"{path.relative_to(root)}", says)


def _dotted(path: Path, top: Path) -> str:
    return ".".join((top.name, *path.relative_to(top).parts))


def _said(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    first = _SENTENCE.match(text.split("\n\n")[0])
    if first is None:
        raise NoTextError(f"{file} does not say in its first line what is at home there")
    return " ".join(first[1].split())


def _modules_of(place: Path, name: str, packages: Mapping[str, Package]) -> Iterator[Path]:
    """The modules that are the package's own, and not those of a package in it."""
    if place.is_file():
        yield place
        return
    for file in place.glob("*.py"):
        if f"{name}.{file.stem}" not in packages:
            yield file


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _package_of(module: str, packages: Mapping[str, Package]) -> str | None:
    while module not in packages and "." in module:
        module = module.rpartition(".")[0]
    return module if module in packages else None


def _named(imported: Collection[str], by: str) -> list[str]:
    """Packages beside the one that imports them by their names there, and others by their roots."""
    root = by.partition(".")[0]
    beside = {each.removeprefix(f"{root}.") for each in imported if each.partition(".")[0] == root}
    return [*sorted(beside - {root}), *sorted({each.partition(".")[0] for each in imported} - {root})]
