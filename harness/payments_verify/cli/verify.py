"""`payments-verify verify`: the main job."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from payments_verify.children import usable_cores
from payments_verify.cli.check_process import MainJob
from payments_verify.cli.checks_at_once import Job, run_at_once
from payments_verify.cli.ends import could_not_run, keep_finished, result_of_the_rest, write_or_tell
from payments_verify.cli.exits import leave
from payments_verify.cli.options import PostgresBin, ProveAgain
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import quoted, show
from payments_verify.cli.telling import print_json, say
from payments_verify.report.page import write as write_page
from payments_verify.report.saved import REPORT_FILE, REPORT_FORMAT, REPORT_VERSION
from payments_verify.result import CheckResult, overall_line
from pgweave.verdict import EXIT_CODES, worst

OUTPUT = Path("build/report")
_AT_ONCE = 4
"""Checks at once, at most: with more, none ends sooner than the longest."""


def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Try less of what cannot be exhausted.")] = False,
    seed: Annotated[int | None, typer.Option(help="Draws what is drawn; drawn anew if not given.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the report and histories.")] = OUTPUT,
    at_once: Annotated[
        int | None,
        typer.Option(
            min=1, help="Checks at once; one for each core that it may use, and at most 4, if not given."
        ),
    ] = None,
    prove_again: ProveAgain = False,
    postgres_bin: PostgresBin = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report and nothing else.")] = False,
) -> None:
    """Run every check: the model, the service against it, and races against both.

    Checks run side by side, each with a PostgreSQL of its own. Writes report.json, and index.html, a page
    that shows it. Ctrl-C ends what was started, and leaves a report of what was finished.

    Exit codes: 0 everything holds; 1 a violation was found; 2 no verdict on something, and no violation.
    """
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    started = time.monotonic()
    with could_not_run():
        _make(output)
    pace = Pace.read(output / REPORT_FILE, quick=quick)
    count = at_once or min(_AT_ONCE, usable_cores())
    job = Job()
    with keep_finished(lambda: worst(each.verdict for each in job.results)) as whole:
        say(_beginning(count, pace), err=True)
        plan = MainJob(
            quick, drawn, output / "histories", output / "schedules", postgres_bin, prove_again=prove_again
        )
        with progress_bar("verify") as progress:
            run_at_once(count, plan, job, partial(_tell, progress))
    results = job.results if whole() else [*job.results, result_of_the_rest()]
    report = make_report(results, drawn, quick, job.version, time.monotonic() - started)
    content = msgspec.json.format(msgspec.json.encode(report))
    page = write_or_tell(partial(write_report, output, content))
    if as_json:
        print_json(report)
    else:
        console = Console(soft_wrap=True)
        show(results, console)
        where = "" if page is None else f"; report: {quoted(page)}"
        console.print(f"\n{quoted(overall_line(results))}")
        console.print(f"{report['seconds']:.0f} s, seed {drawn}{where}")
    leave(worst(result.verdict for result in results), is_whole=page is not None)


def _beginning(count: int, pace: Pace) -> str:
    checks = "checks run one after the other" if count == 1 else f"{count} checks run at once"
    return f"{checks}; each process starts a PostgreSQL of its own{pace}"


def _tell(progress: Callable[[int, int, str], None], job: Job, new: Sequence[CheckResult]) -> None:
    """Tell of what has ended, and how far the others are."""
    running = ", ".join(
        f"{job.titles[number]}: {came.done:,} of {came.total:,}" if came.total else job.titles[number]
        for number, came in sorted(job.under_way.items())
    )
    progress(len(job.found), len(job.titles), f"checks; {running}")
    for result in new:
        place = f"[{len(job.found)}/{len(job.titles)}]"
        say(f"{place} {result.name}: {result.line} ({result.seconds:.1f} s)", err=True)


@dataclass(frozen=True)
class Pace:
    """How long the whole took the last time, in seconds; ``None`` where that is not known."""

    seconds: float | None = None

    @classmethod
    def read(cls, file: Path, *, quick: bool) -> Pace:
        """The pace of a report, if there is one of a whole run with the same effort."""
        try:
            last = msgspec.json.decode(file.read_bytes())
            if last["quick"] != quick or last["interrupted"]:
                return cls()
            return cls(float(last["seconds"]))
        except (OSError, msgspec.DecodeError, ValueError, TypeError, KeyError):
            return cls()

    def __str__(self) -> str:
        """The same for people; empty if it is not known."""
        return (
            ""
            if self.seconds is None
            else f"; the last time, all took {timedelta(seconds=round(self.seconds))}"
        )


def _make(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"cannot write to {output}: {error.strerror}; name another folder with --output"
        ) from error


def write_report(output: Path, content: bytes) -> Path:
    """Write the report, and the page that shows it; the page's file."""
    (output / REPORT_FILE).write_bytes(content)
    return write_page(output)


def make_report(
    results: list[CheckResult], seed: int, quick: bool, postgres: str, seconds: float
) -> dict[str, Any]:
    """What the report file says of a run of the main job: a document for machines."""
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
            "cores": usable_cores(),
            "system": platform.platform(),
        },
        "checks": [result.as_json() for result in results],
    }
