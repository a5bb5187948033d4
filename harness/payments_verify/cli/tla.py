"""`payments-verify tla`: the TLA+ specification, checked by TLC and held against the model and real runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from payments_verify.cli.differential import Json
from payments_verify.cli.explore import SCHEDULES
from payments_verify.cli.running import finish, interrupted, progress_bar
from payments_verify.payments import schedule_file
from payments_verify.result import CheckResult
from payments_verify.tla.check import check_model, described
from payments_verify.tla.counterexample import NoScheduleError
from payments_verify.tla.counterexample import counterexample as translate
from payments_verify.tla.graph import GraphError, check_graph
from payments_verify.tla.models import Model, ModelsError, read_models
from payments_verify.tla.tlc import SPECIFICATION, Tlc, TlcError, find_tlc

GRAPH = "graph"
"""The name of the comparison with the Python model, among the models'."""

Specification = Annotated[
    Path, typer.Option("--specification", help="Folder of the specification.", show_default=True)
]
Jar = Annotated[
    Path | None,
    typer.Option("--jar", help="A tla2tools.jar; that of the extra tla if not given.", show_default=False),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """The TLA+ specification in specs/tla: check it, and hold it against the model and against real runs.

    It needs Java, and TLC, which the extra tla brings.
    """


@contextmanager
def could_run() -> Iterator[None]:
    """End with exit code 2 and a message where TLC, Java or the specification is missing."""
    try:
        yield
    except (TlcError, ModelsError, GraphError, NoScheduleError) as error:
        typer.echo(f"payments-verify: {error}", err=True)
        raise typer.Exit(2) from error


def models_named(specification: Path, names: Sequence[str]) -> list[Model]:
    """The models of these names; all of them for none.

    Raises:
        typer.BadParameter: if there is none of a name.
        ModelsError: the table of models cannot be used.
    """
    known = read_models(specification)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"no model is named {', '.join(unknown)}; there are {', '.join([*known, GRAPH])}",
            param_hint="NAME",
        )
    return [known[name] for name in names] if names else list(known.values())


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these models.", show_default=False)
    ] = None,
    list_models: Annotated[bool, typer.Option("--list", help="List the models and their counts.")] = False,
    specification: Specification = SPECIFICATION,
    jar: Jar = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads of TLC.")] = 1,
    as_json: Json = False,
) -> None:
    """Check every model with TLC: its properties, its exact number of states, and its graph against the model's.

    A weakened model must show its anomaly. `graph` is the comparison of the sequential state graph with that of
    the Python model.

    Exit codes: 0 everything is as expected; 1 it is not; 2 it could not run, because Java is absent for instance.
    """
    with could_run():
        wanted = models_named(specification, [name for name in names or [] if name != GRAPH])
        if list_models:
            _list(wanted)
            return
        tlc = find_tlc(specification, jar=jar, workers=workers)
        only_graph = names == [GRAPH]
        checks: list[tuple[str, Callable[..., CheckResult]]] = []
        if not only_graph:
            checks += [(model.name, partial(check_model, tlc, model)) for model in wanted]
        if not names or GRAPH in names:
            checks.append((GRAPH, partial(check_graph, tlc)))
        results = _run(checks)
    finish(results, as_json=as_json)


def _run(checks: Sequence[tuple[str, Callable[..., CheckResult]]]) -> list[CheckResult]:
    results: list[CheckResult] = []
    try:
        with progress_bar("TLC") as progress:
            for number, (name, run) in enumerate(checks):
                progress(number, len(checks), name)
                results.append(run())
    except KeyboardInterrupt:
        typer.echo("interrupted; the results have what was finished", err=True)
        results.append(interrupted())
    return results


def _list(models: Sequence[Model]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "shows"):
        table.add_column(title, overflow="fold")
    for title in ("states", "generated", "depth"):
        table.add_column(title, justify="right")
    for model in models:
        shows = f"a violation of {model.violates}" if model.violates else "everything holds"
        table.add_row(model.name, shows, f"{model.states:,}", f"{model.generated:,}", f"{model.depth:,}")
    Console(soft_wrap=True).print(table)


@app.command()
def counterexample(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model, one whose protocol is weakened.")],
    output: Annotated[
        Path | None,
        typer.Option(help="The schedule's file; in build/schedules if not given.", show_default=False),
    ] = None,
    specification: Specification = SPECIFICATION,
    jar: Jar = None,
    as_json: Json = False,
) -> None:
    """Write TLC's counterexample as a schedule, which `payments-verify replay` runs on a real database.

    Run on a service that makes the mistake that the model makes, it shows the same anomaly; on one that does not,
    the schedule cannot be run, or nothing is wrong.

    Exit codes: 0 it is written; 2 there is no counterexample, or it is no schedule, or TLC could not run.
    """
    with could_run():
        (model,) = models_named(specification, [name])
        tlc = find_tlc(specification, jar=jar)
        found = tlc.run(
            specification / f"{model.module}.tla",
            specification / model.configuration,
            deadlocks=model.deadlocks,
        )
        made = translate(model, found)
    path = output or SCHEDULES / f"{name}.schedule.json"
    schedule_file.write(path, made.schedule)
    if as_json:
        result = {
            "model": made.model,
            "violated": made.violated,
            "scenario": made.schedule.scenario,
            "schedule": str(path),
            "answers": made.answers,
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(result)).decode())
    else:
        typer.echo(f"{made.violated} does not hold in {name}:\n\n{described(found)}\n")
        typer.echo(f"the schedule, of {made.schedule.scenario}: {path}")
