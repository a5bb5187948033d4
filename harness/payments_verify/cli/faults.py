"""`payments-verify faults`: a fault at every statement of racing requests, in every interleaving."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from payments_verify.cli.ends import keep_finished
from payments_verify.cli.exits import leave
from payments_verify.cli.explore import scenario_names, scenarios_named
from payments_verify.cli.explored_system import (
    ExploredSystem,
    StopAtFirst,
    System,
    explored,
    require_database,
)
from payments_verify.cli.options import Command, Json, PostgresBin
from payments_verify.cli.progress import Report, progress_bar
from payments_verify.cli.running import print_text, quoted, verdict_text
from payments_verify.cli.telling import print_json
from payments_verify.payments.faults.disconnects import DISCONNECT, DisconnectReport, explore_disconnects
from payments_verify.payments.faults.exploration import FaultReport, explore_plan
from payments_verify.payments.faults.plans import FAULT_SCENARIOS, FaultPlan, plan_of, without_repetitions
from payments_verify.payments.faults.pool_probe import PoolProbe
from payments_verify.payments.service.under_test import OpenService
from pgweave.gate import OF_POSTGRESQL, Fault
from pgweave.verdict import worst
from pgweave.visible import counted

_NAMES = [*(each.value for each in Fault), DISCONNECT]
"""What can go wrong: each fault at a statement, and clients that hang up."""


def _known(name: str) -> str:
    if name not in _NAMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(_NAMES)}")
    return name


_NUMBERS = ("places", "alike", "schedules", "seconds", "unanswered", "acknowledged", "lost", "doubled")


def faults(
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this scenario; may be repeated.", autocompletion=scenario_names
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Only this fault: {', '.join(_NAMES)}. May be repeated. Without: all but 40003.",
            parser=_known,
            autocompletion=lambda: _NAMES,
        ),
    ] = None,
    system: System = ExploredSystem.IN_PROCESS,
    command: Command = None,
    alike: Annotated[
        bool,
        typer.Option(
            help="Of the faults after which a race goes on alike from a statement, explore one; or each."
        ),
    ] = True,
    stop_at_first: StopAtFirst = False,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Let one thing go wrong at each statement, in every interleaving.

    Clients that get no definite answer send the same command again, with the same key, until they get one.
    At the end clients hang up at each statement of each command (disconnect). 40003 is what distributed
    databases answer to a COMMIT that may have been carried out; here it was.

    Unless scenarios are named, those are left out in which, by what the statements touch, every command meets
    what it meets in a smaller one; and where there are more than two actors, only 40001 and 40P01 are raised.
    All of it are some 7,000 schedules, nine minutes on two cores.

    Exit codes: 0 every run is explained; 1 a violation was found; 2 no verdict: it could not run to its end.
    """
    require_database(system, command)
    if system is ExploredSystem.IN_MEMORY:
        told = "its steps are no statements, at which something could go wrong"
        raise typer.BadParameter(told, param_hint="--system")
    kinds = tuple(each for each in Fault if each.value in fault) if fault else OF_POSTGRESQL
    named = [FaultPlan(each, kinds) for each in scenarios_named(scenario)] if scenario else []
    plans = named or [plan_of(each, kinds) for each in FAULT_SCENARIOS]
    instances = max(plan.scenario.instances for plan in plans)
    hangs_up = DISCONNECT in fault if fault else not scenario
    found: list[FaultReport | DisconnectReport] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in found)) as whole,
        explored(system, command, postgres_bin, instances=instances) as open_service,
        progress_bar("faults") as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(
            _explore(
                open_service, plans, found, progress, stop_at_first, bool(named), hangs_up, compares=alike
            )
        )
    if as_json:
        print_json([each.as_json() for each in found])
    else:
        _show(found, Console(soft_wrap=True))
    leave(worst(each.verdict for each in found), is_whole=whole())


async def _explore(
    open_service: OpenService,
    plans: Sequence[FaultPlan],
    found: list[FaultReport | DisconnectReport],
    progress: Report,
    stop_at_first: bool,
    are_named: bool,
    hangs_up: bool,
    compares: bool,
) -> None:
    async with open_service() as service:
        pool = PoolProbe(service)
        kept = [plan for plan in plans if plan.faults]
        kept = kept if are_named else await without_repetitions(kept, service)
        total = sum(len(plan.faults) for plan in kept)
        for plan in kept:
            async for report in explore_plan(
                plan,
                service,
                compares=compares,
                on_run=lambda text: progress(len(found), total, text),
                pool=pool,
            ):
                found.append(report)
                if stop_at_first and report.violation is not None:
                    return
        if hangs_up:
            await explore_disconnects(service, found.append, lambda text: progress(total, total, text))


def _show(found: Sequence[FaultReport | DisconnectReport], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("scenario", "fault"):
        table.add_column(name, overflow="fold", min_width=11)
    for name in _NUMBERS:
        table.add_column("captures" if name == "acknowledged" else name, justify="right")
    table.add_column("verdict", no_wrap=True)
    rows = [each.as_json() for each in found]
    for row in rows:
        numbers = (row.get(name) for name in _NUMBERS)
        shown = ["" if number is None else f"{number:,}" for number in numbers]
        table.add_row(quoted(row["scenario"]), row["fault"], *shown, verdict_text(row["verdict"]))
    console.print(table)
    schedules, seconds = (sum(row[name] for row in rows) for name in ("schedules", "seconds"))
    names = {row["scenario"] for row in rows}
    console.print(f"{len(names)} scenarios and commands, {counted(schedules, 'schedule')}, {seconds:,.0f} s")
    for row in rows:
        if row["problem"] is not None:
            console.print(f"\n[bold]{quoted(row['scenario'])}, {row['fault']}[/]: {row['verdict']}")
            print_text(console, row["problem"])
