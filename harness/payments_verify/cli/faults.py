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
from payments_verify.cli.explored_system import StopAtFirst
from payments_verify.cli.options import Command, Json, PostgresBin
from payments_verify.cli.running import (
    Report,
    print_json,
    print_text,
    progress_bar,
    quoted,
    verdict_text,
)
from payments_verify.payments.fault_check import FaultReport, explore_fault
from payments_verify.payments.scenarios import FAULT_SCENARIOS, Scenario
from payments_verify.systems import EXPLORING, gated, prepared_database
from pgweave.gate import Fault
from pgweave.verdict import worst


def faults(
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this scenario; may be repeated.", autocompletion=scenario_names
        ),
    ] = None,
    fault: Annotated[list[Fault] | None, typer.Option(help="Only this fault; may be repeated.")] = None,
    command: Command = None,
    stop_at_first: StopAtFirst = False,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Let one thing go wrong at each statement, in every interleaving.

    Clients that get no definite answer send the same command again, with the same key, until they get one.

    Exit codes: 0 every run is explained; 1 a violation was found; 2 no verdict: it could not run to its end.
    """
    wanted = scenarios_named(scenario) if scenario else list(FAULT_SCENARIOS)
    found: list[FaultReport] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in found)) as whole,
        prepared_database(postgres_bin, EXPLORING) as dsn,
        progress_bar("faults") as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_explore(dsn, command, wanted, fault or list(Fault), found, progress, stop_at_first))
    if as_json:
        print_json([each.as_json() for each in found])
    else:
        _show(found, Console(soft_wrap=True))
    leave(worst(each.verdict for each in found), is_whole=whole())


async def _explore(
    dsn: str,
    command: str | None,
    scenarios: Sequence[Scenario],
    kinds: Sequence[Fault],
    found: list[FaultReport],
    progress: Report,
    stop_at_first: bool,
) -> None:
    total = len(scenarios) * len(kinds)
    async with gated(dsn, command) as service:
        for scenario in scenarios:
            for kind in kinds:
                found.append(
                    await explore_fault(
                        scenario, kind, service, on_run=lambda text: progress(len(found), total, text)
                    )
                )
                if stop_at_first and found[-1].violation is not None:
                    return


def _show(found: Sequence[FaultReport], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("scenario", "fault"):
        table.add_column(name, overflow="fold", min_width=11)
    for name in ("places", "injected", "unanswered", "captures", "lost", "doubled"):
        table.add_column(name, justify="right")
    table.add_column("verdict", no_wrap=True)
    for each in found:
        numbers = (each.places, each.injected, each.unanswered, each.acknowledged, each.lost, each.doubled)
        shown = [f"{number:,}" for number in numbers]
        table.add_row(quoted(each.scenario.name), each.fault.value, *shown, verdict_text(each.verdict))
    console.print(table)
    for each in found:
        problem = each.violation.explanation if each.violation is not None else each.problem
        if problem is not None:
            console.print(f"\n[bold]{quoted(each.scenario.name)}, {each.fault.value}[/]: {each.verdict}")
            print_text(console, problem)
