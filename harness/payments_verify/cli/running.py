"""What commands that run checks share: progress on the terminal, a table or JSON of results, exit codes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from payments_verify.result import CheckResult, Verdict, worst_exit_code

Report = Callable[[int, int, str], None]

_STYLE = {"holds": "green", "violated": "bold red", "could not run": "yellow"}


@contextmanager
def progress_bar(title: str, *, shown: bool = True, console: Console | None = None) -> Iterator[Report]:
    """Show how far a check has come and what time is left; the block gets a function to report with.

    Args:
        title: what is being done.
        shown: whether anything is shown.
        console: where; standard error if not given, and nothing if that is no terminal.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    to = console or Console(stderr=True)
    is_seen = shown and to.is_terminal
    with Progress(*columns, console=to, transient=True, disable=not is_seen) as bar:
        task = bar.add_task(title, total=None, text="")
        reached = 0

        def report(done: int, total: int, text: str) -> None:
            nonlocal reached
            if done < reached:  # something else begins: its pace says nothing of the next
                bar.reset(task, total=total)
            reached = done
            bar.update(task, completed=done, total=total, text=text)

        yield report


def was_interrupted(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or came up while one ended what was under way."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def interruptible(what_is_left: str) -> Iterator[None]:
    """Let an interrupt end the block, once it has ended what it started, with a message and exit code 2.

    Args:
        what_is_left: what there is of the work.

    Raises:
        typer.Exit: it was interrupted.
    """
    try:
        yield
    except typer.Exit:
        raise
    except BaseException as error:
        if not was_interrupted(error):
            raise
        typer.echo(f"interrupted; {what_is_left}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def kept_when_interrupted() -> Iterator[Callable[[], bool]]:
    """Let an interrupt end the block, but not the command, which then shows what was finished.

    Yields:
        Says, after the block, whether it came to its end.
    """
    whole = True
    try:
        yield lambda: whole
    except BaseException as error:
        if not was_interrupted(error):
            raise
        whole = False
        typer.echo("interrupted; this is what was finished", err=True)


def worst(codes: set[int], *, whole: bool) -> int:
    """The exit code of several: 1 if one is, else 2 if one is, or if not all was done."""
    return 1 if 1 in codes else max({*codes, 0 if whole else 2} if codes else {2})


def interrupt_on_termination() -> None:
    """Let SIGTERM end a command as Ctrl-C does: with what was finished, and without what was started."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background. A loop takes an interrupt between two callbacks if SIGINT has Python's
        # own handler, and else in the middle of one, where it may be lost. Blocked, it is ignored as before.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)


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
