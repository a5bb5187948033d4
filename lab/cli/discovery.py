"""`python -m lab discovery`: does discovery find, without a scenario, the bugs that scenarios find?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from lab.cli.mutants import CATALOGUE, KEPT, package
from lab.mutants.catalogue import Catalogue, CatalogueError, load
from lab.mutants.edit import EditError
from lab.mutants.matrix import Kept, run_all
from lab.mutants.plan import UNMUTATED, copies, planned_discovery
from lab.mutants.techniques import techniques
from lab.mutants.trial import Trial, run_trial
from lab.pages.blocks import PageError, filled_by
from lab.pages.blocks import table as as_table
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.options import Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import quoted
from payments_verify.cli.telling import print_error, print_json
from payments_verify.suite import QUICK
from pgweave.verdict import Verdict, worst
from pgweave.visible import counted

PAGE = Path("specs/benchmarks.md")
HEADER = (
    "mutant",
    "scenarios",
    "schedules",
    "seconds",
    "discovery",
    "races",
    "schedules",
    "seconds",
    "found in",
)


def discovery(
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this mutant; may be repeated.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials that run side by side.")] = 2,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the results of earlier runs.")] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Try nothing: write the table of what was tried into the page.")
    ] = False,
    page: Annotated[Path, typer.Option(help="The page.")] = PAGE,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Let discovery loose on each mutant that exploration should find, and compare the two.

    Results are kept, so that a run that was ended goes on where it was.

    Exit codes: 0 discovery finds each that scenarios find, and what it discovers of the code as it is holds;
    1 it misses one, or accuses the code as it is; 2 a trial has no verdict.
    """
    try:
        known = load(CATALOGUE)
        names = _named(known, only or [])
        exploration = techniques(QUICK.scenarios)["exploration"]
        with (
            tempfile.TemporaryDirectory(prefix="payments-mutants-") as folder,
            progress_bar("discovery") as progress,
        ):
            trees = copies(package(), Path(folder), known, names)
            plan = planned_discovery(known, trees, exploration, str(postgres_bin or ""))
            done = run_all(
                [] if table else plan,
                trees,
                kept := Kept(KEPT / "discovery", fresh=fresh),
                KEPT / "left-behind",
                workers=workers,
                make_trial=lambda *given, **named: run_trial(*given, bin_dir=postgres_bin, **named),
                on_trial=lambda count, total, last, _left: progress(
                    count, total, f"trials; {last.row}: {last.technique.name}"
                ),
            ) or kept.known(each.key for each in plan)
        rows: Rows = {
            row: {str(each.technique.name): done.get(each.key) for each in plan if each.row == row}
            for row in trees
        }
        if table:
            _require_tried(rows)
            text = as_table(HEADER, [_cells(row, cells) for row, cells in rows.items()])
            page.write_text(filled_by("python -m lab discovery --table", page.read_text(), text))
            return
    except (CatalogueError, EditError, OSError, PageError) as error:
        print_error(error)
        raise no_verdict() from error
    if as_json:
        print_json(
            {row: {name: _state(trial) for name, trial in cells.items()} for row, cells in rows.items()}
        )
    else:
        Console(soft_wrap=True).print(_table(rows))
    leave(_verdict(rows))


def _named(known: Catalogue, only: Sequence[str]) -> list[str]:
    names = [name for name, each in known.items() if "exploration" in each.expected]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise typer.BadParameter(
            f"exploration is not expected to find {', '.join(unknown)}", param_hint="--only"
        )
    return [name for name in names if not only or name in only]


Rows: TypeAlias = Mapping[str, Mapping[str, Trial | None]]


def _require_tried(rows: Rows) -> None:
    """Refuse to write a table of which a part was not tried.

    Raises:
        PageError: a trial is not made.
    """
    missing = sum(trial is None for cells in rows.values() for trial in cells.values())
    if missing:
        raise PageError(f"{counted(missing, 'trial')} of this code still to make: run it without --table")


def _verdict(rows: Rows) -> Verdict:
    return worst(_verdict_on(row, cells) for row, cells in rows.items())


def _verdict_on(row: str, cells: Mapping[str, Trial | None]) -> Verdict:
    states = {name: _state(trial) for name, trial in cells.items()}
    if not set(states.values()) <= {"killed", "survived"}:
        return "no verdict"
    wanted = "survived" if row == UNMUTATED else states["exploration"]
    missed = states["discovery"] == "survived" and wanted == "killed"
    accused = row == UNMUTATED and states["discovery"] == "killed"
    return "violated" if missed or accused else "holds"


def _table(rows: Rows) -> Table:
    table = Table(*HEADER, box=None, pad_edge=False, header_style="bold")
    for row, cells in rows.items():
        table.add_row(*map(quoted, _cells(row, cells)))
    return table


def _cells(row: str, cells: Mapping[str, Trial | None]) -> list[str]:
    """A line of the table: what the scenarios needed, and what discovery needed, up to the kill."""
    written, found = cells.get("exploration"), cells.get("discovery")
    return [
        row,
        *(["", "", ""] if row == UNMUTATED else [_state(written), _tries(written), _seconds(written)]),
        _state(found),
        "" if found is None or found.size is None else f"{found.size:,}",
        _tries(found),
        _seconds(found),
        "" if found is None else found.check,
    ]


def _seconds(trial: Trial | None) -> str:
    return "" if trial is None or trial.seconds is None else f"{trial.seconds:.1f}"


def _state(trial: Trial | None) -> str:
    return "not run" if trial is None else trial.state


def _tries(trial: Trial | None) -> str:
    return "" if trial is None else f"{trial.tries:,}"
