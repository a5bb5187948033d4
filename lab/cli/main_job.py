"""`python -m lab main-job`: what the main job finds of a service, up to the check that decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lab.mutants.reasons import invariants_told
from payments_verify.cli.check_process import MainJob
from payments_verify.cli.ends import could_not_run, keep_finished, result_of_the_rest, run_check
from payments_verify.cli.options import Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import finish
from payments_verify.cli.telling import say
from payments_verify.result import CheckResult
from pgweave.verdict import worst

OUTPUT = Path("build/main-job")


def main_job(
    until: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INVARIANT",
            help="End at the first violation of this one, and not at others; may be repeated.",
        ),
    ] = None,
    first: Annotated[
        list[str] | None,
        typer.Option(metavar="TITLE", help="Make the check of this title first; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws what is drawn.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Try less of what cannot be exhausted.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for histories and schedules.")] = OUTPUT,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Make the checks of `payments-verify verify` that depend on the service, one after the other.

    It ends at the first violation that decides. What depends on the model alone finds the same of every
    service, and is not repeated.

    Exit codes: 0 every check holds; 1 a violation was found; 2 no verdict on something, and no violation.
    """
    results: list[CheckResult] = []
    plan = MainJob(quick, seed, output / "histories", output / "schedules", postgres_bin)
    ending = keep_finished(lambda: worst(each.verdict for each in results))
    with could_not_run(), ending as whole, plan.checks() as (planned, _version):
        for each in sorted(planned, key=lambda each: each.title not in (first or [])):
            if each.of_the_model:
                say(f"{each.title}: not repeated, since it depends on the model alone", err=True)
                continue
            with progress_bar(each.title) as progress:
                run_check(each.title, partial(each.run, progress=progress), results)
            if _decides(results[-1], until):
                break
    finish(results if whole() else [*results, result_of_the_rest()], as_json=as_json)


def _decides(result: CheckResult, until: list[str] | None) -> bool:
    if result.verdict != "violated":
        return False
    told = invariants_told([result.as_json()])
    return not until or told is None or not set(until).isdisjoint(told)
