"""The command `pgweave`: `explore` and `replay` what a module says, and judge histories."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import msgspec
import psycopg
import typer

from pgweave import outermost
from pgweave.api import check_history, explore, replay
from pgweave.clients import named
from pgweave.history.formats import load
from pgweave.history.operations import HistoryError
from pgweave.history.spec import Spec
from pgweave.history.specs import SPECS
from pgweave.progress import Progress
from pgweave.result import Result
from pgweave.scenario import UseError
from pgweave.verdict import EXIT_CODES, Verdict, worst
from pgweave.visible import in_json, visible, without_passwords

P = ParamSpec("P")
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
    limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Begin no schedule after this time.", show_default=False),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where a wrong schedule is kept.", show_default="NAME.json"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the clients in every order that matters, up to the first that is wrong.

    A wrong schedule is drawn, and kept in a file that `pgweave replay` runs again.

    Exit codes: 0 it holds, 1 it is violated, 2 there is no verdict.
    """
    scenario = _scenario(target)
    progress = Progress()
    result = _asked(lambda: explore(dsn, **scenario, limit_s=limit, on_schedule=progress))
    _tell_first(result.verdict)
    progress.end()
    if result.problem:
        file = save or Path(f"{target.rpartition(':')[2]}.json")
        try:
            result.save(file)
        except OSError as error:
            outermost.tell(f"{PROGRAM}: the schedule cannot be kept: {error}")
        else:
            result = replace(result, file=file)
    _end(result, as_json=as_json)


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
    scenario = _scenario(target)
    result = _asked(lambda: replay(file, dsn, **scenario))
    _tell_first(result.verdict)
    _end(result, as_json=as_json)


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
    found = _loaded(name)
    spec = found() if isinstance(found, type) else found
    if not isinstance(spec, Spec):
        raise UseError(f"{name} is no specification: derive it from pgweave.Spec")
    return spec


def _scenario(target: str) -> Mapping[str, Any]:
    """The arguments of an exploration, by the name of what has them."""

    def made() -> Mapping[str, Any]:
        found = _loaded(target)
        try:
            scenario: Any = found() if callable(found) else found
        except Exception as error:
            raise UseError(f"{target} raised {named(error)}") from error
        if not isinstance(scenario, Mapping):
            raise UseError(f"{target} is no dict of the arguments of pgweave.explore, nor returns one")
        known = set(inspect.signature(explore).parameters) - {"dsn", "limit_s", "on_schedule"}
        if unknown := ", ".join(repr(each) for each in scenario if each not in known):
            raise UseError(f"{target} has {unknown}; pgweave.explore takes {', '.join(sorted(known))}")
        if missing := [each for each in ("setup", "clients") if each not in scenario]:
            raise UseError(f"{target} lacks {' and '.join(map(repr, missing))}")
        return scenario

    scenario: Mapping[str, Any] = _asked(made)
    return scenario


def _loaded(target: str) -> Any:  # noqa: ANN401 - whatever it is
    """What a module has under a name; the module is named, or its file.

    Raises:
        UseError: there is none.
    """
    module, _, name = target.partition(":")
    if not name:
        raise UseError(f"{target!r} names nothing of a module: write MODULE:NAME")
    folder = ""
    if module.endswith(".py"):
        folder, module = str(Path(module).parent), Path(module).stem
    sys.path.insert(0, folder)
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        raise UseError(f"{target} cannot be had, here or where Python has modules: {named(error)}") from error


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
        _print_json(
            {
                "verdict": result.verdict,
                "schedules": result.schedules,
                "complete": result.complete,
                "problem": result.problem,
                "picture": result.picture,
                "schedule": result.schedule,
                "statements": result.labels,
                "unclear": result.unclear,
                "file": None if result.file is None else str(result.file),
            }
        )
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
