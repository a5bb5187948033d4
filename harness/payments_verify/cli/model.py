"""`payments-verify model`: the model by itself, and the domain's rules against it; no service is needed."""

from __future__ import annotations

from collections.abc import Callable

import typer

from payments_verify.cli.differential import Json
from payments_verify.cli.running import finish, interrupted, progress_bar
from payments_verify.model_checks.contracts import check_contracts
from payments_verify.model_checks.equivalence import check_equivalence
from payments_verify.model_checks.state_graph import check_state_graph
from payments_verify.result import CheckResult

CHECKS: tuple[tuple[str, Callable[..., CheckResult]], ...] = (
    ("contracts (CrossHair)", check_contracts),
    ("model = domain (CrossHair)", check_equivalence),
    ("bounded model, exhaustively", check_state_graph),
)
"""The checks, each with the title it has while it runs."""


def model(as_json: Json = False) -> None:
    """Check the model: its contracts on all paths, the domain's rules against it, and every bounded state.

    Exit codes: 0 everything holds; 1 a violation was found; 2 something could not run.
    """
    results: list[CheckResult] = []
    try:
        for title, check in CHECKS:
            with progress_bar(title) as progress:
                results.append(check(progress=progress))
    except KeyboardInterrupt:
        typer.echo("interrupted; the results have what was finished", err=True)
        results.append(interrupted())
    finish(results, as_json=as_json)
