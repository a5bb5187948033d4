"""`python -m lab mutants`: which technique finds which bug, measured on broken copies of the service."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from lab.mutants.catalogue import Catalogue, CatalogueError, load
from lab.mutants.edit import EditError
from lab.mutants.elsewhere import Elsewhere
from lab.mutants.figures import figures
from lab.mutants.matrix import Kept, run_all
from lab.mutants.plan import UNMUTATED, Planned, copies, planned
from lab.mutants.results import Matrix, matrix
from lab.mutants.techniques import techniques
from lab.mutants.trial import Trial, run_trial
from payments_verify.cli.ends import write_or_tell
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.options import ExecutorName, Json, PostgresBin
from payments_verify.cli.running import print_error, print_json, print_text, progress_bar, quoted, say
from payments_verify.executors import ExecutorError, open_executor
from payments_verify.report.kill_matrix import AS_IT_IS, cell_text, write_kill_matrix
from payments_verify.report.saved import Cell, MutantRow, Mutants
from payments_verify.suite import QUICK

PACKAGE = "payments_core"
CATALOGUE = Path("lab/mutants/bugs")
KEPT = Path("build/mutants")
OUTPUT = Path("build/report")

_WIDTH = 150  # a narrow terminal breaks lines; a cell that is cut says nothing
_STYLES = {"killed": "green", "survived": "dim", "not tried": "dim", "not yet": "yellow"}


class TechniqueOption(StrEnum):
    """The techniques."""

    STATIC = "static"
    MODEL = "model"
    MACHINE = "machine"
    EXPLORATION = "exploration"
    FAULTS = "faults"
    STRESS = "stress"


def mutants(
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this mutant; may be repeated.")
    ] = None,
    technique: Annotated[
        list[TechniqueOption] | None, typer.Option(help="Only this technique; may be repeated.")
    ] = None,
    all_techniques: Annotated[
        bool,
        typer.Option(
            "--all-techniques", help="Try a mutant by techniques that are not expected to find it, too."
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Trials that run side by side.")] = 2,
    executor: ExecutorName = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin no trial after this time; run it again to go on.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the results of earlier runs.")] = False,
    list_mutants: Annotated[bool, typer.Option("--list", help="Show the mutants and end.")] = False,
    catalogue: Annotated[Path, typer.Option(help="Folder of the mutants.")] = CATALOGUE,
    kept: Annotated[Path, typer.Option(help="Folder where results are kept.")] = KEPT,
    output: Annotated[Path, typer.Option(help="Folder for mutants.json and mutants.svg.")] = OUTPUT,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Build known bugs into copies of the service, and see which technique finds which.

    The code as it is goes through every technique in the same run. Each trial is a process with a time limit;
    its result is kept under a hash of the sources and the command, so that a run that was ended goes on where
    it was.

    Exit codes: 0 every mutant is killed, and the code as it is survives; 1 a mutant survives, or the code as
    it is does not; 2 the matrix is not complete, or it could not run.
    """
    try:
        known = load(catalogue)
        names = _named(known, only or [])
        if list_mutants:
            _list(known, names, Console(soft_wrap=True))
            raise typer.Exit
        found, seconds = _run(
            known,
            names,
            [each.value for each in technique or []],
            all_techniques=all_techniques,
            workers=workers,
            executor=executor,
            minutes=minutes,
            kept=Kept(kept / "trials", fresh=fresh),
            left_behind=kept / "left-behind",
            bin_dir=postgres_bin,
        )
    except (CatalogueError, EditError, ExecutorError, OSError) as error:
        print_error(error)
        raise no_verdict() from error
    report = _report(found, seconds)
    path = write_or_tell(partial(_write, report, output))
    if as_json:
        print_json(report)
    else:
        console = Console(soft_wrap=True)
        console.width = max(console.width, _WIDTH)
        _show(found, console)
        where = "" if path is None else f"; report: {path}, picture: {path.with_suffix('.svg')}"
        say(f"\n{found.summary}{where}")
    leave(found.verdict, is_whole=path is not None)


def _named(known: Catalogue, only: Sequence[str]) -> list[str]:
    unknown = [name for name in only if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"no mutant is named {', '.join(unknown)}; --list shows what there is", param_hint="--only"
        )
    return [name for name in known if not only or name in only]


def _run(
    known: Catalogue,
    names: Sequence[str],
    only: Sequence[str],
    *,
    all_techniques: bool,
    workers: int,
    executor: str | None,
    minutes: float | None,
    kept: Kept,
    left_behind: Path,
    bin_dir: Path | None,
) -> tuple[Matrix, float]:
    """The matrix, and how long it took."""
    available = techniques(QUICK.scenarios)
    columns = {name: each for name, each in available.items() if not only or name in only}
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="payments-mutants-") as folder,
        progress_bar("mutants") as progress,
        _where(executor, workers) as (make_trial, side_by_side),
    ):
        trees = copies(_package(), Path(folder), known, names)
        plan = planned(known, trees, columns, all_techniques=all_techniques, salt=str(bin_dir or ""))

        def on_trial(done: int, total: int, last: Planned, left: float) -> None:
            spent = time.monotonic() - started
            progress(
                int(spent), int(spent + left), f"s; {done} of {total}: {last.row}: {last.technique.name}"
            )

        done = run_all(
            plan,
            trees,
            kept,
            left_behind,
            workers=side_by_side,
            make_trial=partial(make_trial, bin_dir=bin_dir),
            seconds=None if minutes is None else minutes * 60,
            on_trial=on_trial,
        )
        return matrix(known, list(trees), columns, plan, done), time.monotonic() - started


@contextmanager
def _where(executor: str | None, workers: int) -> Iterator[tuple[Callable[..., Trial], int]]:
    """What makes a trial, and how many run side by side."""
    if executor is None:
        yield run_trial, workers
        return
    with open_executor(executor) as opened:
        yield Elsewhere(opened.executor, QUICK.scenarios), opened.workers or workers


def _package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise CatalogueError(f"the package {PACKAGE} is not installed")
    return Path(spec.origin).parent


def _report(found: Matrix, seconds: float) -> dict[str, Any]:
    return {
        **found.as_json(),
        "figures": figures(found),
        "seconds": round(seconds, 1),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
    }


def _write(report: dict[str, Any], output: Path) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    path = output / "mutants.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    picture = write_kill_matrix(msgspec.convert(report, Mutants))
    path.with_suffix(".svg").write_text(picture + "\n", encoding="utf-8")
    return path


def _show(found: Matrix, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("mutant", no_wrap=True)
    for name in found.techniques:
        table.add_column(name, no_wrap=True)
    saved = msgspec.convert(found.as_json(), Mutants)
    for shown in (saved.unmutated, *saved.mutants):
        table.add_row(
            quoted(shown.name or AS_IT_IS), *(_styled(shown, each) for each in shown.cells.values())
        )
    console.print(table)
    console.print("\ntries · seconds · size of the smallest counterexample", style="dim")
    for row in found.survivors:
        console.print(f"[bold red]survives[/]: {quoted(row)}: {quoted(found.catalogue[row].stands_for)}")
    for name in found.false_alarms:
        trial = found.rows[UNMUTATED][name].trial
        console.print(f"[bold red]false alarm[/]: {name}")
        print_text(console, "" if trial is None else trial.evidence)
    _show_figures(figures(found), console)
    for row, name in found.missed:
        console.print(f"[yellow]not found by {name}[/]: {quoted(row)}: {found.rows[row][name].state}")
    for row in found.unfinished:
        reasons = [cell.trial.evidence for cell in found.rows[row].values() if cell.trial is not None]
        why = next((reason for reason in reasons if reason), "")
        console.print(f"[yellow]not known yet[/]: {quoted(row)}", highlight=False)
        if why:
            print_text(console, textwrap.indent(why, "  "))


def _show_figures(made: Mapping[str, Any], console: Console) -> None:
    for each in made["techniques"]:
        alone = f"; the only finder of {', '.join(each['only_finder_of'])}" if each["only_finder_of"] else ""
        console.print(
            f"{each['name']}: {each['killed']} killed in {each['trials']} trials, {each['cases']:,} cases,"
            f" {each['seconds']:,.0f} s{alone}",
            style="dim",
            highlight=False,
        )
    least = made["cheapest"]
    names = ", ".join(least["techniques"]) or "none"
    console.print(f"cheapest that kill all of these: {names}; {least['seconds']:,.0f} s", style="dim")


def _styled(row: MutantRow, cell: Cell) -> str:
    wrong = cell.state == "survived" and cell.expected if row.name else cell.state == "killed"
    style = "bold red" if wrong else _STYLES.get(cell.state, "yellow")
    return f"[{style}]{cell_text(cell)}[/]" if cell_text(cell) else ""


def _list(known: Catalogue, names: Sequence[str], console: Console) -> None:
    for name in names:
        mutant = known[name]
        console.print(
            f"[bold]{quoted(name)}[/]  {mutant.category}; breaks {', '.join(mutant.breaks)}", highlight=False
        )
        print_text(console, textwrap.indent(mutant.stands_for.strip(), "  "))
        console.print(f"  to be found by: {', '.join(mutant.expected)}", highlight=False)
