"""`payments-verify explore`: every interleaving of the steps of racing requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer
import uvloop
from rich.console import Console

from payments_verify.called import command_line
from payments_verify.cli.discovering import end_discovery, run_discovery
from payments_verify.cli.ends import keep_finished
from payments_verify.cli.exits import leave
from payments_verify.cli.explorations import show_explored
from payments_verify.cli.explored_system import (
    ExploredSystem,
    StopAtFirst,
    System,
    explored,
    require_database,
)
from payments_verify.cli.options import Command, ExecutorName, Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.telling import print_json, say
from payments_verify.executors import open_executor
from payments_verify.payments.exploration.check import explore_scenarios
from payments_verify.payments.exploration.discovery_check import (
    DiscoveryResult,
    ExploreOne,
    explore_discovered,
)
from payments_verify.payments.exploration.scenario import (
    DEFAULT_EFFORT,
    ExploredScenario,
    MakeStrategy,
    explore_scenario,
)
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Scenario
from payments_verify.payments.scenarios.discovered import scenario_named
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.payments.service.under_test import OpenService
from payments_verify.systems import MakeProgram, local_processes
from pgweave.drive.exploration import Effort, Workers
from pgweave.interleavings.exhaustive import Bounded, Naive
from pgweave.interleavings.parallel import prepare_workers
from pgweave.interleavings.randomized import PCT, Random
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.verdict import worst

SCHEDULES = Path("build/schedules")
_STEPS_IN_A_RUN = 20
_Opened: TypeAlias = tuple[OpenService, ExploreOne]


class StrategyName(StrEnum):
    """How schedules are chosen."""

    DPOR = "dpor"
    NAIVE = "naive"
    BOUNDED = "bounded"
    PCT = "pct"
    RANDOM = "random"


def scenario_names(incomplete: str) -> list[str]:
    """The names that a shell completes."""
    return [name for name in NAMED if name.startswith(incomplete)]


def scenarios_named(names: Sequence[str]) -> list[Scenario]:
    """The scenarios of these names; for none all but those that are too large for each run.

    Raises:
        typer.BadParameter: if there is none of a name.
    """
    found = [scenario_named(name) for name in names]
    unknown = [name for name, scenario in zip(names, found, strict=True) if scenario is None]
    if unknown:
        raise typer.BadParameter(
            f"no scenario is named {', '.join(unknown)}; there are {', '.join(NAMED)}",
            param_hint="--scenario",
        )
    return [each for each in found if each is not None] or list(SCENARIOS.values())


def strategy_maker(
    name: StrategyName, *, runs: int, seed: int, bound: int, depth: int, symmetry: bool
) -> MakeStrategy | None:
    """What makes the strategy of a name; ``None`` for one of each class up to symmetry."""
    match name:
        case StrategyName.DPOR:
            return None if symmetry else SourceDPOR
        case StrategyName.NAIVE:
            return Naive
        case StrategyName.BOUNDED:
            return partial(Bounded, bound)
        case StrategyName.PCT:
            return partial(PCT, runs, seed, depth=depth, steps=_STEPS_IN_A_RUN)
        case StrategyName.RANDOM:
            return partial(Random, runs, seed)


def explore(
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this scenario; may be repeated.", autocompletion=scenario_names
        ),
    ] = None,
    strategy: Annotated[StrategyName, typer.Option(help="How schedules are chosen.")] = StrategyName.DPOR,
    runs: Annotated[int, typer.Option(min=1, help="Schedules, for pct and random.")] = 100,
    seed: Annotated[int, typer.Option(help="Draws schedules, for pct and random.")] = 0,
    bound: Annotated[int, typer.Option(min=0, help="Preemptions at most, for bounded.")] = 2,
    depth: Annotated[int, typer.Option(min=1, help="Orderings that a bug needs, for pct.")] = 3,
    no_symmetry: Annotated[
        bool,
        typer.Option(
            "--no-symmetry",
            help="With dpor: run all classes, and not one where interchangeable clients change places.",
        ),
    ] = False,
    system: System = ExploredSystem.IN_PROCESS,
    probes: Annotated[
        int, typer.Option(min=0, help="Random schedules from which the number of all is estimated.")
    ] = 0,
    command: Command = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that run schedules side by side, each with a database.")
    ] = 1,
    executor: ExecutorName = None,
    rerun: Annotated[
        int,
        typer.Option(
            min=0,
            help="Run every Nth schedule twice, to see that it does the same; up to symmetry, all.",
        ),
    ] = DEFAULT_EFFORT.rerun_every,
    output: Annotated[Path, typer.Option(help="Folder for the schedules of violations.")] = SCHEDULES,
    stop_at_first: StopAtFirst = False,
    discover: Annotated[
        bool,
        typer.Option(
            "--discover",
            help="No scenario that somebody wrote: those that one run of each command shows to be worth it.",
        ),
    ] = False,
    list_scenarios: Annotated[
        bool, typer.Option("--list", help="List the scenarios and what each looks for.")
    ] = False,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Run racing requests in every order of their steps, and judge each run.

    A step is a SQL statement; in memory, a call of the store. dpor runs one of each class of schedules that
    differ only in the order of independent steps, and says whether it came to the end. Clients that do the
    same but for their keys are interchangeable: of the classes in which they change places it runs one, and
    each schedule once more with them in each other's place, to see that it does the same. A violation is
    written as a schedule that `payments-verify replay` runs again.

    Exit codes: 0 every run is explained; 1 a violation was found; 2 no verdict: it could not run to its end.
    """
    wanted = scenarios_named(scenario or [])
    if list_scenarios:
        _list(wanted if scenario else list(NAMED.values()))
        return
    require_database(system, command)
    if discover and scenario:
        told = "it would not be used: --discover finds its races itself"
        raise typer.BadParameter(told, param_hint="--scenario")
    make = strategy_maker(strategy, runs=runs, seed=seed, bound=bound, depth=depth, symmetry=not no_symmetry)
    program = MakeProgram(
        "",
        command,
        postgres_bin,
        in_memory=system is ExploredSystem.IN_MEMORY,
        own_sweeper=system is ExploredSystem.OWN_SWEEPER,
        instances=max(each.instances for each in wanted),
    )
    effort = Effort(rerun_every=rerun, probes=probes)
    explore_one = partial(explore_scenario, make_strategy=make, folder=output, effort=effort)
    opened = _opened(program, workers, executor, wanted[0], explore_one)
    if discover:
        races = partial(explore_discovered, effort=effort, to_the_first=stop_at_first)
        _discover(opened, races, command or system, as_json=as_json)
    found: list[ExploredScenario] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in found)) as whole,
        opened as (open_service, explore_here),
        progress_bar("explore") as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(
            explore_scenarios(
                open_service,
                wanted,
                explore_here,
                found,
                progress,
                is_the_last=lambda verdict: stop_at_first and verdict == "violated",
            )
        )
    if as_json:
        print_json([each.as_json() for each in found])
    else:
        show_explored(found, Console(soft_wrap=True))
    leave(worst(each.verdict for each in found), is_whole=whole())


@contextmanager
def _opened(
    program: MakeProgram, workers: int, executor: str | None, first: Scenario, explore_one: ExploreOne
) -> Iterator[_Opened]:
    """A way to open the service, and to explore a scenario of it; by the workers that were asked for."""
    in_process = ExploredSystem.OWN_SWEEPER if program.own_sweeper else ExploredSystem.IN_PROCESS
    system = ExploredSystem.IN_MEMORY if program.in_memory else in_process
    with (
        _workers(workers, executor, program, first) as by_workers,
        explored(
            system,
            program.command,
            program.bin_dir,
            instances=program.instances,
            by_workers=by_workers is not None,
            side_by_side=by_workers is None,
        ) as open_service,
    ):
        yield open_service, partial(explore_one, workers=by_workers)


def _discover(
    opened: AbstractContextManager[_Opened],
    explore_races: Callable[..., Coroutine[object, object, None]],
    service: str,
    *,
    as_json: bool,
) -> NoReturn:
    result = DiscoveryResult(service)
    with (
        keep_finished(lambda: result.verdict) as ended,
        opened as (open_service, explore_one),
        progress_bar("discover") as progress,
    ):
        explore = partial(explore_races, explore_one=explore_one, result=result, progress=progress)
        run_discovery(open_service, explore)

    def document() -> object:
        return [each.as_json() for each in result.explored]

    end_discovery(result, ended, command_line("replay"), document if as_json else None)


@contextmanager
def _workers(
    count: int, executor: str | None, program: MakeProgram, first: Scenario
) -> Iterator[Workers | None]:
    """The workers that were asked for; none for one process and no executor."""
    if executor is None and count == 1:
        yield None
        return
    with ExitStack() as stack:
        if executor is None:
            pool: Executor = stack.enter_context(local_processes(count))
        else:
            opened = stack.enter_context(open_executor(executor))
            pool, count = opened.executor, opened.workers or count
        prepare_workers(pool, replace(program, scenario=first.name), count)
        yield Workers(pool, lambda name: replace(program, scenario=name), in_flight=2 * count)


def _list(scenarios: Sequence[Scenario]) -> None:
    for scenario in scenarios:
        by_name = "" if scenario.name in SCENARIOS else "  (only by --scenario)"
        say(f"{scenario.name}{by_name}\n  {scenario.anomaly}")
        for actor in scenario.actors:
            say(f"    {actor.name}")
