"""`python -m lab static`: what can be seen of the service without sending it a request."""

from __future__ import annotations

from lab.static_checks.shipped import shipped_static_check
from payments_verify.cli.ends import run_alone
from payments_verify.cli.options import Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import finish
from payments_verify.result import CheckResult


def static(postgres_bin: PostgresBin = None, as_json: Json = False) -> None:
    """Look at what no run shows: what the schema refuses, how statements lock.

    The migrated database is asked to do what would break each invariant, and has to refuse it; everything is
    rolled back. The service's statements have to follow the rules of locking, its sources to use one clock
    and to make no call that keeps the whole process waiting.

    Exit codes: 0 everything holds; 1 a violation was found; 2 no verdict.
    """

    def run() -> CheckResult:
        with progress_bar("static") as progress:
            return shipped_static_check(postgres_bin, progress=progress)

    finish(run_alone("schema and statements", run), as_json=as_json)
