"""The exit codes of commands: they follow from a verdict, and from nothing else."""

from __future__ import annotations

from typing import NoReturn

import typer

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


def no_verdict() -> typer.Exit:
    """What is raised to leave a command without a verdict, once it has said why."""
    return typer.Exit(EXIT_CODES["no verdict"])
