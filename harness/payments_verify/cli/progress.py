"""How far a command has come: a bar on a terminal, and elsewhere a line each minute."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import IO, TYPE_CHECKING

from pgweave.visible import one_line

if TYPE_CHECKING:
    from rich.console import Console

Report = Callable[[int, int, str], None]
"""Is told how much is done, of how much, and what was done last."""

_PAUSE_S = 2.0


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


@contextmanager
def progress_bar(title: str, *, console: Console | None = None, every_s: float = 60) -> Iterator[Report]:
    """Show how far a check has come and what time is left; the block gets a function to report with.

    Args:
        title: what is being done.
        console: where; standard error if not given.
        every_s: how often there is a line where that is no terminal, in seconds.
    """
    if not (sys.stderr.isatty() if console is None else console.is_terminal):
        with _lines(title, sys.stderr if console is None else console.file, every_s) as report:
            yield report
        return
    # In here, since it takes as long to import as a small file takes to be checked.
    from payments_verify.cli.bars import bar  # noqa: PLC0415

    course = Course()
    with bar(title, course, console) as show:

        def report_to_bar(done: int, total: int, text: str) -> None:
            course.report(done, total)
            show(done, total, f"{done:,} of {total:,} {one_line(text)}")

        yield report_to_bar


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
def _lines(title: str, to: IO[str], every_s: float) -> Iterator[Report]:
    """Print a line now and then, also while the block reports nothing."""
    course, ended = Course(), threading.Event()
    reached = ""
    Minute.begin()
    soonest_s = min(every_s, _PAUSE_S)

    def report(done: int, total: int, text: str) -> None:
        nonlocal reached
        course.report(done, total)
        reached = f"{done:,} of {total:,} {one_line(text)}; "

    def tell() -> None:
        while not ended.wait(max(soonest_s, Minute.told + every_s - time.monotonic())):
            Minute.told = time.monotonic()
            with suppress(OSError, ValueError):  # nobody reads it any more
                to.write(f"{title}: {reached}{course}\n")
                to.flush()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield report
    finally:
        ended.set()
        teller.join()
        Minute.ended = time.monotonic()
