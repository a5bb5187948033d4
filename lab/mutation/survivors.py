"""What cosmic-ray's session says, and which survivors have been argued away by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

_NOTICED = re.compile(r"^(FAILED|ERROR) tests/", re.MULTILINE)
"""How pytest's summary names a test that failed, or a file of tests that could not be imported."""


@dataclass(frozen=True, order=True)
class Change:
    """A generated mutant, by what it changes; that does not move with the lines above it.

    Attributes:
        module: the file.
        was: the line as it is, without its indent.
        becomes: the line as it was changed.
        row: the number of the line, to find it; two changes are equal without it.
    """

    module: str
    was: str
    becomes: str
    row: int = field(default=0, compare=False)

    def __str__(self) -> str:
        place = f"{self.module}:{self.row}" if self.row else self.module
        return f"{place}\n    - {self.was}\n    + {self.becomes}"


class _Argued(msgspec.Struct, forbid_unknown_fields=True):
    module: str
    was: str
    becomes: str
    why: str


class _Survivors(msgspec.Struct, forbid_unknown_fields=True):
    survivor: list[_Argued] = []


@dataclass(frozen=True)
class Session:
    """What came of a session.

    Attributes:
        killed: how many mutants a test noticed.
        skipped: how many were left out by their operator.
        waiting: how many have not been tried.
        survived: those that no test noticed.
        broken: those of which nothing is known: the tool failed, or no test failed and the run did, as when
            its time was up.
    """

    killed: int
    skipped: int
    waiting: int
    survived: Sequence[Change]
    broken: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """What a session and the arguments come to.

    Attributes:
        unargued: the survivors that are not argued away. An argument is for one mutant: of two that make the
            same change of the same line at two places, one is left.
        stale: what is argued away, and does not survive.
    """

    unargued: Sequence[Change]
    stale: Sequence[Change]
    exit_code: Literal[0, 1, 2]


def judged(found: Session, reasons: Mapping[Change, str]) -> Verdict:
    """Hold what survived against what is argued away; what is stale is known once all were tried."""
    left = set(reasons)
    unargued = []
    for change in found.survived:
        if change in left:
            left.remove(change)
        else:
            unargued.append(change)
    stale = [] if found.waiting else [change for change in reasons if change not in found.survived]
    if unargued or stale:
        return Verdict(unargued, stale, 1)
    return Verdict(unargued, stale, 2 if found.waiting or found.broken else 0)


def argued(path: Path) -> Mapping[Change, str]:
    """The survivors that are no faults of the tests, and for each why.

    Raises:
        msgspec.MsgspecError: if the file does not say what it should.
        ValueError: if one has no reason.
    """
    listed = msgspec.toml.decode(path.read_bytes(), type=_Survivors).survivor
    for each in listed:
        if not each.why.strip():
            raise ValueError(f"{path}: no reason is given for {each.was!r}")
    return {Change(each.module, each.was, each.becomes): each.why.strip() for each in listed}


def summed_up(dump: Iterable[str]) -> Session:
    """Read what ``cosmic-ray dump`` prints: a line for each mutant, with its result or ``null``."""
    killed = skipped = waiting = 0
    survived: list[Change] = []
    broken: list[str] = []
    for line in dump:
        item, result = msgspec.json.decode(line)
        [mutation] = item["mutations"]
        module = mutation["module_path"]
        if result is None:
            waiting += 1
        elif result["worker_outcome"] == "skipped":
            skipped += 1
        elif result["test_outcome"] == "survived":
            survived.append(change_in(module, result["diff"], mutation["start_pos"][0]))
        elif result["test_outcome"] == "killed" and _NOTICED.search(result["output"]):
            killed += 1
        else:
            broken.append(f"{module}: {_problem(result)}")
    return Session(killed, skipped, waiting, sorted(survived), broken)


def change_in(module: str, diff: str, row: int) -> Change:
    """The change that a unified diff shows, of this line."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, becomes = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in ("-", "+")
    )
    return Change(module, was, becomes, row)


def _problem(result: Mapping[str, Any]) -> str:
    return f"{result['worker_outcome']}, {result['test_outcome']}: {result['output'] or ''}"[:500]
