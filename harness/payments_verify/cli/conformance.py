"""`payments-verify conformance`: how much of what is right a service of somebody else's does."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from payments_verify import binding as binding_file
from payments_verify.binding import Binding
from payments_verify.cli.ends import keep_finished
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.options import PostgresBin
from payments_verify.cli.running import print_error, print_json, print_text, progress_bar, quoted, say
from payments_verify.payments.conformance import FULL, QUICK, Examination, examine
from payments_verify.payments.conformance_levels import LEVELS, Conformance, LevelResult, conclude
from payments_verify.result import Progress
from payments_verify.systems import examination_at, examination_of
from payments_verify.systems.dsn import DsnError, require_dsn
from pgweave.verdict import worst
from pgweave.visible import without_passwords

FOLDER = Path("build/conformance")
_BLACK_BOX = 3
_STYLE = {"holds": "green", "violated": "bold red", "no verdict": "yellow", "not run": "dim"}

BindingFile = Annotated[
    Path | None,
    typer.Option(
        "--binding",
        metavar="FILE",
        show_default=False,
        help="How the service's HTTP says what the model says; 'default' for this repository's interface.",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        show_default=False,
        help="With --command: make the databases on this server, and drop them at the end. DSN is a"
        " superuser's; of a Citus cluster, to a database of the coordinator that knows its workers.",
    ),
]


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
        int | None,
        typer.Option(min=1, max=max(LEVELS), show_default=False, help="Stop after this level."),
    ] = None,
    first: Annotated[
        int, typer.Option("--from", min=1, max=max(LEVELS), help="Leave out the levels below this one.")
    ] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Try less of what cannot be exhausted.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeats what is drawn; drawn anew if not given.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for histories, schedules and pictures.")] = FOLDER,
    show_binding: Annotated[
        bool, typer.Option("--show-binding", help="Print the default binding file, to begin one with.")
    ] = False,
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
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    trials = QUICK if quick else FULL
    last = level or max(LEVELS)
    results: list[LevelResult] = []
    unchecked: Sequence[str] = ()
    with (
        keep_finished(lambda: worst(each.verdict for each in results)) as ended,
        examined(
            url, command, binding, postgres_bin, server=server, quick=quick, highest=last
        ) as examination,
        progressing("conformance") as on_level,
    ):
        unchecked = examination.unchecked
        last = level or (_BLACK_BOX if examination.open_behind_gate is None else max(LEVELS))
        if first > last:
            raise typer.BadParameter(f"{first} lies above the last level, {last}", param_hint="--from")
        examine(
            examination,
            trials,
            folder=output,
            seed=drawn,
            level=last,
            first=first,
            on_level=on_level,
            results=results,
        )
    found = conclude(
        url or without_passwords(command or ""), range(first, last + 1), results, unchecked, ended.why
    )
    if ended.why is not None and (output / "histories").is_dir():
        say(f"the histories so far lie in {output / 'histories'}", err=True)
    _report(found, drawn, as_json=as_json)


@contextmanager
def examined(
    url: str | None,
    command: str | None,
    binding: Path | None,
    postgres_bin: Path | None,
    *,
    server: str | None = None,
    quick: bool,
    highest: int,
) -> Iterator[Examination]:
    """The service that the options name, ready to be opened.

    Raises:
        typer.BadParameter: they name none, or two.
        typer.Exit: the binding file is none.
    """
    if (url is None) == (command is None):
        raise typer.BadParameter("name the service by one of the two", param_hint="--url / --command")
    if server is not None:
        require_server(server, command)
    bound = read_binding(binding)
    if url is not None:
        yield examination_at(url, bound)
        return
    assert command is not None
    with examination_of(
        command, bound, postgres_bin, server=server, quick=quick, binding_file=binding, highest=highest
    ) as examination:
        yield examination


def require_server(server: str, command: str | None) -> None:
    """See that ``--server`` can be meant.

    Raises:
        typer.BadParameter: the service is not started here, or it is no connection string.
    """
    if command is None:
        raise typer.BadParameter("it is for a service that --command starts", param_hint="--server")
    try:
        require_dsn(server)
    except DsnError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None


def read_binding(file: Path | None) -> Binding:
    """The binding of a file; the default one for none, and for the name ``default``.

    Raises:
        typer.Exit: it is no binding: the message is printed, and the exit code 2.
    """
    if file is None or file == Path("default"):
        return binding_file.default_binding()
    try:
        return binding_file.load(file)
    except binding_file.BindingFileError as error:
        print_error(error)
        raise no_verdict() from error


@contextmanager
def progressing(title: str) -> Iterator[Callable[[int], Progress]]:
    """Show how far levels have come; the block gets what is told of each level as it begins."""
    with progress_bar(title) as progress:
        yield (
            lambda number: (
                lambda done, total, text: progress(done, total, f"level {number}, {LEVELS[number]}: {text}")
            )
        )


def _report(found: Conformance, seed: int, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({**found.as_json(), "seed": seed})
    else:
        show(found, seed, Console(soft_wrap=True))
    leave(found.verdict)


def show(found: Conformance, seed: int, console: Console) -> None:
    """Print the table of levels, the counterexample of the first that fails, and what was not checked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("level")
    table.add_column("verdict")
    table.add_column("cases", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("")
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
    if found.unchecked:
        console.print("\n[bold]not checked[/]")
        for each in found.unchecked:
            print_text(console, f"  {each}")
    print_text(console, f"\n{found.service}: {found.summary}, seed {seed}")


def _failing(result: LevelResult) -> str:
    check = next(check for check in result.checks if check.counterexample)
    return f"{check.name}\n{check.counterexample}"
