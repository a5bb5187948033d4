"""The bar on a terminal: what is done and what time is left, and below it what was done last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from payments_verify.cli import telling

_WIDTH_OF_A_BAR = 110


class _Times(ProgressColumn):
    """How far it is, by the words of whoever knows."""

    def __init__(self, course: object) -> None:
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


@contextmanager
def bar(title: str, course: object, console: Console | None) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar while the block runs, which gets a function that moves it.

    Args:
        title: what is being done.
        course: its text says how long it has taken, and what is left.
        console: where; standard error if not given.
    """
    to = console or Console(stderr=True)
    named = TextColumn(
        "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
    )
    columns = [
        SpinnerColumn(),
        named,
        *([BarColumn(bar_width=20)] if to.width >= _WIDTH_OF_A_BAR else []),
        _Times(course),
    ]
    shown = _TwoLines(
        *columns, console=to, transient=True, expand=True, redirect_stdout=False, redirect_stderr=False
    )
    task = shown.add_task(title, total=None, text="")

    def show(done: int, total: int, text: str) -> None:
        shown.update(task, completed=done, total=total, text=text)

    with shown:
        telling.shown.append(shown)
        try:
            yield show
        finally:
            telling.shown.remove(shown)
