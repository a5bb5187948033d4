"""`payments-verify verify`: the main job."""

from __future__ import annotations

import os
import platform
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import typer
from rich.console import Console
from rich.markup import escape

from payments_verify.cli.differential import PostgresBin
from payments_verify.cli.ends import attempted, could_not_run, finished_is_kept, interrupted, written
from payments_verify.cli.exits import leave
from payments_verify.cli.running import print_json, progress_bar, quoted, say, show
from payments_verify.report.page import write as write_page
from payments_verify.report.saved import REPORT_FILE, REPORT_FORMAT, REPORT_VERSION
from payments_verify.result import CheckResult, overall_line
from payments_verify.suite import FULL, QUICK, Planned, suite
from payments_verify.systems import EXPLORING, prepared_database
from pgweave.verdict import EXIT_CODES, worst

OUTPUT = Path("build/report")


def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Try less of what cannot be exhausted.")] = False,
    seed: Annotated[int | None, typer.Option(help="Draws what is drawn; drawn anew if not given.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the report and histories.")] = OUTPUT,
    postgres_bin: PostgresBin = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report and nothing else.")] = False,
) -> None:
    """Run every check: the model, the service against it, and races against both.

    Writes report.json, and index.html, a page that shows it. Ctrl-C ends what was started, and leaves a
    report of what was finished.

    Exit codes: 0 everything holds; 1 a violation was found; 2 no verdict on something, and no violation.
    """
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    started = time.monotonic()
    results: list[CheckResult] = []
    version = "not started"
    with could_not_run():
        _make(output)
    pace = Pace.read(output / REPORT_FILE, quick=quick)
    with finished_is_kept() as whole, prepared_database(postgres_bin, EXPLORING) as dsn:
        version = _server_version(dsn)
        effort = QUICK if quick else FULL
        folders = output / "histories", output / "schedules"
        planned = list(suite(dsn, effort, drawn, *folders, postgres_bin))
        for number, each in enumerate(planned):
            _run(each, number, len(planned), pace, results)
    if not whole():
        results.append(interrupted())
    report = _report(results, drawn, quick, version, time.monotonic() - started)
    content = msgspec.json.format(msgspec.json.encode(report))
    page = written(partial(_write, output, content))
    if as_json:
        print_json(report)
    else:
        console = Console(soft_wrap=True)
        show(results, console)
        where = "" if page is None else f"; report: {quoted(page)}"
        console.print(f"\n{quoted(overall_line(results))}")
        console.print(f"{report['seconds']:.0f} s, seed {drawn}{where}")
    leave(worst(result.verdict for result in results), is_whole=page is not None)


def _run(planned: Planned, number: int, total: int, pace: Pace, results: list[CheckResult]) -> None:
    title = f"[{number + 1}/{total}] {planned.title}"
    with progress_bar(escape(title)) as progress:
        attempted(planned.title, partial(planned.run, progress=progress), results)
    result = results[-1]
    left = pace.left(number + 1) if number + 1 < total else ""
    say(f"{result.name}: {result.line} ({result.seconds:.1f} s){left}", err=True)


@dataclass(frozen=True)
class Pace:
    """How long each check took the last time, in seconds; empty where that is not known."""

    seconds: tuple[float, ...] = ()

    @classmethod
    def read(cls, file: Path, *, quick: bool) -> Pace:
        """The pace of a report, if there is one of a whole run with the same effort."""
        try:
            last = msgspec.json.decode(file.read_bytes())
            if last["quick"] != quick or last["interrupted"]:
                return cls()
            return cls(tuple(float(check["seconds"]) for check in last["checks"]))
        except (OSError, msgspec.DecodeError, ValueError, TypeError, KeyError):
            return cls()

    def left(self, number: int) -> str:
        """What a check and all after it will take, for people; empty if that is not known."""
        left = sum(self.seconds[number:])
        return f"; about {timedelta(seconds=round(left))} to the end" if left else ""


def _make(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"cannot write to {output}: {error.strerror}; name another folder with --output"
        ) from error


def _write(output: Path, content: bytes) -> Path:
    """Write the report, and the page that shows it; the page's file."""
    (output / REPORT_FILE).write_bytes(content)
    return write_page(output)


def _server_version(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])


def _report(
    results: list[CheckResult], seed: int, quick: bool, postgres: str, seconds: float
) -> dict[str, Any]:
    verdict = worst(result.verdict for result in results)
    return {
        "format": REPORT_FORMAT,
        "version": REPORT_VERSION,
        "verdict": verdict,
        "exit_code": EXIT_CODES[verdict],
        "seconds": round(seconds, 1),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "quick": quick,
        "interrupted": any(result.kind == "interrupted" for result in results),
        "machine": {
            "python": platform.python_version(),
            "postgres": postgres,
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "checks": [result.as_json() for result in results],
    }
