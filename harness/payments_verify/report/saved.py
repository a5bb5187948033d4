"""What `payments-verify verify` saved: the report, and what lies beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from pgweave.verdict import Verdict

REPORT_FORMAT = "payments-verify-report"
REPORT_VERSION = 2
REPORT_FILE = "report.json"
MUTANTS_FILE = "mutants.json"
PAGE_FILE = "index.html"


class ReportError(ValueError):
    """A folder from which no page can be made; the message says why and what to do."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a report, with what every kind has.

    Attributes:
        name: What was checked.
        kind: The method.
        cases: How many cases the verdict rests on.
        verdict: The verdict.
        seconds: Wall-clock time.
        counterexample: The evidence, or why there is no verdict; None if it holds.
        timelines: The evidence as data to draw.
        more: What its kind has besides.
    """

    name: str
    kind: str
    cases: int
    verdict: Verdict
    seconds: float
    counterexample: str | None = None
    timelines: tuple[dict[str, Any], ...] = ()
    more: dict[str, Any] = {}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What a technique said of a mutant.

    Attributes:
        state: ``killed``, ``survived``, or why neither is known.
        expected: Whether it should have noticed.
        tries: How much it tried until it did.
        seconds: How long that took.
        size: The size of its counterexample.
        unit: What the size counts.
        command: How it was tried.
        evidence: What the technique said.
    """

    state: str
    expected: bool = False
    tries: int | None = None
    seconds: float | None = None
    size: int | None = None
    unit: str | None = None
    command: tuple[str, ...] | None = None
    evidence: str | None = None


class MutantRow(msgspec.Struct, frozen=True, kw_only=True):
    """What all techniques said of a mutant, or of the code as it is, which has no name."""

    verdict: str
    cells: dict[str, Cell]
    name: str = ""
    stands_for: str = ""
    category: str = ""


class Technique(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the kill matrix."""

    name: str


class Mutants(msgspec.Struct, frozen=True, kw_only=True):
    """The kill matrix, as ``make mutants`` writes it: when, UTC, and of which sources, as a hash of them."""

    format: Literal["payments-verify-mutants"]
    version: Literal[2]
    verdict: Verdict
    summary: str
    killed: int
    total: int
    survivors: tuple[str, ...]
    false_alarms: tuple[str, ...]
    techniques: tuple[Technique, ...]
    unmutated: MutantRow
    mutants: tuple[MutantRow, ...]
    finished_at: str = ""
    sources: str = ""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A report; see the README for what each of its keys means.

    ``mutants`` is the kill matrix beside it, or why that cannot be read.
    """

    format: str
    version: int
    verdict: Verdict
    exit_code: int
    seconds: float
    finished_at: str
    seed: int
    quick: bool
    interrupted: bool = False
    machine: dict[str, Any] = {}
    checks: tuple[Check, ...] = ()
    mutants: Mutants | str | None = None

    def of_kind(self, *kinds: str) -> Iterator[Check]:
        """The checks of some kinds."""
        return (check for check in self.checks if check.kind in kinds)


def read(folder: Path) -> Saved:
    """Read the report of a folder, and the mutants beside it if there are any.

    Args:
        folder: Where ``report.json`` is.

    Raises:
        ReportError: There is none, or it is none.
    """
    report = _json(folder / REPORT_FILE, "run `make verify` first, or name the folder that it wrote to")
    saved = of_json(report, str(folder / REPORT_FILE))
    return msgspec.structs.replace(saved, mutants=_mutants(folder / MUTANTS_FILE))


def _mutants(file: Path) -> Mutants | str | None:
    """Whatever is wrong with it, the report is not."""
    if not file.exists():
        return None
    try:
        return msgspec.convert(_json(file, "write it again"), Mutants)
    except (ReportError, msgspec.ValidationError) as error:
        return f"{file.name} cannot be shown: {error}"


def of_json(report: dict[str, Any], source: str) -> Saved:
    """The report that some JSON is.

    Args:
        report: The content of a ``report.json``.
        source: Where it comes from, for messages.

    Raises:
        ReportError: It is no such report.
    """
    if report.get("format") != REPORT_FORMAT:
        raise ReportError(f"{source}: not a report; its format is not {REPORT_FORMAT!r}")
    if report.get("version") != REPORT_VERSION:
        raise ReportError(
            f"{source}: version {report.get('version')} is not supported; this reads {REPORT_VERSION}:"
            " run `make verify` again"
        )
    own = set(Check.__struct_fields__)
    try:
        checks = [
            {**{name: each[name] for name in own & set(each)}, "more": _without(each, own)}
            for each in report.get("checks", ())
        ]
        return msgspec.convert({**report, "checks": checks}, Saved)
    except (msgspec.ValidationError, TypeError) as error:
        raise ReportError(f"{source}: not a valid report: {error}") from None


def _without(check: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in check.items() if name not in names}


def _json(file: Path, what_to_do: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise ReportError(f"{file}: cannot be read: {error.strerror}; {what_to_do}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ReportError(f"{file}: not JSON: {error}; {what_to_do}") from None
    if not isinstance(found, dict):
        raise ReportError(f"{file}: not a JSON object; {what_to_do}")
    return found
