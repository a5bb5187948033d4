"""Explorations as a table, and what they found below it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table

from payments_verify.called import command_line
from payments_verify.cli.running import print_text, quoted, verdict_text
from payments_verify.payments.exploration.scenario import ExploredScenario
from pgweave.interleavings.report import NaiveCount
from pgweave.interleavings.strategy import Coverage

_LARGEST_IN_FULL = 1e6
"""Larger estimates are written with three digits: they are known no better."""


def show_explored(found: Sequence[ExploredScenario], console: Console) -> None:
    """Print a table of explorations, and each violation below it; 80 columns are enough."""
    table = _table(found)
    if Measurement.get(console, console.options.update(max_width=1_000), table).maximum > console.width:
        table = _narrow_table(found)
    console.print(table)
    for each in found:
        if each.report.asymmetry:
            console.print(f"\n[bold]{quoted(each.scenario.name)}[/]: clients are not interchangeable")
            print_text(console, each.report.asymmetry)
        if each.problem is not None:
            console.print(f"\n[bold]{quoted(each.scenario.name)}[/]: {each.verdict}")
            print_text(console, each.problem)
        if each.schedule is not None:
            print_text(console, f"run it again: {command_line('replay', each.schedule)}")


def _table(found: Sequence[ExploredScenario]) -> Table:
    table = _with_columns("scenario", "schedules", "of", "", "verdict", "seconds")
    for each in found:
        name, schedules, of, verdict, seconds = _cells(each)
        table.add_row(name, schedules, of, _extent(each), verdict, seconds)
    return table


def _narrow_table(found: Sequence[ExploredScenario]) -> Table:
    """The same, with what was run below the scenario's name, where it may take several lines."""
    table = _with_columns("scenario", "schedules", "of", "verdict", "seconds")
    table.columns[0].no_wrap = False
    for each in found:
        table.add_row(*_cells(each))
        table.add_row(Padding(_extent(each), (0, 0, 0, 2)))
    table.columns[0].min_width = table.columns[0].max_width = max(
        (len(each.scenario.name) for each in found), default=0
    )
    return table


def _with_columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(
            name, justify="right" if name in ("schedules", "of", "seconds") else "left", no_wrap=True
        )
    return table


def _cells(explored: ExploredScenario) -> tuple[str, str, str, str, str]:
    report = explored.report
    return (
        quoted(explored.scenario.name),
        f"{report.schedules:,}",
        _naive(report.naive),
        verdict_text(explored.verdict),
        f"{explored.seconds:.1f}",
    )


def _naive(count: NaiveCount | None) -> str:
    if count is None:
        return ""
    if count.known == "counted":
        return f"{count.schedules:,.0f}"
    return f"about {count.schedules:{'.3g' if count.schedules > _LARGEST_IN_FULL else ',.0f'}}"


def _extent(explored: ExploredScenario) -> str:
    report = explored.report
    if explored.violation is not None:
        return "stopped at a violation"
    if not report.complete:
        return "incomplete"
    return {
        Coverage.SCHEDULES: "every schedule",
        Coverage.CLASSES: f"complete{_symmetry(report.interchangeable) or ': one of each class'}",
        Coverage.BOUNDED: "every schedule within the bound",
        Coverage.SAMPLE: "a sample",
    }[report.coverage]


def _symmetry(groups: Sequence[Sequence[int]]) -> str:
    """Say how many clients change places in the schedules that were left out."""
    return (
        f", up to symmetry of {' and '.join(str(len(group)) for group in groups)} clients" if groups else ""
    )
