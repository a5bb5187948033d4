"""How far an exploration has come."""

from __future__ import annotations

import sys
import time

import typer

from pgweave.visible import counted

_DRAWN_EVERY_S = 0.2
_TOLD_EVERY_S = 30.0


class Progress:
    """Says on standard error how many schedules were run: on a terminal in place, else now and then."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty()
        self._told = time.monotonic() - (_TOLD_EVERY_S if self._in_place else 0)
        self._is_open = False

    def __call__(self, schedules: int) -> None:
        """Take in how many there are now."""
        if time.monotonic() - self._told < (_DRAWN_EVERY_S if self._in_place else _TOLD_EVERY_S):
            return
        self._told, self._is_open = time.monotonic(), self._in_place
        if self._in_place:
            typer.echo(f"\r{counted(schedules, 'schedule')}", err=True, nl=False)
        else:
            typer.echo(counted(schedules, "schedule"), err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._is_open:
            typer.echo("", err=True)
