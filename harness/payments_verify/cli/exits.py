"""The exit codes of commands: they follow from a verdict, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import typer

from pgweave import outermost
from pgweave.verdict import EXIT_CODES, Verdict, worst


def leave(verdict: Verdict, *, is_whole: bool = True) -> NoReturn:
    """Leave a command with the exit code of its verdict.

    Args:
        verdict: what was found.
        is_whole: whether all was done and written; if not, what holds so far is no verdict.

    Raises:
        typer.Exit: always.
    """
    raise typer.Exit(EXIT_CODES[verdict if is_whole else worst([verdict, "no verdict"])])


def rest_on(so_far: Callable[[], Verdict]) -> None:
    """Let what ends the command early end it with a violation's exit code, if one was found by then.

    Args:
        so_far: the verdict on what was found by now.
    """
    outermost.rest_on(lambda: EXIT_CODES[so_far()])


def tell_first(verdict: Verdict) -> None:
    """Let an interrupt wait, now that there is a verdict, until it is told."""
    rest_on(lambda: verdict)
    outermost.hold_interrupts()


def no_verdict() -> typer.Exit:
    """What is raised to leave a command without a verdict, once it has said why."""
    return typer.Exit(EXIT_CODES["no verdict"])
