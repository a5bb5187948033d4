"""An earlier version and this one, by turns: `python -m lab.bench.bench_earlier DIR`.

DIR is a checkout in which `make sync` was run. Each command is run by both versions in every round, as a user
would run it, and what it is measured by comes from the same minute.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from lab.bench import compiled_checker
from lab.bench.compiled_checker import CompiledCheckerError
from lab.bench.long_history import write
from lab.bench.speed import FOUR_CLIENTS, GATE, TESTER, TWO_CLIENTS
from lab.bench.turns import JSON, ROOT, Compared, EarlierError, Figures, Job, Measured, Ran, compare, run
from payments_verify.cli.progress import progress_bar

BARE_PYTHON = "bare Python"
_LONGEST_S = 3_600.0
_CLIENTS = 50


class Part(StrEnum):
    """What is measured."""

    START = "start"
    HISTORIES = "histories"
    SCHEDULES = "schedules"
    EXPLORATIONS = "explorations"
    MAIN_JOB = "main-job"


def _processor_ms(ran: Ran) -> float:
    return 1e3 * ran.processor


def _processor_s(ran: Ran) -> float:
    return ran.processor


def _elapsed_s(ran: Ran) -> float:
    return ran.elapsed


def schedule_ms(name: str) -> Callable[[Ran], float]:
    """The median over its rounds of what `bench_explore` has written of one pace."""

    def figure(ran: Ran) -> float:
        paces = [pace for pace in msgspec.json.decode(ran.written)["paces"] if pace["name"] == name]
        return float(median(1e3 * pace["seconds"] / pace["schedules"] for pace in paces))

    return figure


def _starts(folder: Path) -> Iterator[Job]:
    short = folder / "short.jsonl"
    write(short, operations=10, clients=2, payments=1)
    for words in (
        ("payments-verify", "--help"),
        ("payments-core", "--help"),
        ("payments-verify", "history", str(short)),
    ):
        name = " ".join(words[:2]) + (" of ten operations" if len(words) > 2 else "")
        yield Job(words, (Measured(name, "ms of the processor", _processor_ms, BARE_PYTHON),))


def _histories(folder: Path, porcupine: Path | None) -> Iterator[Job]:
    for operations, payments in ((100_000, 1_000), (100_000, 1)):
        path = folder / f"{operations}-{payments}.jsonl"
        write(path, operations=operations, clients=_CLIENTS, payments=payments)
        yield _history(f"{operations:,} operations, payments: {payments:,}", [path])
    for name, files in groups(porcupine).items():
        yield _history(name, files, f"porcupine, {name}")


def _history(name: str, files: Sequence[Path], anchor: str = "") -> Job:
    words = ("payments-verify", "history", *map(str, files), "--budget", str(_LONGEST_S))
    return Job(words, (Measured(name, "s of the processor", _processor_s, anchor),), ends=(0, 1))


def groups(porcupine: Path | None) -> Mapping[str, Sequence[Path]]:
    """The files of porcupine's test data: the logs of etcd together, and of the others each."""
    files = [] if porcupine is None else compiled_checker.histories(porcupine)
    etcd = [path for path in files if path.suffix == ".log"]
    named = {f"{len(etcd)} logs of etcd": etcd} if etcd else {}
    return {**named, **{f"kv {path.stem}": [path] for path in files if path.suffix == ".txt"}}


def _schedules(rounds: int) -> Job:
    names = (*TWO_CLIENTS, GATE, TESTER, FOUR_CLIENTS)
    measured = (Measured(name, "ms a schedule", schedule_ms(name), TESTER * (name == GATE)) for name in names)
    rest = ("--part", "2", "--rounds", str(rounds), "--json", JSON)
    bench = "bench.bench_explore"
    return Job(
        ("python", "-m", f"lab.{bench}", *rest),
        tuple(measured),
        earlier=("python", "-m", f"tests.{bench}", *rest),
    )


def _explorations() -> Iterator[Job]:
    for scenario in ("three-captures", "four-captures"):
        words = ("payments-verify", "explore", "--scenario", scenario)
        yield Job(words, (Measured(" ".join(words[1:]), "s by the clock", _elapsed_s),))


def _main_job() -> Iterator[Job]:
    words = ("payments-verify", "verify", "--quick", "--seed", "1")
    yield Job(words, (Measured(" ".join(words), "s by the clock", _elapsed_s),))


def _time_others(files: Mapping[str, Sequence[Path]], program: Path | None, figures: Figures) -> None:
    """Time bare Python, and the compiled checker where there is one."""
    ran = run(ROOT, ("python", "-c", "pass"), (0,))
    figures.setdefault(BARE_PYTHON, []).append(_processor_ms(ran))
    for name, paths in files.items():
        if program is None:
            return
        timed = compiled_checker.run(program, paths).values()
        took = sum(each.read + each.check for each in timed) / 1e9
        figures.setdefault(f"porcupine, {name}", []).append(took)


def table_of(jobs: Sequence[Job], compared: Compared) -> Table:
    """A row for everything that was measured: medians, the ratio, and what others take."""
    table = Table("what", "unit", "before", "now", "before : now", "anchor", "now : anchor", box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    others = {**compared.now, **compared.others}
    for each in (each for job in jobs for each in job.measured):
        before, now = median(compared.earlier[each.name]), median(compared.now[each.name])
        row = [each.name, each.unit, f"{before:,.3g}", f"{now:,.3g}", f"{before / now:.2f}"]
        if each.anchor in others:
            anchor = median(others[each.anchor])
            row += [f"{each.anchor}: {anchor:,.3g}", f"{now / anchor:.2f}"]
        table.add_row(*row)
    return table


def main(
    earlier: Annotated[Path, typer.Argument(metavar="DIR", help="A checkout of an earlier version.")],
    rounds: Annotated[int, typer.Option(min=1, help="How often each command is run by each version.")] = 3,
    part: Annotated[list[Part] | None, typer.Option(help="Only this part; may be repeated.")] = None,
    porcupine: Annotated[
        Path | None,
        typer.Option(envvar="PORCUPINE", help="A folder with porcupine's source, to be compared with."),
    ] = None,
    json: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build/bench/earlier.json"),
) -> None:
    """Print a row for everything that both versions were measured by.

    Exit codes: 0 measured; 2 a version, or porcupine, cannot be run.
    """
    parts = part or list(Part)
    compared = Compared()
    try:
        with tempfile.TemporaryDirectory() as name, progress_bar("bench") as progress:
            folder = Path(name)
            program = None if porcupine is None else compiled_checker.build(porcupine, _made(folder / "go"))
            jobs = [job for each in parts for job in _jobs(each, folder, porcupine, rounds)]
            files = groups(porcupine) if Part.HISTORIES in parts else {}
            total = 2 * rounds * len(jobs)
            others = partial(_time_others, files, program)
            for done, what in enumerate(compare(earlier.absolute(), jobs, rounds, others, compared)):
                progress(done, total, what)
    except (EarlierError, CompiledCheckerError) as error:
        Console(stderr=True).print(str(error), markup=False)
        raise typer.Exit(2) from None
    _made(json.parent)
    json.write_bytes(msgspec.json.encode(compared))
    console = Console(width=150)
    console.print(table_of(jobs, compared))
    console.print(f"medians of {rounds} rounds, {os.cpu_count()} cores", highlight=False)


def _jobs(part: Part, folder: Path, porcupine: Path | None, rounds: int) -> Iterator[Job]:
    match part:
        case Part.START:
            yield from _starts(folder)
        case Part.HISTORIES:
            yield from _histories(folder, porcupine)
        case Part.SCHEDULES:
            yield _schedules(rounds)
        case Part.EXPLORATIONS:
            yield from _explorations()
        case Part.MAIN_JOB:
            yield from _main_job()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    typer.run(main)
