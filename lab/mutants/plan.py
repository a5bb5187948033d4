"""Which trials there are: for each mutant its techniques, and for the code as it is all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.mutants.catalogue import Catalogue, Mutant, TechniqueName
from lab.mutants.edit import mutated_copy
from lab.mutants.techniques import CHECKS, DISCOVERY, MAIN_JOB, Technique
from lab.mutants.trial import arguments_of
from lab.static_checks.session_levels import PAGE
from payments_verify.sources import sources_hash

UNMUTATED = "(as it is)"
"""The row of the code as it is."""


@dataclass(frozen=True)
class Planned:
    """A trial to be made.

    Attributes:
        row: the mutant's name, or ``UNMUTATED``.
        technique: the technique.
        arguments: its command line.
        key: equal for trials of the same command on the same tree, as far as the technique reads it, by the
            same version of the harness.
    """

    row: str
    technique: Technique
    arguments: tuple[str, ...]
    key: str


def copies(package: Path, folder: Path, catalogue: Catalogue, names: Sequence[str]) -> dict[str, Path]:
    """A copy of the package for each row, each in a folder of its own.

    Raises:
        EditError: if an edit does not fit.
    """
    rows = {UNMUTATED: (), **{name: catalogue.edits(name) for name in names}}
    return {
        row: mutated_copy(package, folder / f"{number:03}", edits)
        for number, (row, edits) in enumerate(rows.items())
    }


def planned(
    catalogue: Catalogue,
    trees: Mapping[str, Path],
    techniques: Mapping[TechniqueName, Technique],
    *,
    only: Sequence[TechniqueName] = (),
    all_techniques: bool = False,
    salt: str = "",
) -> list[Planned]:
    """The trials, those of the code as it is first.

    Args:
        catalogue: the mutants.
        trees: a copy for each row, see `copies`.
        techniques: by name.
        only: the techniques that are wanted; all of them for none.
        all_techniques: whether a mutant is tried by those that are not expected to find it, too.
        salt: whatever else a result depends on.
    """
    wanted = [each for name, each in techniques.items() if not only or name in only]
    mutants = [catalogue[row] for row in trees if row != UNMUTATED]
    found = []
    for row in trees:
        for technique in wanted:
            if row != UNMUTATED:
                budgets = _budgets([catalogue[row]], technique, all_techniques=all_techniques)
            elif technique.covers_all:
                budgets = [None]
            else:
                # What a mutant is looked for with has to say nothing about the code as it is.
                budgets = [None, *_budgets(mutants, technique, all_techniques=all_techniques)]
            commands = dict.fromkeys(arguments_of(technique, narrowed) for narrowed in budgets)
            found += [_trial(trees, row, technique, each, salt) for each in commands]
    return found


def planned_main_job(
    catalogue: Catalogue, trees: Mapping[str, Path], *, quick: bool = False, salt: str = ""
) -> list[Planned]:
    """One trial for each row: the main job, up to a check that shows what the mutant breaks."""
    found = []
    # The code as it is comes last: nothing ends its trial before the whole job is done.
    for row in sorted(trees, key=lambda each: each == UNMUTATED):
        options = ["--quick"] if quick else []
        if row != UNMUTATED:
            options += [part for each in catalogue[row].breaks for part in ("--until", each)]
            first = (title for each in catalogue[row].expected for title in CHECKS[each])
            options += [part for title in first for part in ("--first", title)]
        found.append(_trial(trees, row, MAIN_JOB, arguments_of(MAIN_JOB, options), salt))
    return found


def planned_discovery(
    catalogue: Catalogue, trees: Mapping[str, Path], exploration: Technique, salt: str = ""
) -> list[Planned]:
    """Two trials for each mutant: the scenarios that somebody wrote, and those that are discovered.

    Of the code as it is there is one: what is discovered of it holds.
    """
    found = []
    for row in trees:
        written = [] if row == UNMUTATED else [(exploration, catalogue[row].arguments.get("exploration"))]
        for technique, narrowed in (*written, (DISCOVERY, None)):
            found.append(_trial(trees, row, technique, arguments_of(technique, narrowed), salt))
    return found


def _budgets(
    mutants: Sequence[Mutant], technique: Technique, *, all_techniques: bool
) -> list[tuple[str, ...] | None]:
    """What a technique tries of a mutant; or, of the code as it is, all that it tries of these mutants."""
    return [
        next((narrowed for name, narrowed in mutant.arguments.items() if name == technique.name), None)
        for mutant in mutants
        if all_techniques or technique.name in mutant.expected
    ]


def _trial(
    trees: Mapping[str, Path], row: str, technique: Technique, arguments: tuple[str, ...], salt: str
) -> Planned:
    """A trial; its key is a hash of what it reads, of its command line, and of the code that makes it."""
    (package,) = (path for path in trees[row].iterdir() if path.is_dir())
    digest = hashlib.sha256()
    for path in sorted((package / technique.reads).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(package)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    digest.update("\0".join((*arguments, salt + _checks_hash())).encode())
    return Planned(row, technique, arguments, digest.hexdigest()[:32])


def _checks_hash() -> str:
    """A hash of what judges a mutant; which other mutants there are says nothing of one."""
    return sources_hash("lab", without=("lab/mutants/bugs/",)) + hashlib.sha256(PAGE.read_bytes()).hexdigest()
