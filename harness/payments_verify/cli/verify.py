"""`payments-verify verify`: the main job."""

from __future__ import annotations

import os
import platform
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import typer
from rich.console import Console

from payments_verify.cli.differential import PostgresBin, could_not_run
from payments_verify.cli.running import interrupted, progress_bar, show
from payments_verify.result import CheckResult, worst_exit_code
from payments_verify.suite import FULL, QUICK, Planned, suite
from payments_verify.systems import EXPLORING, prepared_database

REPORT_FORMAT = "payments-verify-report"
REPORT_VERSION = 1
OUTPUT = Path("build/report")


def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Try less of what cannot be exhausted.")] = False,
    seed: Annotated[int | None, typer.Option(help="Draws what is drawn; drawn anew if not given.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for report.json and histories.")] = Path(
        "build/report"
    ),
    postgres_bin: PostgresBin = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report and nothing else.")] = False,
) -> None:
    """Run every check: the model, the service against it, and races against both.

    Exit codes: 0 everything holds; 1 a violation was found; 2 something could not run.
    """
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    started = time.monotonic()
    results: list[CheckResult] = []
    output.mkdir(parents=True, exist_ok=True)
    with could_not_run(), prepared_database(postgres_bin, EXPLORING) as dsn:
        version = _server_version(dsn)
        try:
            for planned in suite(
                dsn,
                QUICK if quick else FULL,
                drawn,
                output / "histories",
                output / "schedules",
                postgres_bin,
            ):
                results.append(_run(planned))  # noqa: PERF401 - an interrupt keeps what is finished
        except KeyboardInterrupt:
            typer.echo("interrupted; the report has what was finished", err=True)
            results.append(interrupted())
    report = _report(results, drawn, quick, version, time.monotonic() - started)
    path = output / "report.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    if as_json:
        typer.echo(path.read_text())
    else:
        console = Console(soft_wrap=True)
        show(results, console)
        console.print(f"\n{report['verdict']}, in {report['seconds']:.0f} s, seed {drawn}; report: {path}")
    raise typer.Exit(worst_exit_code(results))


def _run(planned: Planned) -> CheckResult:
    with progress_bar(planned.title) as progress:
        result = planned.run(progress=progress)
    typer.echo(f"{result.name}: {result.verdict} ({result.seconds:.1f} s)", err=True)
    return result


def _server_version(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])


def _report(
    results: list[CheckResult], seed: int, quick: bool, postgres: str, seconds: float
) -> dict[str, Any]:
    verdict = {0: "everything holds", 1: "a violation was found", 2: "something could not run"}
    return {
        "format": REPORT_FORMAT,
        "version": REPORT_VERSION,
        "verdict": verdict[worst_exit_code(results)],
        "exit_code": worst_exit_code(results),
        "seconds": round(seconds, 1),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "quick": quick,
        "machine": {
            "python": platform.python_version(),
            "postgres": postgres,
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "checks": [result.as_json() for result in results],
    }
