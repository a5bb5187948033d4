"""`payments-verify audit`: every payment of a live database, replayed through the model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from payments_verify.audit import AuditReport
from payments_verify.audit import audit as run_audit
from payments_verify.audit.rules import RULES
from payments_verify.cli.ends import keep_finished
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import print_text, verdict_text
from payments_verify.cli.telling import print_json
from payments_verify.systems.dsn import require_dsn
from pgweave.verdict import worst
from pgweave.visible import counted


def audit(
    database_url: Annotated[
        str,
        typer.Argument(
            metavar="DATABASE_URL",
            envvar="DATABASE_URL",
            show_default=False,
            show_envvar=False,
            help="The service's database, for a role that may read its tables;"
            " from the environment variable DATABASE_URL if not given.",
        ),
    ],
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="How many processes examine payments side by side.")
    ] = 2,
    limit: Annotated[
        int, typer.Option(min=0, help="How many findings to tell in full; all are counted.")
    ] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON and nothing else.")
    ] = False,
) -> None:
    """Replay the recorded past of every payment in a database, and compare its rows.

    Reads one snapshot in a read-only transaction and writes nothing, so it may run beside the service. Each
    payment's events have to be steps of the model, and the rows have to be what the events lead to; what is
    not is named with the invariant that it breaks.

    Exit codes: 0 everything holds; 1 a violation was found; 2 no verdict.
    """
    reports: list[AuditReport] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in reports)) as whole,
        progress_bar("audit") as progress,
    ):
        require_dsn(database_url)
        run_audit(database_url, workers=workers, limit=limit, progress=progress, on_begin=reports.append)
    if not reports or (not whole() and not reports[0].found):
        raise no_verdict()
    (report,) = reports
    if as_json:
        print_json(report.as_json())
    else:
        _show(report, Console(soft_wrap=True))
    leave(report.verdict)


def _show(report: AuditReport, console: Console) -> None:
    for each in report.findings:
        print_text(console, str(each))
    if report.found > len(report.findings):
        console.print(f"... and {counted(report.found - len(report.findings), 'more finding')}")
    counts = report.counts
    for rule, number in sorted(counts.rules.items(), key=lambda item: int(item[0][1:])):
        console.print(f"{number:,} × {rule}: {RULES[rule]}", markup=False, highlight=False)
    if counts.clock_back:
        console.print(
            f"{counts.clock_back:,} decisions are dated before the one that they follow: the database's clock"
            " stepped back, or was read before the lock was granted",
            highlight=False,
        )
    made = f", {counts.reconstructed:,} of them reconstructed by a migration" if counts.reconstructed else ""
    print_text(
        console,
        f"{counted(counts.payments, 'payment')}, {counted(counts.attempts, 'attempt')},"
        f" {counted(counts.events, 'event')}{made}, of"
        f" {report.database} as of {report.as_of}; {report.seconds:.1f} s",
    )
    console.print(verdict_text(report.verdict))
