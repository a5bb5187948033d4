"""`python -m lab mutants --main-job`: how many known bugs does the main job alone catch?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table

from lab.cli.mutants_shown import wide
from lab.mutants.catalogue import Catalogue
from lab.mutants.plan import UNMUTATED, Planned
from lab.mutants.results import counts
from lab.mutants.trial import Trial, TrialState
from payments_verify.cli.ends import write_or_tell
from payments_verify.cli.exits import leave, tell_first
from payments_verify.cli.running import print_text, quoted
from payments_verify.cli.telling import print_json, say
from pgweave.verdict import Verdict

Caught: TypeAlias = TrialState | Literal["another reason", "not yet"]
FILE = "main-job.json"

_STYLES = {"killed": "green", "survived": "bold red", "another reason": "bold red"}
_NOT_REPEATED = "What depends on the model alone finds the same of every mutant: it was not repeated."


@dataclass(frozen=True)
class MainJobRow:
    """What the main job says of a mutant, or of the code as it is.

    Attributes:
        name: the mutant's.
        caught: what came of it.
        trial: the trial that says so; ``None`` if it was not made yet.
    """

    name: str
    caught: Caught
    trial: Trial | None

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        trial = self.trial
        return {
            "name": self.name,
            "caught": self.caught,
            "check": None if trial is None else trial.check,
            "breaks": None if trial is None else trial.breaks,
            "seconds": None if trial is None else trial.wall_s,
            "evidence": None if trial is None else trial.evidence,
            "command": None if trial is None else trial.arguments,
        }


def rows_of(known: Catalogue, plan: Sequence[Planned], done: Mapping[str, Trial]) -> list[MainJobRow]:
    """A row for each trial of the plan."""
    return [_row(known, each.row, done.get(each.key)) for each in plan]


def _row(known: Catalogue, name: str, trial: Trial | None) -> MainJobRow:
    if trial is None:
        return MainJobRow(name, "not yet", None)
    is_its_own = trial.state != "killed" or counts(known, name, trial)
    return MainJobRow(name, trial.state if is_its_own else "another reason", trial)


def verdict_on(rows: Sequence[MainJobRow]) -> Verdict:
    """``holds`` if every mutant is caught, and the code as it is comes through."""
    wrong = [row for row in rows if row.caught != ("survived" if row.name == UNMUTATED else "killed")]
    if any(row.caught in ("killed", "survived", "another reason") for row in wrong):
        return "violated"
    return "no verdict" if wrong else "holds"


def summary_of(rows: Sequence[MainJobRow]) -> str:
    """How many were caught."""
    mutants = [row for row in rows if row.name != UNMUTATED]
    found = Counter(row.caught for row in mutants)
    others = "".join(f"; {count} {caught}" for caught, count in found.items() if caught != "killed")
    return f"the main job alone catches {found['killed']} of {len(mutants)} mutants{others}"


def write_rows(rows: Sequence[MainJobRow], output: Path) -> Path:
    """Write what came of it; the file."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode([row.as_json() for row in rows])))
    return path


def show_rows(rows: Sequence[MainJobRow], console: Console) -> None:
    """Print what came of each, and the sum."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("mutant", "main job", "caught by", "breaks", "seconds"):
        table.add_column(name, no_wrap=True, justify="right" if name == "seconds" else "left")
    for row in rows:
        trial = row.trial
        style = _STYLES.get(row.caught, "yellow") if row.name != UNMUTATED else ""
        told = ("", "", "") if trial is None else _told(trial)
        table.add_row(quoted(row.name), f"[{style}]{row.caught}[/]" if style else row.caught, *told)
    console.print(table)
    for row in rows:
        if row.trial is not None and row.caught not in ("killed", "survived"):
            console.print(f"[yellow]{row.caught}[/]: {quoted(row.name)}", highlight=False)
            print_text(console, row.trial.evidence)
    console.print(f"\n{_NOT_REPEATED}", style="dim", highlight=False)


def _told(trial: Trial) -> tuple[str, str, str]:
    breaks = "" if trial.breaks is None else ", ".join(trial.breaks)
    return quoted(trial.check), breaks, f"{trial.wall_s:.0f}"


def end_main_job(rows: Sequence[MainJobRow], output: Path, *, as_json: bool) -> NoReturn:
    """Write and print what the main job caught, and leave."""
    tell_first(verdict_on(rows))
    path = write_or_tell(partial(write_rows, rows, output))
    if as_json:
        print_json([row.as_json() for row in rows])
    else:
        show_rows(rows, wide())
        say(f"{summary_of(rows)}{'' if path is None else f'; report: {path}'}")
    leave(verdict_on(rows), is_whole=path is not None)
