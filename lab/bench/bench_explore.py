"""What control of the order buys, and what it costs: `python -m lab.bench.bench_explore --help`.

First part: how many runs it takes to find each seeded bug, for the explorer and for clients whose order is
the machine's. Second part: how many schedules are run a second, beside PostgreSQL's own isolation tester; or,
with `--against DIR`, what a schedule costs in two trees of the sources.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from lab.bench.against import against_table, compared
from lab.bench.arrivals import ARRIVALS
from lab.bench.figure import RendererMissingError, chart, draw
from lab.bench.isolation_tester import IsolationTesterError, find_isolation_tester
from lab.bench.searches import EXPLORER, Search, Searched, by_how, median
from lab.bench.speed import FOUR_CLIENTS, GATE, Pace, SpeedError, medians, paces, ratios
from payments_verify.cli.progress import Report, progress_bar
from payments_verify.systems import EXPLORING, prepared_database
from pgweave.embedded.binaries import find_binaries
from tests.support.mutants import Edit, mutated_copy
from tests.support.seeded_bugs import EXPLORED_BUGS

ROOT = Path(__file__).parents[2]
JSON = Path("build/bench/explore.json")
FIGURE = Path("build/bench/explore.svg")
_SERVICE_AS_IT_IS = ""
_QUICK_SCALE = 0.2


class Results(msgspec.Struct, kw_only=True):
    """Everything that was measured.

    Attributes:
        searched: the searches for each bug, and those against the service as it is.
        paces: what was timed.
        tester: whether the isolation tester was there.
    """

    searched: list[Searched]
    paces: list[Pace]
    tester: bool = False


class SearchError(RuntimeError):
    """The searches for a bug could not be run; the message has what they printed."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One search of few tries; no four clients.")] = False,
    searches: Annotated[int, typer.Option(min=1, help="Searches for each bug, an odd number.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the second part.")] = 5,
    bug: Annotated[list[str] | None, typer.Option(help="Only bugs with this in their name.")] = None,
    part: Annotated[int, typer.Option(min=0, max=2, help="1 luck, 2 speed, 0 both.")] = 0,
    read: Annotated[Path | None, typer.Option(help="Measure nothing: show this file.")] = None,
    *,
    against: Annotated[
        Path | None, typer.Option(help="Only compare the speed with another tree of the sources.")
    ] = None,
    json: Annotated[Path, typer.Option(help="Where the results go.")] = JSON,
    figure: Annotated[Path, typer.Option(help="Where the figure goes.")] = FIGURE,
) -> None:
    """Measure, and write a table, JSON and a figure.

    Exit codes: 0 measured; 1 the explorer missed a bug, or something was wrong with a service that is not
    broken; 2 it could not be measured.
    """
    console = Console(width=130)
    if quick:
        searches, rounds = 1, 2
    bugs = [name for name in EXPLORED_BUGS if not bug or any(wanted in name for wanted in bug)]
    try:
        if against is not None:
            with progress_bar("bench") as progress:
                found = compared(
                    against.resolve(), ROOT, rounds, four=not quick, tell=lambda what: progress(0, 1, what)
                )
            console.print(against_table(found))
            return
        if read is not None:
            results = msgspec.json.decode(read.read_bytes(), type=Results)
        else:
            with progress_bar("bench") as progress:
                searched = _searched(bugs, searches, quick, progress) if part in (0, 1) else []
                results = Results(searched=searched, paces=[])
                if part in (0, 2):
                    _time(results, rounds, quick, progress)
    except (SearchError, SpeedError, IsolationTesterError, OSError, msgspec.MsgspecError) as error:
        Console(stderr=True).print(str(error), markup=False)
        raise typer.Exit(2) from None
    _write(results, json, figure, console)
    show(results, console)
    raise typer.Exit(1 if mistakes(results.searched) else 0)


# ---- the first part --------------------------------------------------------------------------------


def _searched(bugs: Sequence[str], searches: int, quick: bool, progress: Report) -> list[Searched]:
    """Search for each bug; then, as often as once, in the service as it is."""
    scenarios = dict.fromkeys(EXPLORED_BUGS[bug][1] for bug in bugs)
    jobs: list[tuple[str, Sequence[Edit], str, int]] = [
        (bug, *EXPLORED_BUGS[bug][:2], searches) for bug in bugs
    ]
    jobs += [(_SERVICE_AS_IT_IS, (), scenario, 1) for scenario in scenarios]
    found = []
    for number, (bug, edits, scenario, times) in enumerate(jobs):
        one = Searched(bug=bug, scenario=scenario, searches=[])
        for search in _search(edits, scenario, times, _QUICK_SCALE if quick else 1.0):
            one.searches.append(search)
            progress(number, len(jobs), f"{bug or scenario}: {search.how}, {search.runs} runs")
        found.append(one)
    return found


def _search(edits: Sequence[Edit], scenario: str, searches: int, scale: float) -> Iterator[Search]:
    """Search in a copy with these edits, in a process of its own.

    Raises:
        SearchError: the process failed.
    """
    with tempfile.TemporaryDirectory(prefix="payments-bench-") as folder, tempfile.TemporaryFile() as errors:
        mutant = mutated_copy(Path(folder), edits)
        options = ("--scenario", scenario, "--searches", str(searches), "--scale", str(scale))
        with subprocess.Popen(
            [sys.executable, "-m", "lab.bench.searching", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(mutant)},
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield msgspec.json.decode(line, type=Search)
        if process.returncode != 0:
            errors.seek(0)
            raise SearchError(f"{scenario}: {errors.read().decode(errors='replace')[-2_000:]}")


def mistakes(searched: Sequence[Searched]) -> list[str]:
    """Bugs that the explorer missed, and violations in a service that is not broken."""
    missed = [
        f"the explorer missed: {one.bug}"
        for one in searched
        if one.bug
        for search in one.searches
        if search.how == EXPLORER and not search.found
    ]
    false = [
        f"{one.scenario}, {search.how}, and nothing is broken: {search.violation}"
        for one in searched
        if not one.bug
        for search in one.searches
        if search.found
    ]
    return [*dict.fromkeys(missed), *false]


# ---- the second part -------------------------------------------------------------------------------


def _time(results: Results, rounds: int, quick: bool, progress: Report) -> None:
    tester = find_isolation_tester(find_binaries())
    results.tester = tester is not None
    with (
        prepared_database(settings=EXPLORING) as dsn,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        timed = paces(dsn, tester, rounds, four=not quick, tell=lambda what: progress(0, 1, what))
        results.paces = runner.run(timed)


# ---- what is shown ---------------------------------------------------------------------------------


def _write(results: Results, json: Path, figure: Path, console: Console) -> None:
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    console.print(f"wrote {json}", highlight=False)
    bugs = [one for one in results.searched if one.bug]
    if not bugs:
        return
    try:
        drawn = draw(chart(bugs))
    except RendererMissingError as error:
        console.print(f"no figure: {error}", highlight=False)
        return
    figure.parent.mkdir(parents=True, exist_ok=True)
    figure.write_text(drawn, encoding="utf-8")
    console.print(f"wrote {figure}", highlight=False)


def show(results: Results, console: Console) -> None:
    """Print the tables, and what went wrong."""
    if any(one.bug for one in results.searched):
        console.print(searches_table(results.searched))
    unbroken = [search for one in results.searched if not one.bug for search in one.searches]
    if unbroken:
        runs, wrong = sum(search.runs for search in unbroken), sum(search.found for search in unbroken)
        console.print(f"\nthe service as it is: {runs:,} runs, {wrong} of them wrong")
    for mistake in mistakes(results.searched):
        console.print(mistake, style="bold red", markup=False)
    if results.paces:
        console.print()
        console.print(paces_table(results.paces))
        found = ratios(results.paces)
        if found:
            console.print(
                f"\n{GATE}: {sorted(found)[len(found) // 2]:.1f} times as fast as the isolation tester "
                f"({min(found):.1f} to {max(found):.1f}), in the same {len(found)} rounds"
            )
        elif not results.tester:
            console.print("\nthe isolation tester is not installed with this PostgreSQL: not compared")


def searches_table(searched: Sequence[Searched]) -> Table:
    """A row for each bug, a column for each kind of search."""
    kinds = (EXPLORER, *(arrivals.name for arrivals in ARRIVALS))
    table = Table(title="runs until the first violation, median", box=None, pad_edge=False)
    table.add_column("bug")
    table.add_column("scenario")
    for kind in kinds:
        table.add_column(kind, justify="right")
    for one in searched:
        if one.bug:
            found = by_how(one.searches)
            table.add_row(one.bug, one.scenario, *(str(median(found[kind])) for kind in kinds))
    return table


def paces_table(timed: Sequence[Pace]) -> Table:
    """A row for everything that was timed."""
    table = Table(title="schedules a second, median", box=None, pad_edge=False)
    table.add_column("what")
    for name in ("schedules", "a second", "ms each", "asking who waits"):
        table.add_column(name, justify="right")
    counts = {pace.name: pace.schedules for pace in timed}
    for name, (per_second, asking) in medians(timed).items():
        share = f"{asking:.0%}" if asking else ""
        table.add_row(name, str(counts[name]), f"{per_second:.0f}", f"{1e3 / per_second:.1f}", share)
    four = [f"{pace.name}: {pace.seconds:.1f} s in all" for pace in timed if FOUR_CLIENTS in pace.name]
    if four:
        table.caption = "\n".join(four)
    return table


if __name__ == "__main__":
    typer.run(main)
