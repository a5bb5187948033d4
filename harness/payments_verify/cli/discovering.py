"""What discovery has found, as a table and as JSON: `conformance --discover` and `explore --discover`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from payments_verify.cli.ends import Ended, keep_finished, write_or_tell
from payments_verify.cli.exits import leave
from payments_verify.cli.known_secrets import leave_out_of_runs
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import make_table, print_text, quoted, verdict_text
from payments_verify.cli.telling import print_json
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.exploration.discovery_check import DiscoveryResult, explore_discovered
from payments_verify.payments.exploration.pictures import draw
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.discovered import STATES
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from pgweave.redaction import redacted, redacted_value
from pgweave.verdict import worst
from pgweave.visible import counted


def discover_races(
    opened: AbstractContextManager[Examination],
    folder: Path,
    known: Callable[[Examination | None], Mapping[str, str]],
    *,
    as_json: bool,
) -> NoReturn:
    """Discover races of a bound service, explore them up to the first that is violated, and report.

    Raises:
        typer.BadParameter: its statements cannot be followed.
        typer.Exit: always but then.
    """
    result, replay = DiscoveryResult("the service"), ""
    seen: Examination | None = None
    with (
        keep_finished(lambda: result.verdict) as ended,
        opened as examination,
        progress_bar("discover") as progress,
    ):
        seen, result.service, replay = examination, examination.name, examination.replay
        if examination.open_behind_gate is None:
            why = "; ".join(each for each in examination.unchecked if each.startswith("levels 4 and 5"))
            raise typer.BadParameter(f"its statements cannot be followed: {why}", param_hint="--discover")
        explore = partial(
            explore_discovered,
            explore_one=partial(explore_scenario, make_strategy=None, folder=folder / "schedules"),
            result=result,
            progress=progress,
            lacking=examination.lacks,
            to_the_first=True,
        )
        run_discovery(examination.open_behind_gate, explore)
    left_out = known(seen)
    write_or_tell(partial(leave_out_of_runs, folder, left_out))
    end_discovery(result, ended, replay, result.as_json if as_json else None, left_out)


def end_discovery(
    result: DiscoveryResult,
    ended: Ended,
    replay: str,
    document: Callable[[], object] | None,
    left_out: Mapping[str, str] | None = None,
) -> NoReturn:
    """Print what was discovered, and leave.

    Args:
        result: what became of the races.
        ended: what ended them early, if anything did.
        replay: the command line that runs a schedule again, but for the file.
        document: makes the JSON to print; ``None`` for people.
        left_out: the secrets that are not printed.
    """
    result.ended_by = ended.why
    if document is not None:
        print_json(redacted_value(document(), left_out or {}))
    else:
        console = Console(soft_wrap=True)
        with console.capture() as printed:
            show(result, replay, console)
        typer.echo(redacted(printed.get(), left_out or {}), nl=False)
    leave(result.verdict)


def run_discovery(
    open_service: OpenService, explore: Callable[[ServiceUnderTest], Coroutine[object, object, None]]
) -> None:
    """Open a service and explore what is discovered of it: `explore_discovered`, but for the service."""

    async def run() -> None:
        async with open_service() as service:
            await explore(service)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def show(result: DiscoveryResult, replay: str, console: Console) -> None:
    """Print a table of the states, what is wrong below it, and what was not explored."""
    console.print(_table(result))
    if result.problem is not None:
        print_text(console, f"\n{result.problem}")
    for each in result.unclear:
        print_text(console, f"\n{each.scenario.name}: no verdict\n{each.problem}")
    if result.violated is not None:
        print_text(console, f"\n{told(result.violated, result.service, replay)}")
    print_text(console, f"\n{_not_explored(result)}")
    if result.discovery.not_understood:
        console.print("\n[bold]statements that may touch anything[/]: all that races with them is explored")
        for statement in result.discovery.not_understood:
            print_text(console, f"  {statement}")
    if result.discovery.left_out:
        console.print("\n[bold]left out, for what the binding lacks[/]")
        for what in result.discovery.left_out:
            print_text(console, f"  {what}")
    print_text(console, f"\n{result.service}: {result.verdict}")


def told(explored: ExploredScenario, service: str, replay: str) -> str:
    """What is wrong with a race: why it was explored, what was seen, a picture, and how to run it again."""
    lines = [f"{explored.scenario.name}: violated", explored.scenario.anomaly, "", f"{explored.problem}"]
    if explored.violation is not None and explored.execution is not None and explored.schedule is not None:
        picture = draw(explored.scenario, service, explored.execution, explored.violation, explored.schedule)
        lines += ["", picture, "", f"run it again: {replay} {explored.schedule}"]
    return "\n".join(lines)


def _table(result: DiscoveryResult) -> Table:
    counted_as = ("alone", "pairs", "triples", "foretold", "schedules")
    table = make_table("state", *counted_as, "verdict", "seconds", numbers=(*counted_as, "seconds"))
    for state in STATES:
        traced = [each for each in result.discovery.traced if each.startswith(f"{state},")]
        if traced:
            table.add_row(quoted(state), f"{len(traced)}", *_cells(result, f"{state},"))
    return table


def _cells(result: DiscoveryResult, state: str) -> Sequence[str]:
    races = [each for each in result.discovery.races if each.scenario.name.startswith(state)]
    explored = [each for each in result.explored if each.scenario.name.startswith(state)]
    verdict = worst(
        [*(each.verdict for each in explored), *(["no verdict"] if len(explored) < len(races) else [])]
        or ["holds"]
    )
    sizes = [len(each.scenario.actors) for each in races]
    return (
        f"{sizes.count(2)}",
        f"{sizes.count(3)}",
        f"{sum(each.is_foretold for each in races)}",
        f"{sum(each.report.schedules for each in explored):,}",
        verdict_text(verdict),
        f"{sum(each.seconds for each in explored):.1f}",
    )


def _not_explored(result: DiscoveryResult) -> str:
    independent = sum(map(len, result.discovery.independent.values()))
    return (
        f"Not explored: {counted(independent, 'pair')} without rows that both use;"
        f" {counted(result.discovery.serial, 'triple')} in which no order is foretold that pairs do not show;"
        " creations of a payment that is there, but in pairs before it is authorized; races between payments."
        " --json says why each race was explored."
    )
