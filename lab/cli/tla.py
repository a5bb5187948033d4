"""`python -m lab tla`: the TLA+ specification, checked by TLC and compared with the model and real runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from lab.tla.check import check_model, described
from lab.tla.counterexample import NoScheduleError
from lab.tla.counterexample import counterexample as translate
from lab.tla.graph import GraphError, check_graph
from lab.tla.models import Model, ModelsError, read_models
from lab.tla.races import NotModelledError, programs_of, protocol_of
from lab.tla.recording import Runs, check_runs, record
from lab.tla.tlc import SPECIFICATION, TlcError, find_tlc
from payments_verify.cli.ends import could_not_run, keep_finished, result_of_the_rest, run_check
from payments_verify.cli.exits import no_verdict
from payments_verify.cli.explore import SCHEDULES, scenarios_named
from payments_verify.cli.explored_system import ExploredSystem, explored
from payments_verify.cli.options import Command, Json, PostgresBin
from payments_verify.cli.progress import Report, progress_bar
from payments_verify.cli.running import finish
from payments_verify.cli.telling import print_error, print_json, say
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Scenario
from payments_verify.payments.service.under_test import OpenService
from payments_verify.result import CheckResult
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from pgweave.verdict import worst

GRAPH = "graph"
"""The name of the comparison with the Python model, among the models'."""

_LARGEST = "four-captures"

Specification = Annotated[
    Path, typer.Option("--specification", help="Folder of the specification.", show_default=True)
]
Jar = Annotated[
    Path | None,
    typer.Option("--jar", help="A tla2tools.jar; that of the extra tla if not given.", show_default=False),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """The TLA+ specification in specs/tla: check it, and compare it with the model and with real runs.

    It needs Java, and TLC, which the extra tla brings.
    """


@contextmanager
def could_run() -> Iterator[None]:
    """End with exit code 2 and a message where TLC, Java or the specification is missing."""
    try:
        yield
    except (TlcError, ModelsError, GraphError, NoScheduleError, NotModelledError) as error:
        print_error(error)
        raise no_verdict() from error


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
    """Check every model with TLC: its properties, and the exact number of its states.

    A weakened model must show its anomaly. `graph` is the comparison of the sequential state graph with that
    of the Python model.

    Exit codes: 0 everything is as expected; 1 it is not; 2 no verdict, as without Java.
    """
    with could_run():
        wanted = models_named(specification, [name for name in names or [] if name != GRAPH])
        if list_models:
            _list(wanted)
            return
        tlc = find_tlc(specification, jar=jar, workers=workers)
        only_graph = names == [GRAPH]
        checks: list[tuple[str, int, Callable[..., CheckResult]]] = []
        if not only_graph:
            checks += [(model.name, model.generated, partial(check_model, tlc, model)) for model in wanted]
        if not names or GRAPH in names:
            checks.append((GRAPH, 0, partial(check_graph, tlc)))
        results = _run(checks, unit="states")
    finish(results, as_json=as_json)


def _run(checks: Sequence[tuple[str, int, Callable[..., CheckResult]]], *, unit: str) -> list[CheckResult]:
    """Run checks, each with its name and its size in a unit, by which the time that is left is told."""
    results: list[CheckResult] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in results)) as whole,
        progress_bar("TLC") as progress,
    ):
        done, total = 0, sum(size for _, size, _ in checks)
        for number, (name, size, run) in enumerate(checks, 1):
            progress(done, total, f"{unit}; {number} of {len(checks)}: {name}")
            done += size
            run_check(name, run, results)
    if not whole():
        results.append(result_of_the_rest())
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

    On a service that makes the mistake that the model makes, it shows the same anomaly; on one that does
    not, the schedule cannot be run, or nothing is wrong.

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
        print_json(result)
    else:
        say(f"{made.violated} does not hold in {name}:\n\n{described(found)}\n")
        say(f"the schedule, of {made.schedule.scenario}: {path}")


@app.command()
def traces(
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this scenario; may be repeated.", show_default=False),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Compare them with the protocol of this model.", show_default=False
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="Run every schedule; the specification must have exactly as many.")
    ] = False,
    specification: Specification = SPECIFICATION,
    jar: Jar = None,
    command: Command = None,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Record runs of a real service through the gate, and check each as a behaviour of the specification.

    Of every class of schedules of a scenario one is run, as `payments-verify explore` does. Without
    --scenario, every scenario that the specification has, but for four-captures, whose 672 runs must be
    asked for. With --every each schedule is run, and the specification must have exactly as many behaviours.

    Exit codes: 0 all runs are behaviours of it; 1 one is not; 2 no verdict.
    """
    with could_run(), could_not_run():
        wanted = scenarios_named(scenario) if scenario else modelled()
        held_against = None
        if protocol is not None:
            (model,) = models_named(specification, [protocol])
            held_against = protocol_of(specification / model.configuration)
        tlc = find_tlc(specification, jar=jar)
        for each in wanted:
            programs_of(each)
        with (
            explored(ExploredSystem.IN_PROCESS, command, postgres_bin) as open_service,
            progress_bar("record") as progress,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            recorded = runner.run(_record(open_service, wanted, Naive if every else SourceDPOR, progress))
        results = _run(
            [
                (each.name, len(runs), partial(check_runs, tlc, each, runs, held_against, every=every))
                for each, runs in zip(wanted, recorded, strict=True)
            ],
            unit="runs",
        )
    finish(results, as_json=as_json)


def modelled() -> list[Scenario]:
    """The scenarios that the specification has, but for the largest."""
    found = []
    for scenario in SCENARIOS.values():
        with suppress(NotModelledError):
            programs_of(scenario)
            found.append(scenario)
    return [scenario for scenario in found if scenario.name != _LARGEST]


async def _record(
    open_service: OpenService,
    scenarios: Sequence[Scenario],
    make_strategy: Callable[[], Strategy],
    progress: Report,
) -> list[Runs]:
    recorded = []
    async with open_service() as service:
        for number, scenario in enumerate(scenarios):

            def on_run(count: int, number: int = number, name: str = scenario.name) -> None:
                progress(number, len(scenarios), f"scenarios; {name}: {count:,} schedules")

            recorded.append(await record(scenario, service, make_strategy, on_run=on_run))
    return recorded
