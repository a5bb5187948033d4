"""The catalogue: a TOML file for each mutant, which says what it stands for and what should find it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

from lab.mutants.edit import Edit

TechniqueName: TypeAlias = Literal["static", "model", "machine", "exploration", "faults", "stress"]
Category: TypeAlias = Literal["locking", "idempotency", "time", "transaction", "input", "schema"]

_INVARIANT = re.compile(r"I([1-9]|1[012])")


class CatalogueError(ValueError):
    """A catalogue that cannot be used; the message names the file and what is wrong with it."""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An edit as the file has it; one without ``find`` makes a new file."""

    file: str
    replace: str
    find: str | None = None


class Mutant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bug that real services have had, as edits of this one.

    Attributes:
        name: the file's name without its suffix.
        category: where in a service such bugs live.
        stands_for: the bug, as it is met elsewhere.
        breaks: the invariants of the specification that it breaks.
        expected: the techniques that should find it.
        edits: the changes, in their order, of files relative to the package.
        also: other mutants of the catalogue whose changes come first.
        arguments: options of a technique's command that narrow what it tries, by technique.
        source: the address of an account of one like it; ``None`` where none is known.
    """

    name: str
    category: Category
    stands_for: str
    breaks: tuple[str, ...]
    expected: tuple[TechniqueName, ...]
    edits: tuple[Change, ...] = ()
    also: tuple[str, ...] = ()
    arguments: Mapping[TechniqueName, tuple[str, ...]] = {}
    source: Annotated[str, msgspec.Meta(pattern="^https://")] | None = None


class Catalogue(Mapping[str, Mutant]):
    """Mutants by name, in the order of categories, then of names.

    Args:
        mutants: the mutants.

    Raises:
        CatalogueError: if one names another that there is not.
    """

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        order = get_args(Category)
        ordered = sorted(mutants, key=lambda mutant: (order.index(mutant.category), mutant.name))
        self._mutants = {mutant.name: mutant for mutant in ordered}
        for mutant in ordered:
            for other in mutant.also:
                if other not in self._mutants or self._mutants[other].also:
                    raise CatalogueError(
                        f"{mutant.name}: also names {other!r}, which is no mutant without an also of its own"
                    )

    def __getitem__(self, name: str) -> Mutant:
        """The mutant of a name."""
        return self._mutants[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._mutants)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._mutants)

    def edits(self, name: str) -> tuple[Edit, ...]:
        """Every change that a mutant makes, those of the mutants that it builds on first."""
        mutant = self._mutants[name]
        before = [change for other in mutant.also for change in self._mutants[other].edits]
        return tuple(Edit(each.file, each.find, each.replace) for each in (*before, *mutant.edits))


def load(folder: Path) -> Catalogue:
    """Read every mutant of a folder.

    Raises:
        CatalogueError: if there is none, or a file does not say what it should.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise CatalogueError(f"{folder} holds no mutants; name the folder of the catalogue")
    return Catalogue([_read(file) for file in files])


def _read(file: Path) -> Mutant:
    try:
        mutant = msgspec.toml.decode(file.read_bytes(), type=Mutant)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{file}: {error}") from error
    problem = _problem(mutant, file.stem)
    if problem is not None:
        raise CatalogueError(f"{file}: {problem}")
    return mutant


def _problem(mutant: Mutant, stem: str) -> str | None:
    """What is wrong with a mutant that has every field."""
    if mutant.name != stem:
        return f"the name is {mutant.name!r}; a mutant has the name of its file"
    if not mutant.stands_for.strip():
        return "stands_for is empty; say which bug of real services this is"
    if not mutant.expected:
        return "expected is empty; name the techniques that should find it"
    if not mutant.edits and not mutant.also:
        return "there are no edits"
    unknown = [each for each in mutant.breaks if _INVARIANT.fullmatch(each) is None]
    if unknown or not mutant.breaks:
        return f"breaks names no invariant of I1 to I12: {', '.join(unknown) or 'it is empty'}"
    useless = [edit.file for edit in mutant.edits if edit.find == edit.replace]
    return f"an edit of {useless[0]} changes nothing" if useless else None
