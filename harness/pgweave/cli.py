"""The command `pgweave`: `explore`, `discover` and `replay` what a module says, and judge histories."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import msgspec
import psycopg
import typer

from pgweave import outermost
from pgweave.api import check_history, discover, explore, replay
from pgweave.discovering import Discovery
from pgweave.history.formats import load
from pgweave.history.operations import HistoryError
from pgweave.history.spec import Spec
from pgweave.history.specs import SPECS
from pgweave.progress import Progress
from pgweave.result import Result
from pgweave.scenario import UseError
from pgweave.targets import arguments_in, loaded
from pgweave.verdict import EXIT_CODES, Verdict, worst
from pgweave.visible import in_json, visible, without_passwords

P = ParamSpec("P")
Found = TypeVar("Found", Result, Discovery)
PROGRAM = "pgweave"

app = typer.Typer(
    help="Run concurrent PostgreSQL clients in every order of their SQL statements.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Target = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME",
        help="The arguments of pgweave.explore: a dict of that name, or a function that returns one.",
        show_default=False,
    ),
]
Dsn = Annotated[
    str | None,
    typer.Option(
        help="The database's connection string; if not given, a PostgreSQL is started.", show_default=False
    ),
]
Limit = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Begin no schedule after this time.", show_default=False),
]
Save = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where a wrong schedule is kept.", show_default="NAME.json"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]


def command() -> None:
    """Run the command line, which ends with ``SystemExit``."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name=PROGRAM)


def _interruptible(work: Callable[P, None]) -> Callable[P, None]:
    """Let an interrupt end a command without a verdict, if there is none yet: typer would end it with 1."""

    @wraps(work)
    def done(*arguments: P.args, **named_arguments: P.kwargs) -> None:
        try:
            work(*arguments, **named_arguments)
        except KeyboardInterrupt:
            code = outermost.code_if_ended()
            is_open = code == outermost.NO_VERDICT
            outermost.tell(
                f"{PROGRAM}: {'interrupted; no verdict' if is_open else outermost.INTERRUPTED_AFTER}"
            )
            raise typer.Exit(code) from None
        finally:
            outermost.forget()

    return done


@app.command("explore")
@_interruptible
def explore_target(
    target: Target,
    dsn: Dsn = None,
    limit: Limit = None,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Run the clients in every order that matters, up to the first that is wrong.

    A wrong schedule is drawn, and kept in a file that `pgweave replay` runs again.

    Exit codes: 0 it holds, 1 it is violated, 2 there is no verdict.
    """
    scenario = _asked(lambda: arguments_in(target, explore))
    progress = Progress()
    result = _asked(lambda: explore(dsn, **scenario, limit_s=limit, on_schedule=progress))
    _tell_first(result.verdict)
    progress.end()
    _end(_kept(result, save, target) if result.problem else result, as_json=as_json)


@app.command("discover")
@_interruptible
def discover_in_target(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE[:NAME]",
            help="The arguments of pgweave.discover: a dict of that name, or a function that returns one; for"
            " a module alone, what it has under their names: setup, operations, check, spec, service.",
            show_default=False,
        ),
    ],
    dsn: Dsn = None,
    limit: Limit = None,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Find out which operations can disturb each other, and race those, up to the first that is wrong.

    Each operation is run once, alone. What its statements read, lock and change says which pairs and triples
    are worth it. A wrong schedule is kept in a file that `pgweave replay` runs again.

    Exit codes: 0 it holds, 1 it is violated, 2 there is no verdict.
    """
    scenario = _asked(lambda: arguments_in(target, discover))
    progress = Progress()
    found = _asked(lambda: discover(dsn, **scenario, limit_s=limit, on_schedule=progress))
    _tell_first(found.verdict)
    progress.end()
    if found.violated is not None:
        found = _kept(found, save, target)
    if as_json:
        _print_json(found.as_json())
    else:
        typer.echo(visible(str(found)))
    raise typer.Exit(EXIT_CODES[found.verdict])


@app.command("replay")
@_interruptible
def replay_target(
    file: Annotated[Path, typer.Argument(help="What `pgweave explore` has kept.", show_default=False)],
    target: Target,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Run the schedule of a file again, and draw it.

    Exit codes: 0 it is right now, 1 it is violated, 2 it cannot be run.
    """
    scenario = _asked(lambda: arguments_in(target, replay))
    result = _asked(lambda: replay(file, dsn, **scenario))
    _tell_first(result.verdict)
    _end(result, as_json=as_json)


def _kept(result: Found, save: Path | None, target: str) -> Found:
    """What was found, with its wrong schedule in a file."""
    file = save or Path(f"{Path(target.rpartition(':')[2]).stem}.json")
    try:
        return result.kept_in(file)
    except OSError as error:
        outermost.tell(f"{PROGRAM}: the schedule cannot be kept: {error}")
        return result


@app.command("history")
@_interruptible
def judge_histories(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recorded histories.", show_default=False)
    ],
    spec: Annotated[
        str | None,
        typer.Option(
            metavar=f"{'|'.join(SPECS)}|MODULE:NAME",
            help="What is right. If left out, what a file's header or format names.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide whether recorded histories are linearizable.

    Exit codes: 0 all are, 1 one is not, 2 one cannot be judged, and all others are.
    """
    given = None if spec is None else _asked(lambda: _spec(spec))
    found: list[tuple[Path, str, Result | None]] = []
    outermost.rest_on(lambda: EXIT_CODES[worst(_verdict(result) for _, _, result in found)])
    for file in files:
        try:
            result = _judged(file, given)
        except (UseError, HistoryError, OSError) as error:
            found.append((file, str(error), None))
        else:
            found.append((file, result.problem, result))
        if not as_json:
            _say_history(*found[-1])
    outermost.hold_interrupts()
    if as_json:
        _print_json([_history_in_json(*each) for each in found])
    raise typer.Exit(EXIT_CODES[worst(_verdict(result) for _, _, result in found)])


def _judged(file: Path, spec: Spec[Any] | None) -> Result:
    history = load(file)
    if spec is None:
        if history.spec is None:
            raise UseError(f"{file} does not name its specification: give one with --spec")
        spec = _spec(history.spec)
    return check_history(spec, history.operations)


def _spec(name: str) -> Spec[Any]:
    if name in SPECS:
        return SPECS[name]()
    if ":" not in name:
        raise UseError(f"no specification is named {name!r}: there are {', '.join(SPECS)}, and MODULE:NAME")
    found = loaded(name)
    spec = found() if isinstance(found, type) else found
    if not isinstance(spec, Spec):
        raise UseError(f"{name} is no specification: derive it from pgweave.Spec")
    return spec


def _asked(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work returns
    """Do some work, or end because there can be no verdict."""
    try:
        return work()
    except (UseError, psycopg.Error, OSError) as error:
        _end_without_verdict(error)


def _tell_first(verdict: Verdict) -> None:
    """Let an interrupt wait, now that there is a verdict, until it is told."""
    outermost.rest_on(lambda: EXIT_CODES[verdict])
    outermost.hold_interrupts()


def _end_without_verdict(error: Exception) -> NoReturn:
    outermost.tell(f"{PROGRAM}: no verdict: {without_passwords(str(error))}")
    raise typer.Exit(EXIT_CODES["no verdict"]) from error


def _end(result: Result, *, as_json: bool) -> NoReturn:
    if as_json:
        _print_json(result.as_json())
    else:
        typer.echo(visible(str(result)))
    raise typer.Exit(EXIT_CODES[result.verdict])


def _verdict(result: Result | None) -> Verdict:
    return "no verdict" if result is None else result.verdict


def _say_history(file: Path, problem: str, result: Result | None) -> None:
    if result is None:
        outermost.tell(f"{PROGRAM}: no verdict: {problem}")
        return
    why = f": {problem}\n\n{result.picture}\n" if problem else ""
    typer.echo(visible(f"{file}: {result.verdict}{why}"))


def _history_in_json(file: Path, problem: str, result: Result | None) -> dict[str, str]:
    picture = result.picture if result is not None and problem else ""
    return {"file": str(file), "verdict": _verdict(result), "problem": problem, "picture": picture}


def _print_json(value: Any) -> None:  # noqa: ANN401 - whatever msgspec encodes
    typer.echo(in_json(msgspec.json.format(msgspec.json.encode(value)).decode()))
