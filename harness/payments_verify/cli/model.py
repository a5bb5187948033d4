"""`payments-verify model`: the model by itself, and the domain's rules against it; no service is needed."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from payments_verify.cli.ends import keep_finished, result_of_the_rest, run_check
from payments_verify.cli.options import Json, ProveAgain
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import finish
from payments_verify.result import CheckResult
from payments_verify.suite import model_checks
from pgweave.verdict import worst


class CheckName(StrEnum):
    """The checks."""

    CONTRACTS = "contracts"
    EQUIVALENCE = "equivalence"
    EXPLORATION = "exploration"


def model(
    check: Annotated[
        list[CheckName] | None, typer.Option(help="Only this check; may be repeated. All if not given.")
    ] = None,
    prove_again: ProveAgain = False,
    as_json: Json = False,
) -> None:
    """Check the model: its contracts, the domain's rules against it, and every bounded state.

    Exit codes: 0 everything holds; 1 a violation was found; 2 no verdict on something, and no violation.
    """
    results: list[CheckResult] = []
    with keep_finished(lambda: worst(each.verdict for each in results)) as whole:
        checks = model_checks(prove_again=prove_again)
        for name in check or checks:
            title, run = checks[name]
            with progress_bar(title) as progress:
                run_check(title, partial(run, progress=progress), results)
    if not whole():
        results.append(result_of_the_rest())
    finish(results, as_json=as_json)
