"""`payments-verify conformance`: how much of what is right a service of somebody else's does."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from payments_verify import binding as binding_file
from payments_verify.cli.bound_service import BindingFile, Server, examined, scaffold_of
from payments_verify.cli.discovering import discover_races
from payments_verify.cli.ends import keep_finished, write_or_tell
from payments_verify.cli.exits import leave
from payments_verify.cli.known_secrets import known_secrets, leave_out_of_runs
from payments_verify.cli.options import PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.record import Record
from payments_verify.cli.running import make_table, print_text, quoted
from payments_verify.cli.telling import print_json, say
from payments_verify.payments.conformance.examination import CHECKS, FULL, QUICK, Examination, examine
from payments_verify.payments.conformance.levels import LEVELS, Conformance, LevelResult, conclude
from payments_verify.payments.conformance.selection import SelectionError, levels_of, select
from payments_verify.result import Progress
from pgweave.redaction import redacted, redacted_value
from pgweave.verdict import worst
from pgweave.visible import without_passwords

FOLDER = Path("build/conformance")
_BLACK_BOX = 3
_BEHIND_GATE = 4
_STYLE = {"holds": "green", "violated": "bold red", "no verdict": "yellow", "not run": "dim"}


def conformance(
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", show_default=False, help="A service that runs: levels 1 to 3."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            show_default=False,
            help="Start the service with this shell command; it gets DATABASE_URL (an empty database),"
            " HOST and PORT: all levels.",
        ),
    ] = None,
    binding: BindingFile = None,
    level: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=max(LEVELS),
            show_default=False,
            help="Stop after this level. Given more than once: these levels and no others.",
        ),
    ] = None,
    first: Annotated[
        int, typer.Option("--from", min=1, max=max(LEVELS), help="Leave out the levels below this one.")
    ] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help=f"Run only this, of the levels that it is part of: a level ({', '.join(LEVELS.values())}), a"
            f" check ({', '.join(CHECKS)}), a scenario, or a fault. May be repeated.",
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Run only this scenario, at levels 4 and 5; `explore --list` lists them. May be repeated.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Try less of what cannot be exhausted.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeats what is drawn; drawn anew if not given.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(show_default=str(FOLDER), help="Folder for histories, schedules and pictures."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Keep all that ran and was found in this new folder, without secrets, for a bug report.",
        ),
    ] = None,
    discover: Annotated[
        bool,
        typer.Option(
            "--discover",
            help="Instead of the levels: run each command once, alone, and explore every pair and triple that"
            " its statements show to be worth it.",
        ),
    ] = False,
    show_binding: Annotated[
        bool, typer.Option("--show-binding", help="Print the default binding file, to begin one with.")
    ] = False,
    scaffold: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Print a first binding, made from an OpenAPI document; '# ?' marks what it could not guess.",
        ),
    ] = None,
    postgres_bin: PostgresBin = None,
    server: Server = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON and nothing else.")
    ] = False,
) -> None:
    """Examine a service of your own, in any language: which of five levels it reaches.

    1 sequential, 2 idempotent, 3 safe under real concurrency, 4 safe under every interleaving of its SQL
    statements, 5 safe when something goes wrong at any of them.

    Exit codes: 0 every level asked for holds; 1 one is violated; 2 one could not be decided.
    """
    if show_binding:
        typer.echo(binding_file.default_text(), nl=False)
        return
    if scaffold is not None:
        typer.echo(scaffold_of(scaffold), nl=False)
        return
    opened = partial(examined, url, command, binding, postgres_bin, server=server, quick=quick)
    named = {"--record": record, "--level": level, "--only": only, "--scenario": scenario}
    of_levels = {**named, "--from": first > 1, "--quick": quick, "--seed": seed is not None}
    _require_all_used(of_levels, output, discover=discover)
    output = output or FOLDER
    known = partial(known_secrets, binding, url or command or "")
    if discover:
        discover_races(opened(highest=_BEHIND_GATE), output, known, as_json=as_json)
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    with _naming():
        part = levels_of(only or (), scenario or ())
    asked = wanted = _asked(first, level or [], max(LEVELS), part)
    kept = None
    if record is not None:
        kept, output = Record(record, binding, url, command), record
        kept.begin()
    seen: Examination | None = None
    results: list[LevelResult] = []
    unchecked: Sequence[str] = ()
    with (
        keep_finished(lambda: worst(each.verdict for each in results)) as ended,
        opened(highest=asked[-1], output_folder=None if kept is None else kept.output) as examination,
        progressing("conformance") as on_level,
    ):
        seen, unchecked = examination, examination.unchecked
        highest = _BLACK_BOX if examination.open_behind_gate is None else max(LEVELS)
        with _naming():
            chosen = select(examination, only or (), scenario or ())
        asked = _asked(first, level or [], highest, part)
        examine(
            chosen,
            QUICK if quick else FULL,
            folder=output,
            seed=drawn,
            levels=asked,
            on_level=on_level,
            results=results,
        )
    name, not_followed = url or without_passwords(command or ""), set(wanted).difference(asked)
    found = conclude(name, asked, results, unchecked, ended.why, not_followed)
    if ended.why is not None and (output / "histories").is_dir():
        say(f"the histories so far lie in {output / 'histories'}", err=True)
    _report(found, drawn, left_out := known(seen), as_json=as_json)
    leave(found.verdict, is_whole=_is_kept(found, drawn, kept or output, seen, left_out))


def _require_all_used(of_levels: Mapping[str, object], output: Path | None, *, discover: bool) -> None:
    """Refuse an option that another one would leave without effect.

    Raises:
        typer.BadParameter: there is one.
    """
    if output is not None and of_levels["--record"] is not None:
        told = "it would not be used: --record keeps everything in its own folder"
        raise typer.BadParameter(told, param_hint="--output")
    for name in (name for name, value in of_levels.items() if discover and value):
        told = "it would not be used: --discover runs no level, and keeps no record"
        raise typer.BadParameter(told, param_hint=name)


def _asked(first: int, levels: Sequence[int], highest: int, part: Sequence[int]) -> Sequence[int]:
    """The levels that the options name, up to the highest that there can be, of those that the part is of.

    Raises:
        typer.BadParameter: there are none.
    """
    named = set(levels) if len(levels) > 1 else set(range(1, (levels[0] if levels else highest) + 1))
    asked = [number for number in sorted(named) if first <= number]
    if not asked:
        raise typer.BadParameter(f"{first} lies above the last level, {max(named)}", param_hint="--from")
    if not set(asked).intersection(part):
        told = f"it is part of level {' and '.join(map(str, part))} alone"
        raise typer.BadParameter(told, param_hint="--only / --level")
    return [each for each in asked if each in part]


@contextmanager
def _naming() -> Iterator[None]:
    """Tell names that nothing has as what is wrong with options.

    Raises:
        typer.BadParameter: there was one.
    """
    try:
        yield
    except SelectionError as error:
        raise typer.BadParameter(str(error), param_hint="--only / --scenario") from None


@contextmanager
def progressing(title: str) -> Iterator[Callable[[int], Progress]]:
    """Show how far levels have come; the block gets what is told of each level as it begins.

    Off a terminal each level is a line as it begins, and a line a minute.
    """
    with progress_bar(title) as progress:

        def on_level(number: int) -> Progress:
            if not sys.stderr.isatty():
                say(f"{title}: level {number}, {LEVELS[number]}", err=True)
            return lambda done, total, text: progress(
                done, total, f"level {number}, {LEVELS[number]}: {text}"
            )

        yield on_level


def _report(found: Conformance, seed: int, left_out: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(redacted_value({**found.as_json(), "seed": seed}, left_out))
        return
    console = Console(soft_wrap=True)
    with console.capture() as printed:
        show(found, seed, console)
    typer.echo(redacted(printed.get(), left_out), nl=False)


def _is_kept(
    found: Conformance,
    seed: int,
    where: Record | Path,
    seen: Examination | None,
    left_out: Mapping[str, str],
) -> bool:
    if isinstance(where, Record):
        return where.is_finished(found, seed, partial(show, found, seed), seen, left_out)
    return write_or_tell(partial(leave_out_of_runs, where, left_out)) is not None


def show(found: Conformance, seed: int, console: Console) -> None:
    """Print the table of levels, the counterexample of the first that fails, and what was not checked."""
    table = make_table("level", "verdict", "cases", "seconds", "")
    for result in found.levels:
        ran = result.verdict != "not run"
        table.add_row(
            f"{result.level} {LEVELS[result.level]}",
            f"[{_STYLE[result.verdict]}]{result.verdict}[/]",
            f"{result.cases:,}" if ran else "",
            f"{result.seconds:.1f}" if ran else "",
            quoted(result.left_out or ""),
        )
    console.print(table)
    for result in found.levels:
        if result.counterexample is not None:
            console.print(f"\n[bold]level {result.level}, {LEVELS[result.level]}[/]: {result.verdict}")
            print_text(console, _failing(result))
    if found.unchecked and found.verdict == "violated":
        told = (
            f"{len(found.unchecked)} things are not checked: a run without a violation lists them, and --json"
        )
        print_text(console, f"\n{told}")
    elif found.unchecked:
        console.print("\n[bold]not checked[/]")
        for each in found.unchecked:
            print_text(console, f"  {each}")
    print_text(console, f"\n{found.service}: {found.summary}, seed {seed}")


def _failing(result: LevelResult) -> str:
    check = next(check for check in result.checks if check.counterexample)
    return f"{check.name}\n{check.counterexample}"
