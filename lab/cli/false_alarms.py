"""`python -m lab false-alarms`: does the harness ever accuse a service that is right?"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from lab.alarms import SERVICE, AlarmRun, read_runs, run_once, run_peer, server_version
from lab.peers import PEER_FILE, Peer, names_meant, peers_in
from payments_verify.cli.ends import could_not_run, keep_finished
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.progress import Report, progress_bar
from payments_verify.cli.running import print_text, quoted
from payments_verify.cli.telling import print_error, print_json, say
from payments_verify.result import Progress
from payments_verify.sources import folder_hash, sources_hash
from payments_verify.suite import QUICK
from pgweave.verdict import Verdict

OUTPUT = Path("build/false-alarms")
SYSTEM_POSTGRES = Path("/usr/lib/postgresql/15/bin")

Wanted: TypeAlias = tuple[str, str]
"""A server's version and a subject: what runs are counted for."""


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
    peers: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Folder of right services that are others, such as examples/peers: these too.",
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Only what has this name, or folder; without one, what has it in its name.",
            show_default=False,
        ),
    ] = "",
    output: Annotated[Path, typer.Option(help="Folder for runs.jsonl, histories and schedules.")] = OUTPUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the runs and nothing else.")] = False,
) -> None:
    """Run everything that has chance in it on services that are right: no check may fail.

    They are this repository's own, and with --peers the services in that folder, each up to the highest level
    that it reaches. What the machine lacks a tool for is left out, and named. Each run is a line of
    runs.jsonl. A call goes on where the last one ended, as long as the code is the same.

    Exit codes: 0 all runs were made and hold; 1 a check has found a violation; 2 runs are missing, or one
    could not run.
    """
    found = [SYSTEM_POSTGRES] if SYSTEM_POSTGRES.is_dir() else []
    folders: Sequence[Path | None] = postgres_bin or [None, *found]
    file = output / "runs.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    ends = None if minutes is None else time.monotonic() + minutes * 60
    with could_not_run():
        servers = {server_version(folder): folder for folder in folders}
        known = _peers(peers)
        subjects = _subjects(known, only)
        code = sources_hash("lab")
        sources = code if peers is None else f"{code}, peers {folder_hash(peers)}"
        done = _read(file, sources)
    wanted = [(version, subject) for subject in subjects for version in servers]
    with keep_finished(lambda: _verdict(done, wanted, runs)) as whole:
        while (todo := _next(done, wanted, runs)) is not None and not _alarm(done):
            if ends is not None and time.monotonic() > ends:
                break
            version, subject = todo
            number = sum(len(_of(done, each)) for each in wanted) + 1
            with progress_bar(f"run {number} of {runs * len(wanted)}") as progress:
                run = subjects[subject]
                done.append(
                    run(
                        sources=sources,
                        postgres=version,
                        bin_dir=servers[version],
                        seed=secrets.randbelow(1_000_000) if seed is None else seed,
                        folder=output,
                        on_check=_titled(progress, version),
                    )
                )
            with file.open("ab") as lines:
                lines.write(msgspec.json.encode(done[-1]) + b"\n")
            _say(done[-1])
            if seed is not None:
                break
    _report(done, wanted, runs, as_json=as_json)
    for peer in known:
        if peer.lacks is not None:
            say(f"left out: {peer.name}: {peer.lacks} is not there", err=True)
    leave(_verdict(done, wanted, runs), is_whole=whole())


def _peers(folder: Path | None) -> list[Peer]:
    """The services in the folder.

    Raises:
        Exit: there are none, or a file of one is wrong.
    """
    if folder is None:
        return []
    try:
        found = peers_in(folder)
    except ValueError as error:
        print_error(error)
        raise no_verdict() from error
    if not found:
        print_error(f"{folder} has no folder with a {PEER_FILE}")
        raise no_verdict()
    return found


def _subjects(peers: Sequence[Peer], only: str) -> dict[str, Callable[..., AlarmRun]]:
    """What runs each subject once, by its name."""
    runs: dict[str, Callable[..., AlarmRun]] = {SERVICE: partial(run_once, effort=QUICK)}
    runs |= {peer.name: partial(run_peer, peer) for peer in peers if peer.lacks is None}
    found = {name: runs[name] for name in names_meant(only, runs)}
    if not found:
        print_error(f"nothing has {only!r} in its name; there are {', '.join(runs)}")
        raise no_verdict()
    return found


def _read(file: Path, sources: str) -> list[AlarmRun]:
    try:
        return read_runs(file, sources)
    except ValueError as error:
        print_error(error)
        raise no_verdict() from error


def _of(done: Sequence[AlarmRun], wanted: Wanted) -> list[AlarmRun]:
    return [run for run in done if (run.postgres, run.subject) == wanted]


def _next(done: Sequence[AlarmRun], wanted: Sequence[Wanted], runs: int) -> Wanted | None:
    """What has had the fewest runs; ``None`` if each has had enough."""
    had = {each: len(_of(done, each)) for each in wanted}
    fewest = min(had, key=lambda each: had[each])
    return fewest if had[fewest] < runs else None


def _alarm(done: Sequence[AlarmRun]) -> bool:
    return any(run.verdict == "violated" for run in done)


def _verdict(done: Sequence[AlarmRun], wanted: Sequence[Wanted], runs: int) -> Verdict:
    if _alarm(done):
        return "violated"
    hold = [sum(run.verdict == "holds" for run in _of(done, each)) for each in wanted]
    return "holds" if min(hold) >= runs else "no verdict"


def _titled(progress: Report, version: str) -> Callable[[str], Progress]:
    return lambda title: (
        lambda done, total, text: progress(done, total, f"PostgreSQL {version}: {title}: {text}")
    )


def _say(run: AlarmRun) -> None:
    say(
        f"{_place(run)}: {run.verdict}, {sum(run.cases.values()):,} cases in {run.seconds:.0f} s",
        err=True,
    )


def _place(run: AlarmRun) -> str:
    of = "" if run.subject == SERVICE else f"{run.subject}, "
    return f"{of}PostgreSQL {run.postgres}, seed {run.seed}"


def _report(done: Sequence[AlarmRun], wanted: Sequence[Wanted], runs: int, *, as_json: bool) -> None:
    if as_json:
        print_json(list(done))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("service", "PostgreSQL", "runs", "hold", "alarms", "no verdict", "cases", "minutes"):
        table.add_column(name, justify="left" if name in ("service", "PostgreSQL") else "right")
    for version, subject in wanted:
        mine = _of(done, (version, subject))
        verdicts = [run.verdict for run in mine]
        table.add_row(
            quoted(subject),
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
            print_text(console, f"\n{_place(run)}: {problem.check}: {problem.verdict}")
            print_text(console, problem.counterexample)
