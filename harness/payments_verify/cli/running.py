"""What commands that run checks share: progress on the terminal, a table or JSON of results, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from payments_verify.result import CheckResult, Verdict, worst_exit_code

Report = Callable[[int, int, str], None]

_STYLE = {"holds": "green", "violated": "bold red", "could not run": "yellow"}


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """Show how far a check has come, on standard error; the block gets a function to report with."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, text="")

        def report(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, text=text)

        yield report


def verdict_text(verdict: Verdict) -> str:
    """A verdict in its colour, as rich's markup."""
    return f"[{_STYLE[verdict]}]{verdict}[/]"


def show(results: Sequence[CheckResult], console: Console) -> None:
    """Print one table of results, and each counterexample below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check")
    table.add_column("cases", justify="right")
    table.add_column("verdict")
    table.add_column("seconds", justify="right")
    for result in results:
        table.add_row(result.name, f"{result.cases:,}", verdict_text(result.verdict), f"{result.seconds:.1f}")
    console.print(table)
    for result in results:
        if result.counterexample is not None:
            console.print(f"\n[bold]{result.name}[/]: {result.verdict}")
            console.print(result.counterexample, markup=False, highlight=False, soft_wrap=True)


def interrupted() -> CheckResult:
    """What stands in the results for the checks that an interrupt kept from running."""
    return CheckResult(
        name="the rest",
        kind="interrupted",
        cases=0,
        verdict="could not run",
        seconds=0.0,
        counterexample="interrupted before it ran",
    )


def finish(results: Sequence[CheckResult], *, as_json: bool) -> NoReturn:
    """Print the results and leave with their exit code: 0 all hold, 1 one is violated, 2 could not run."""
    if as_json:
        encoded = msgspec.json.encode([result.as_json() for result in results])
        typer.echo(msgspec.json.format(encoded).decode())
    else:
        show(results, Console(soft_wrap=True))
    raise typer.Exit(worst_exit_code(list(results)))
