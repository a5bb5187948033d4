"""Generated mutants of the model and of the domain, by cosmic-ray: each is noticed, or argued away by name.

make mutation                                # all that is left to try
make mutation MUTATION_ARGS="--minutes 5"    # a piece of it
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lab.mutation.session import Setting, tried
from lab.mutation.survivors import Session, Verdict, argued, judged, summed_up
from payments_verify.cli.progress import progress_bar

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SETTING = Setting(
    ROOT,
    ROOT / "build" / "mutation",
    "lab/mutation/mutation.toml",
    (
        "model",
        "impl/payments_core/__init__.py",
        "impl/payments_core/domain",
        "tests/model",
        "tests/impl/domain",
        "pyproject.toml",
    ),
)


def main(
    minutes: Annotated[float | None, typer.Option(min=0, help="End after this time; run it again.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the session.")] = False,
    survivors: Annotated[Path, typer.Option(help="The survivors that are argued away.")] = HERE
    / "survivors.toml",
) -> None:
    """Try what is left of the session, and sum it up.

    Exit codes: 0 every mutant is noticed or argued away; 1 one is not, or is argued away and does not
    survive; 2 not all were tried, or it could not run.
    """
    try:
        reasons = argued(survivors)
        with progress_bar("mutation") as report:
            dump = tried(SETTING, report, minutes=minutes, fresh=fresh)
    except (OSError, ValueError, msgspec.MsgspecError, RuntimeError) as error:
        typer.echo(f"mutation: {error}", err=True)
        raise typer.Exit(2) from error
    found = summed_up(dump)
    verdict = judged(found, reasons)
    _tell(found, verdict)
    raise typer.Exit(verdict.exit_code)


def _tell(found: Session, verdict: Verdict) -> None:
    for change in verdict.unargued:
        typer.echo(f"survives: {change}")
    for change in verdict.stale:
        typer.echo(f"argued away, and does not survive: {change}")
    for problem in found.broken:
        typer.echo(f"could not be tried: {problem}")
    typer.echo(
        f"{found.killed} noticed, {len(found.survived) - len(verdict.unargued)} argued away,"
        f" {len(verdict.unargued)} survive, {found.skipped} left out by their operator,"
        f" {found.waiting} not tried yet"
    )
    if found.waiting:
        typer.echo("not everything was tried; run it again to go on", err=True)


if __name__ == "__main__":
    typer.run(main)
