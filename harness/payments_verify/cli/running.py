"""What commands that run checks share: progress on the terminal, a table or JSON of results, exit codes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.table import Column, Table
from rich.text import Text

from payments_verify.cli.exits import leave, tell_first
from payments_verify.result import CheckResult
from pgweave.verdict import Verdict, worst
from pgweave.visible import in_json, one_line, visible

Report = Callable[[int, int, str], None]

program = ContextVar("program", default="payments-verify")
"""The name of the program whose command runs."""

_WIDTH_OF_A_BAR = 110
_PAUSE_S = 2.0
_STYLE = {"holds": "green", "violated": "bold red", "no verdict": "yellow"}


class Course:
    """How far something has come, for how long, and what is left at that pace."""

    def __init__(self) -> None:
        self._began = self._stage_began = self._reached = time.monotonic()
        self._done, self._left = 0, 0.0

    def report(self, done: int, total: int) -> None:
        """Note how far it is; less than before means that something else begins, at a pace of its own."""
        if done == self._done:
            return
        if done < self._done:
            self._stage_began = self._reached
        self._done, self._reached = done, time.monotonic()
        self._left = (self._reached - self._stage_began) * (total - done) / done if done else 0.0

    def __str__(self) -> str:
        now = time.monotonic()
        elapsed = timedelta(seconds=int(now - self._began))
        left = self._left - (now - self._reached)
        # What takes longer than all that was left by the pace so far has a pace of its own.
        known = self._done > 0 and left > -1
        return f"elapsed {elapsed}, left {timedelta(seconds=max(0, int(left))) if known else '-:--:--'}"


class _Times(ProgressColumn):
    """The times of a course."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course

    def render(self, task: Task) -> Text:  # noqa: ARG002 - a task's own time begins anew
        """Show them."""
        return Text(str(self._course))


class _TwoLines(Progress):
    """What is done and its times; below, what was done last. Each has the whole width."""

    def get_renderables(self) -> Iterator[RenderableType]:
        """Make both lines."""
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            yield Text(f"  {task.fields['text']}", no_wrap=True, overflow="ellipsis")


_shown: list[Progress] = []
"""The bars on a terminal, which give way to what is printed."""


@contextmanager
def _aside() -> Iterator[None]:
    """Take the bars off the terminal while something is printed."""
    for bar in _shown:
        bar.stop()
    try:
        yield
    finally:
        for bar in _shown:
            bar.start()


@contextmanager
def progress_bar(
    title: str, *, shown: bool = True, console: Console | None = None, every_s: float = 60
) -> Iterator[Report]:
    """Show how far a check has come and what time is left; the block gets a function to report with.

    Args:
        title: what is being done, as rich's markup.
        shown: whether anything is shown.
        console: where; standard error if not given.
        every_s: how often there is a line where that is no terminal, in seconds.
    """
    to = console or Console(stderr=True)
    if shown and not to.is_terminal:
        with _lines(title, to, every_s) as report:
            yield report
        return
    course = Course()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        *([BarColumn(bar_width=20)] if to.width >= _WIDTH_OF_A_BAR else []),
        _Times(course),
    )
    bar = _TwoLines(
        *columns,
        console=to,
        transient=True,
        expand=True,
        disable=not shown,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task(title, total=None, text="")

    def report_to_bar(done: int, total: int, text: str) -> None:
        course.report(done, total)
        bar.update(task, completed=done, total=total, text=f"{done:,} of {total:,} {one_line(text)}")

    with bar:
        _shown.append(bar)
        try:
            yield report_to_bar
        finally:
            _shown.remove(bar)


class Minute:
    """When the last line was printed. Checks share it: a line comes each minute, however short they are."""

    told = ended = -math.inf

    @classmethod
    def begin(cls) -> None:
        """Note that a check begins; after a pause it begins a minute of its own."""
        now = time.monotonic()
        if now - cls.ended > _PAUSE_S:
            cls.told = now


@contextmanager
def _lines(title: str, console: Console, every_s: float) -> Iterator[Report]:
    """Print a line now and then, also while the block reports nothing."""
    course, ended = Course(), threading.Event()
    reached = ""
    Minute.begin()
    soonest_s = min(every_s, _PAUSE_S)

    def report(done: int, total: int, text: str) -> None:
        nonlocal reached
        course.report(done, total)
        reached = f"{done:,} of {total:,} {quoted(text)}; "

    def tell() -> None:
        while not ended.wait(max(soonest_s, Minute.told + every_s - time.monotonic())):
            Minute.told = time.monotonic()
            with suppress(OSError, ValueError):  # nobody reads it any more
                console.print(f"{title}: {reached}{course}", highlight=False, soft_wrap=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield report
    finally:
        ended.set()
        teller.join()
        Minute.ended = time.monotonic()


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
    with _aside():
        console.print(visible(text), markup=False, highlight=False, soft_wrap=True)


def say(text: object, *, err: bool = False) -> None:
    """Print a line that may quote what others have written: no byte of it moves the cursor."""
    with _aside():
        typer.echo(visible(f"{text}"), err=err)


def quoted(text: object) -> str:
    """What others may have written, as part of a line of rich's markup."""
    return escape(one_line(f"{text}"))


def print_error(problem: object) -> None:
    """Print why there is no verdict, on standard error; what it quotes moves no cursor."""
    say(f"{program.get()}: {problem}", err=True)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever msgspec encodes
    """Print a value as JSON, and nothing that moves the cursor."""
    typer.echo(in_json(msgspec.json.format(msgspec.json.encode(value)).decode()))


def finish(results: Sequence[CheckResult], *, as_json: bool) -> NoReturn:
    """Print the results and leave with their exit code: 0 all hold, 1 one is violated, 2 could not run."""
    tell_first(worst(result.verdict for result in results))
    if as_json:
        print_json([result.as_json() for result in results])
    else:
        show(results, Console(soft_wrap=True))
    leave(worst(result.verdict for result in results))
