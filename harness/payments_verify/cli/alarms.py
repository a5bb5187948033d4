"""`payments-verify false-alarms`: does the harness ever accuse a service that is right?"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from payments_verify.alarms import AlarmRun, read_runs, run_once, server_version
from payments_verify.cli.ends import could_not_run
from payments_verify.cli.running import Report, print_error, print_json, print_text, progress_bar
from payments_verify.result import Progress
from payments_verify.sources import sources_hash
from payments_verify.suite import QUICK

OUTPUT = Path("build/false-alarms")
SYSTEM_POSTGRES = Path("/usr/lib/postgresql/15/bin")


def false_alarms(
    runs: Annotated[
        int, typer.Option(min=1, help="Runs on each server, those of earlier calls included.")
    ] = 50,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin no run after this time; call it again to go on.")
    ] = None,
    postgres_bin: Annotated[
        list[Path] | None,
        typer.Option(
            show_default=False,
            help="Folder of a PostgreSQL to run; may be repeated. If not given: the embedded one, and 15.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeats the one run of this seed; drawn anew if not given.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for runs.jsonl, histories and schedules.")] = OUTPUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the runs and nothing else.")] = False,
) -> None:
    """Run everything that has chance in it, again and again, on this repository's service: no check may fail.

    Each run is a line of runs.jsonl. A call goes on where the last one ended, as long as the code is the
    same.

    Exit codes: 0 all runs were made and hold; 1 a check has found a violation; 2 runs are missing, or one
    could not run.
    """
    found = [SYSTEM_POSTGRES] if SYSTEM_POSTGRES.is_dir() else []
    folders: Sequence[Path | None] = postgres_bin or [None, *found]
    file, sources = output / "runs.jsonl", sources_hash()
    output.mkdir(parents=True, exist_ok=True)
    ends = None if minutes is None else time.monotonic() + minutes * 60
    with could_not_run():
        servers = {server_version(folder): folder for folder in folders}
        done = _read(file, sources)
        while (version := _next(done, servers, runs)) is not None and not _alarm(done):
            if ends is not None and time.monotonic() > ends:
                break
            with progress_bar(f"run {len(done) + 1} of {runs * len(servers)}") as progress:
                done.append(
                    run_once(
                        sources=sources,
                        postgres=version,
                        bin_dir=servers[version],
                        seed=secrets.randbelow(1_000_000) if seed is None else seed,
                        effort=QUICK,
                        folder=output,
                        on_check=_titled(progress, version),
                    )
                )
            with file.open("ab") as lines:
                lines.write(msgspec.json.encode(done[-1]) + b"\n")
            _say(done[-1])
            if seed is not None:
                break
    _report(done, list(servers), runs, as_json=as_json)
    raise typer.Exit(_exit_code(done, list(servers), runs))


def _read(file: Path, sources: str) -> list[AlarmRun]:
    try:
        return read_runs(file, sources)
    except ValueError as error:
        print_error(error)
        raise typer.Exit(2) from error


def _clean(done: Sequence[AlarmRun], version: str) -> int:
    return sum(run.postgres == version and run.verdict == "holds" for run in done)


def _next(done: Sequence[AlarmRun], servers: dict[str, Path | None], runs: int) -> str | None:
    """The server that has had the fewest runs; ``None`` if each has had enough."""
    had = {version: sum(run.postgres == version for run in done) for version in servers}
    version = min(had, key=lambda each: had[each])
    return version if had[version] < runs else None


def _alarm(done: Sequence[AlarmRun]) -> bool:
    return any(run.verdict == "violated" for run in done)


def _exit_code(done: Sequence[AlarmRun], versions: Sequence[str], runs: int) -> int:
    if _alarm(done):
        return 1
    return 0 if all(_clean(done, version) >= runs for version in versions) else 2


def _titled(progress: Report, version: str) -> Callable[[str], Progress]:
    return lambda title: (
        lambda done, total, text: progress(done, total, f"PostgreSQL {version}: {title}: {text}")
    )


def _say(run: AlarmRun) -> None:
    typer.echo(
        f"PostgreSQL {run.postgres}, seed {run.seed}: {run.verdict}, {sum(run.cases.values()):,} cases"
        f" in {run.seconds:.0f} s",
        err=True,
    )


def _report(done: Sequence[AlarmRun], versions: Sequence[str], runs: int, *, as_json: bool) -> None:
    if as_json:
        print_json(list(done))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("PostgreSQL", "runs", "hold", "alarms", "no verdict", "cases", "minutes"):
        table.add_column(name, justify="left" if name == "PostgreSQL" else "right")
    for version in versions:
        mine = [run for run in done if run.postgres == version]
        verdicts = [run.verdict for run in mine]
        table.add_row(
            version,
            f"{len(mine)} of {runs}",
            *(str(verdicts.count(verdict)) for verdict in ("holds", "violated", "no verdict")),
            f"{sum(sum(run.cases.values()) for run in mine):,}",
            f"{sum(run.seconds for run in mine) / 60:.0f}",
        )
    console = Console(soft_wrap=True)
    console.print(table)
    for run in done:
        for problem in run.problems:
            console.print(f"\nPostgreSQL {run.postgres}, seed {run.seed}: {problem.check}: {problem.verdict}")
            print_text(console, problem.counterexample)
