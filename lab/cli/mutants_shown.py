"""What `python -m lab mutants` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from lab.mutants.catalogue import Catalogue
from lab.mutants.figures import figures
from lab.mutants.plan import UNMUTATED
from lab.mutants.results import Matrix
from payments_verify.cli.running import print_text, quoted
from payments_verify.report.kill_matrix import AS_IT_IS, cell_text
from payments_verify.report.saved import Cell, MutantRow, Mutants

_WIDTH = 150  # a narrow terminal breaks lines; a cell that is cut says nothing
_STYLES = {"killed": "green", "survived": "dim", "not tried": "dim", "not yet": "yellow"}


def wide() -> Console:
    """A console that cuts no cell."""
    console = Console(soft_wrap=True)
    console.width = max(console.width, _WIDTH)
    return console


def show_matrix(found: Matrix) -> None:
    """Print the matrix, what it cost, and what is wrong with it."""
    console = wide()
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


def list_mutants_of(known: Catalogue, names: Sequence[str]) -> None:
    """Print what mutants stand for, and what should find them."""
    console = Console(soft_wrap=True)
    for name in names:
        mutant = known[name]
        console.print(
            f"[bold]{quoted(name)}[/]  {mutant.category}; breaks {', '.join(mutant.breaks)}", highlight=False
        )
        print_text(console, textwrap.indent(mutant.stands_for.strip(), "  "))
        console.print(f"  to be found by: {', '.join(mutant.expected)}", highlight=False)
        if mutant.source is not None:
            console.print(f"  one like it: {quoted(mutant.source)}", highlight=False)
