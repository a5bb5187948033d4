"""`payments-verify practice`: an exercise, for interviews and teaching."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from payments_verify.called import command_line
from payments_verify.cli.bound_service import read_binding
from payments_verify.cli.conformance import progressing, show
from payments_verify.cli.ends import keep_finished
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.options import PostgresBin
from payments_verify.cli.running import print_text
from payments_verify.cli.telling import print_error, print_json, say
from payments_verify.payments.conformance.examination import FULL, QUICK, examine
from payments_verify.payments.conformance.levels import LEVELS, Conformance, LevelResult, conclude
from payments_verify.practice import BINDING, PracticeError, command_of, write_skeleton
from payments_verify.systems import examination_of
from pgweave.verdict import worst

practice = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="An exercise: a capture service that is wrong, to be made right level by level.",
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The exercise's folder.")]


@practice.command()
def new(folder: Folder) -> None:
    """Write the exercise to a new folder: a service, its schema, its binding, and a README with the stages.

    Exit codes: 0 written; 2 the folder has something in it, or cannot be written.
    """
    try:
        written = write_skeleton(folder)
    except PracticeError as error:
        raise _refused(error) from error
    for path in written:
        say(path)
    say(f"\nread {folder / 'README.md'}, then: {command_line('practice', 'check', folder)}")


@practice.command()
def check(
    folder: Folder = Path(),
    level: Annotated[int, typer.Option(min=1, max=max(LEVELS), help="Stop after this level.")] = max(LEVELS),
    full: Annotated[bool, typer.Option("--full", help="Try more of what cannot be exhausted.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeats what is drawn; drawn anew if not given.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for histories, schedules and pictures.")] = Path(
        "build/practice"
    ),
    postgres_bin: PostgresBin = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON and nothing else.")
    ] = False,
) -> None:
    """Examine the exercise's service: which level it reaches, and the first counterexample.

    Exit codes: 0 every level asked for holds; 1 one is violated; 2 one could not be decided.
    """
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    try:
        command = command_of(folder)
    except PracticeError as error:
        raise _refused(error) from error
    binding = folder / BINDING
    results: list[LevelResult] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in results)) as ended,
        examination_of(
            command,
            read_binding(binding),
            postgres_bin,
            quick=not full,
            binding_file=binding,
            highest=level,
        ) as examination,
        progressing("practice") as on_level,
    ):
        trials = FULL if full else QUICK
        examine(
            examination,
            trials,
            folder=output,
            seed=drawn,
            levels=range(1, level + 1),
            on_level=on_level,
            results=results,
        )
    found = conclude(command, range(1, level + 1), results, ended_by=ended.why)
    if as_json:
        print_json({**found.as_json(), "seed": drawn})
    else:
        console = Console(soft_wrap=True)
        show(found, drawn, console)
        print_text(console, _what_next(found))
    leave(found.verdict)


def _what_next(found: Conformance) -> str:
    level = found.reached or 0
    reached = f"reached: level {level} of {max(LEVELS)}"
    if found.verdict == "holds" and level == max(LEVELS):
        return f"{reached}; nothing more is known to be wrong"
    if found.verdict == "holds":
        return f"{reached}, as far as was asked"
    return f"{reached}; next: stage {level + 1} of README.md, for {LEVELS[level + 1]!r}"


def _refused(error: PracticeError) -> typer.Exit:
    print_error(error)
    return no_verdict()
