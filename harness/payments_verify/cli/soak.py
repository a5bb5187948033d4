"""`payments-verify soak`: load under a nemesis that mixes faults, for as long as one likes."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop
from rich.console import Console

from payments_verify.cli.ends import tell_end
from payments_verify.cli.exits import leave, no_verdict, tell_first
from payments_verify.cli.options import Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import make_table, print_text, quoted, verdict_text
from payments_verify.cli.telling import print_json, say
from payments_verify.nemesis.catalog import FAULTS
from payments_verify.nemesis.soak import SoakPlan
from payments_verify.nemesis.soak import soak as run_soak
from payments_verify.nemesis.soak_report import SoakReport, histories, judge_rest, summed_up
from payments_verify.nemesis.window import Pace, WindowReport
from payments_verify.result import line_of
from pgweave.visible import counted

FOLDER = Path("build/soak")
_PROBLEMS_SHOWN = 5
_NUMBERS = ("injected", "struck", "unanswered", "captures", "lost", "doubled", "serves again", "at most")


def _names(value: str | None) -> list[str]:
    names = [name.strip() for name in value.split(",")] if value else list(FAULTS)
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)}; --list shows what there is")
    return names


def _settings(pairs: list[str] | None) -> dict[str, str]:
    settings = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE")
        settings[name] = value
    return settings


def soak(
    minutes: Annotated[float, typer.Option(min=0.05, help="Begin no new window after this time.")] = 10.0,
    captures: Annotated[
        int | None, typer.Option(min=1, help="Stop when so many captures are acknowledged.")
    ] = None,
    faults: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Mix only these; all if not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Draws faults and commands; drawn anew if not given.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to save histories; build/soak/SEED if not given.")
    ] = None,
    after: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long clients go on after each repair.")
    ] = Pace().tail,
    server_setting: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the database server; may be repeated."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run nothing; judge this folder's saved windows again."),
    ] = None,
    list_faults: Annotated[bool, typer.Option("--list", help="Show the faults and end.")] = False,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Load two server processes while faults of all kinds happen, and judge it all.

    Clients that get no definite answer send the same command again, with the same key, until they get one.
    After each window of load the database is read directly; the window's history has to be linearizable, no
    acknowledged capture lost, none made twice, nothing left behind. Ctrl-C ends everything and leaves what
    there is.

    Exit codes: 0 everything holds; 1 a violation was found; 2 no verdict: it could not run to its end.
    """
    if list_faults:
        _list(Console(soft_wrap=True))
        raise typer.Exit
    if check is not None:
        _check(check, as_json=as_json)
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    where = folder or FOLDER / str(drawn)
    if where.exists() and histories(where):
        raise typer.BadParameter(
            f"{where} holds a soak already; judge it with --check {where}, or name another"
        )
    where.mkdir(parents=True, exist_ok=True)
    plan = SoakPlan(
        minutes * 60,
        captures,
        _names(faults),
        drawn,
        Pace(tail=after),
        settings=_settings(server_setting),
        bin_dir=postgres_bin,
    )
    try:
        _run(plan, where)
    except (KeyboardInterrupt, asyncio.CancelledError):
        say(f"interrupted; what there is lies in {where}", err=True)
    except Exception as error:
        tell_end(error, f"what there is lies in {where}")
        if not histories(where):
            raise no_verdict() from error
    _finish(where, as_json=as_json)


def _run(plan: SoakPlan, folder: Path) -> None:
    began = time.monotonic()
    with (
        progress_bar("soak") as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):

        def on_window(report: WindowReport, acknowledged: int) -> None:
            struck = " and ".join(each.fault for each in report.incidents) or "nothing"
            if plan.captures is None:
                done, total, unit = int(time.monotonic() - began), int(plan.seconds), "s"
            else:
                done, total, unit = acknowledged, plan.captures, "captures"
            progress(
                done, total, f"{unit}; window {report.number}: {struck}; {counted(acknowledged, 'capture')}"
            )

        async def until_told_to_end() -> None:
            running = asyncio.ensure_future(run_soak(plan, folder, on_window))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
            await running

        runner.run(until_told_to_end())


def _check(folder: Path, *, as_json: bool) -> NoReturn:
    if not histories(folder):
        raise typer.BadParameter(f"{folder} holds no histories of a soak", param_hint="--check")
    _finish(folder, as_json=as_json, again=True)


def _finish(folder: Path, *, as_json: bool, again: bool = False) -> NoReturn:
    with progress_bar("judging") as progress:
        judge_rest(folder, lambda done, total: progress(done, total, "windows"), again=again)
    report = summed_up(folder)
    tell_first(report.verdict)
    if as_json:
        print_json(report.as_json())
    else:
        show_report(report, folder, Console(soft_wrap=True))
    leave(report.verdict)


def _list(console: Console) -> None:
    table = make_table("fault", "what happens", "here")
    for name, fault in FAULTS.items():
        table.add_row(name, fault.about, quoted(fault.missing() or "yes"))
    console.print(table)


def show_report(report: SoakReport, folder: Path, console: Console) -> None:
    """Print what a soak did and found."""
    table = make_table("fault", *_NUMBERS, numbers=_NUMBERS)
    table.columns[0].no_wrap = True
    for each in report.faults:
        counts = (each.injected, each.effects, each.unknown, each.acknowledged, each.lost, each.doubled)
        table.add_row(
            each.name, *[f"{count:,}" for count in counts], _time(each.median_s), _time(each.worst_s)
        )
    console.print(table)
    for name, reason in (report.run.absent if report.run is not None else {}).items():
        console.print(f"[yellow]{quoted(name)}: could not run here: {quoted(reason)}[/]")
    for problem in report.problems[:_PROBLEMS_SHOWN]:
        print_text(console, f"\n{problem}")
    if len(report.problems) > _PROBLEMS_SHOWN:
        console.print(f"\n... and {counted(len(report.problems) - _PROBLEMS_SHOWN, 'more problem')}")
    seconds = "" if report.run is None else f" in {report.run.seconds:.0f} s, seed {report.run.seed}"
    console.print(
        f"\n{counted(report.windows, 'window')}, {counted(report.operations, 'operation')},"
        f" {counted(report.acknowledged, 'capture')} "
        f"acknowledged, {report.lost} lost, {report.doubled} doubled{seconds}; histories: {quoted(folder)}"
    )
    console.print(verdict_text(report.verdict, line_of(report.verdict, report.reach)))


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
