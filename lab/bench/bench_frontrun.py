"""The same race for pgweave and for frontrun: `python -m lab.bench.bench_frontrun --help`.

Two transfers in opposite directions, on PostgreSQL with psycopg: without a lock, where one is lost, and with
one, where none is. Each tool has the same time for each. What was found is replayed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from lab.bench import frontrun_race
from pgweave import explore, replay
from pgweave.embedded import temporary_postgres

JSON = Path("build/bench/frontrun.json")
LOCKS = {"no lock": "", "locks": " FOR UPDATE"}


class Found(msgspec.Struct, kw_only=True):
    """What a tool has found for one race.

    Attributes:
        race: which.
        tool: whose.
        verdict: holds, violated, or no verdict.
        schedules: how many were run up to it.
        seconds: how long that took.
        complete: whether these were all; for frontrun, whether it says so.
        replayed: how many of the replays of what was found were wrong again.
        reason: why there is no verdict.
    """

    race: str
    tool: str
    verdict: str
    schedules: int
    seconds: float
    complete: bool
    replayed: int = 0
    reason: str = ""


class FrontrunError(RuntimeError):
    """Frontrun cannot be run; the message says what to do."""


def main(
    seconds: Annotated[float, typer.Option(help="How long each tool may take for each race.")] = 120.0,
) -> None:
    """Explore the same race with both tools, and print a table.

    Exit codes: 0 it was measured; 2 frontrun is not installed.
    """
    try:
        program = _frontrun()
    except FrontrunError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    found = []
    with temporary_postgres() as server:
        for number, (race, lock) in enumerate(LOCKS.items()):
            found += [
                _ours(race, lock, server.create_database(f"ours_{number}"), seconds),
                _theirs(race, lock, server.create_database(f"theirs_{number}"), seconds, program),
            ]
    JSON.parent.mkdir(parents=True, exist_ok=True)
    JSON.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    _show(found)


def _frontrun() -> str:
    beside = Path(sys.executable).with_name("frontrun")
    found = str(beside) if beside.exists() else shutil.which("frontrun")
    if found is None:
        raise FrontrunError("frontrun is not installed: make bench-frontrun does both")
    return found


def _ours(race: str, lock: str, dsn: str, limit_s: float) -> Found:
    check, clients = frontrun_race.both_are_booked, frontrun_race.transfers(lock)
    started = time.perf_counter()
    result = explore(dsn, setup=frontrun_race.setup, clients=clients, check=check, limit_s=limit_s)
    took, replayed = time.perf_counter() - started, 0
    if result.problem:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "wrong.json")
            result.save(file)
            for _ in range(frontrun_race.REPLAYS):
                again = replay(file, dsn, setup=frontrun_race.setup, clients=clients, check=check)
                replayed += again.problem == result.problem
    return Found(
        race=race,
        tool="pgweave",
        verdict=result.verdict,
        schedules=result.schedules,
        seconds=took,
        complete=result.complete,
        replayed=replayed,
        reason="; ".join(result.unclear),
    )


def _theirs(race: str, lock: str, dsn: str, limit_s: float, program: str) -> Found:
    command = [program, sys.executable, "-m", "lab.bench.frontrun_race", dsn, lock, f"{limit_s}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s * 2 + 60)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise FrontrunError(f"frontrun ended with {done.returncode}:\n{done.stderr}")
    return Found(race=race, tool="frontrun", **json.loads(lines[-1]))


def _show(found: list[Found]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("race", "tool", "verdict", "schedules", "seconds", "complete", "replayed"):
        table.add_column(column)
    for each in found:
        replayed = f"{each.replayed} of {frontrun_race.REPLAYS}" if each.verdict == "violated" else ""
        complete = "yes" if each.complete else "no"
        seconds = f"{each.seconds:.1f}"
        table.add_row(each.race, each.tool, each.verdict, f"{each.schedules}", seconds, complete, replayed)
    console = Console(soft_wrap=True)
    console.print(table)
    for each in found:
        if each.reason:
            console.print(f"{each.race}, {each.tool}: {each.reason}", markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
