"""`python -m lab mutants`: which technique finds which bug, measured on broken copies of the service."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lab.cli.mutants_main_job import end_main_job, rows_of
from lab.cli.mutants_shown import list_mutants_of, show_matrix
from lab.mutants.catalogue import Catalogue, CatalogueError, load
from lab.mutants.edit import EditError
from lab.mutants.elsewhere import Elsewhere
from lab.mutants.figures import figures
from lab.mutants.matrix import Kept, run_all
from lab.mutants.plan import Planned, copies, planned, planned_main_job
from lab.mutants.results import Matrix, matrix
from lab.mutants.techniques import techniques
from lab.mutants.trial import Trial, run_trial
from payments_verify.cli.ends import write_or_tell
from payments_verify.cli.exits import leave, no_verdict, tell_first
from payments_verify.cli.options import ExecutorName, Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.telling import print_error, print_json, say
from payments_verify.executors import ExecutorError, open_executor
from payments_verify.report.kill_matrix import write_kill_matrix
from payments_verify.report.saved import Mutants
from payments_verify.sources import sources_hash
from payments_verify.suite import QUICK

PACKAGE = "payments_core"
CATALOGUE = Path("lab/mutants/bugs")
KEPT = Path("build/mutants")
OUTPUT = Path("build/report")


class TechniqueOption(StrEnum):
    """The techniques."""

    STATIC = "static"
    MODEL = "model"
    MACHINE = "machine"
    EXPLORATION = "exploration"
    FAULTS = "faults"
    STRESS = "stress"


def mutants(
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this mutant; may be repeated.")
    ] = None,
    technique: Annotated[
        list[TechniqueOption] | None, typer.Option(help="Only this technique; may be repeated.")
    ] = None,
    all_techniques: Annotated[
        bool,
        typer.Option(
            "--all-techniques", help="Try a mutant by techniques that are not expected to find it, too."
        ),
    ] = False,
    main_job: Annotated[
        bool,
        typer.Option(
            "--main-job", help="All of the main job on each mutant, and no technique: does it alone catch it?"
        ),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="The main job in its short form.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trials that run side by side; 2 if not given, and 1 of the main job."),
    ] = None,
    executor: ExecutorName = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin no trial after this time; run it again to go on.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the results of earlier runs.")] = False,
    list_mutants: Annotated[bool, typer.Option("--list", help="Show the mutants and end.")] = False,
    catalogue: Annotated[Path, typer.Option(help="Folder of the mutants.")] = CATALOGUE,
    kept: Annotated[Path, typer.Option(help="Folder where results are kept.")] = KEPT,
    output: Annotated[Path, typer.Option(help="Folder for mutants.json and mutants.svg.")] = OUTPUT,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Build known bugs into copies of the service, and see which technique finds which.

    The code as it is goes through every technique in the same run. Each trial is a process with a time limit;
    its result is kept under a hash of the sources and the command, so that a run that was ended goes on where
    it was.

    Exit codes: 0 every mutant is killed, and the code as it is survives; 1 a mutant survives, or the code as
    it is does not; 2 the matrix is not complete, or it could not run.
    """
    try:
        known = load(catalogue)
        names = _named(known, only or [])
        if list_mutants:
            list_mutants_of(known, names)
            raise typer.Exit
        available = techniques(QUICK.scenarios)
        columns = {name: each for name, each in available.items() if not technique or name in technique}
        started = time.monotonic()
        rows, plan, done = _run(
            known,
            names,
            partial(planned_main_job, known, quick=quick, salt=str(postgres_bin or ""))
            if main_job
            else partial(
                planned,
                known,
                techniques=columns,
                all_techniques=all_techniques,
                salt=str(postgres_bin or ""),
            ),
            workers=workers or (1 if main_job else 2),
            executor=executor,
            minutes=minutes,
            kept=Kept(kept / "trials", fresh=fresh),
            left_behind=kept / "left-behind",
            bin_dir=postgres_bin,
        )
    except (CatalogueError, EditError, ExecutorError, OSError) as error:
        print_error(error)
        raise no_verdict() from error
    if main_job:
        end_main_job(rows_of(known, plan, done), output, as_json=as_json)
    found = matrix(known, rows, columns, plan, done)
    tell_first(found.verdict)
    report = _report(found, time.monotonic() - started)
    path = write_or_tell(partial(_write, report, output))
    if as_json:
        print_json(report)
    else:
        show_matrix(found)
        where = "" if path is None else f"; report: {path}, picture: {path.with_suffix('.svg')}"
        say(f"\n{found.summary}{where}")
    leave(found.verdict, is_whole=path is not None)


def _named(known: Catalogue, only: Sequence[str]) -> list[str]:
    unknown = [name for name in only if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"no mutant is named {', '.join(unknown)}; --list shows what there is", param_hint="--only"
        )
    return [name for name in known if not only or name in only]


def _run(
    known: Catalogue,
    names: Sequence[str],
    plan_for: Callable[[Mapping[str, Path]], Sequence[Planned]],
    *,
    workers: int,
    executor: str | None,
    minutes: float | None,
    kept: Kept,
    left_behind: Path,
    bin_dir: Path | None,
) -> tuple[Sequence[str], Sequence[Planned], Mapping[str, Trial]]:
    """The rows, the trials that there are, and what came of those that were made."""
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="payments-mutants-") as folder,
        progress_bar("mutants") as progress,
        _where(executor, workers) as (make_trial, side_by_side),
    ):
        trees = copies(package(), Path(folder), known, names)
        plan = plan_for(trees)

        def on_trial(done: int, total: int, last: Planned, left: float) -> None:
            spent = time.monotonic() - started
            progress(
                int(spent), int(spent + left), f"s; {done} of {total}: {last.row}: {last.technique.name}"
            )

        done = run_all(
            plan,
            trees,
            kept,
            left_behind,
            workers=side_by_side,
            make_trial=partial(make_trial, bin_dir=bin_dir),
            seconds=None if minutes is None else minutes * 60,
            on_trial=on_trial,
        )
        return list(trees), plan, done


@contextmanager
def _where(executor: str | None, workers: int) -> Iterator[tuple[Callable[..., Trial], int]]:
    """What makes a trial, and how many run side by side."""
    if executor is None:
        yield run_trial, workers
        return
    with open_executor(executor, "lab") as opened:
        yield Elsewhere(opened.executor, QUICK.scenarios), opened.workers or workers


def package() -> Path:
    """The folder of the package that mutants are made of."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise CatalogueError(f"the package {PACKAGE} is not installed")
    return Path(spec.origin).parent


def _report(found: Matrix, seconds: float) -> dict[str, Any]:
    return {
        **found.as_json(),
        "figures": figures(found),
        "seconds": round(seconds, 1),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": sources_hash("lab"),
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
    }


def _write(report: dict[str, Any], output: Path) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    path = output / "mutants.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    picture = write_kill_matrix(msgspec.convert(report, Mutants))
    path.with_suffix(".svg").write_text(picture + "\n", encoding="utf-8")
    return path
