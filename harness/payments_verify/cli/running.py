"""What commands that run checks share: a table or JSON of results, and exit codes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from payments_verify.cli.exits import leave, tell_first
from payments_verify.cli.telling import aside, print_json
from payments_verify.result import CheckResult
from pgweave.verdict import Verdict, worst
from pgweave.visible import one_line, visible

_STYLE = {"holds": "green", "violated": "bold red", "no verdict": "yellow"}


def verdict_text(verdict: Verdict, line: str = "") -> str:
    """A verdict, or the line that says more of it, in the verdict's colour, as rich's markup."""
    return f"[{_STYLE[verdict]}]{quoted(line or verdict)}[/]"


def make_table(*columns: str, numbers: Collection[str] = ("cases", "seconds")) -> Table:
    """An empty table with these columns, of which some have numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left")
    return table


def show(results: Sequence[CheckResult], console: Console) -> None:
    """Print one table of results, and each counterexample below it."""
    table = make_table("check", "cases", "verdict", "seconds")
    for result in results:
        name = quoted(result.name)
        table.add_row(
            name, f"{result.cases:,}", verdict_text(result.verdict, result.line), f"{result.seconds:.1f}"
        )
    console.print(table)
    for result in results:
        if result.counterexample is not None:
            console.print(f"\n[bold]{quoted(result.name)}[/]: {result.verdict}")
            print_text(console, result.counterexample)


def print_text(console: Console, text: str) -> None:
    """Print text that others may have written: none of it is markup, and no byte moves the cursor."""
    with aside():
        console.print(visible(text), markup=False, highlight=False, soft_wrap=True)


def quoted(text: object) -> str:
    """What others may have written, as part of a line of rich's markup."""
    return escape(one_line(f"{text}"))


def finish(results: Sequence[CheckResult], *, as_json: bool) -> NoReturn:
    """Print the results and leave with their exit code: 0 all hold, 1 one is violated, 2 could not run."""
    tell_first(worst(result.verdict for result in results))
    if as_json:
        print_json([result.as_json() for result in results])
    else:
        show(results, Console(soft_wrap=True))
    leave(worst(result.verdict for result in results))
