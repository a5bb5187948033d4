"""How long the audit of many payments takes, and how much memory: a table for each size, by workers.

The database is durable and freshly started; payments have random ids, as the service gives them. The first
audit of a size comes right after they were stored. A finding ends the measurement: what is seeded is sound.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lab.bench.audit.seeds import seed
from lab.bench.service.database import durable_server
from payments_verify.audit import AuditReport, audit

FULL, QUICK = (100_000, 1_000_000), (5_000, 50_000)
AIM_S = 120.0
AIMED_AT = 1_000_000


def measured(payments: int, workers: Sequence[int], console: Console) -> list[AuditReport]:
    """Seed a database, and audit it with each number of workers in turn.

    Raises:
        ValueError: the audit found something, or saw another number of payments.
    """
    with durable_server() as server:
        dsn = server.dsn("migrated", unix_socket=True)
        began = time.monotonic()
        seed(dsn, payments)
        console.print(f"{payments:,} payments stored in {time.monotonic() - began:.0f} s")
        reports = []
        for number in workers:
            report = audit(dsn, workers=number)
            if report.found or report.counts.payments != payments:
                raise ValueError(f"the audit of what is sound says: {report.as_json()}")
            reports.append(report)
    return reports


def main(arguments: Sequence[str]) -> int:
    """Print the table, and whether a million payments were audited in time."""
    parser = argparse.ArgumentParser(prog="make bench-audit", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK[0]:,} and {QUICK[1]:,} payments")
    parser.add_argument("--payments", type=int, nargs="+", help="other numbers of payments")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of processes")
    options = parser.parse_args(arguments)
    console = Console(width=110)
    table = Table(
        "payments", "attempts", "events", "workers", "seconds", "payments/s", "MiB a worker", box=None
    )
    late = 0
    for payments in options.payments or (QUICK if options.quick else FULL):
        for number, report in zip(options.workers, measured(payments, options.workers, console), strict=True):
            counts = report.counts
            whole = (counts.payments, counts.attempts, counts.events, number)
            speed = f"{payments / report.seconds:,.0f}"
            table.add_row(
                *map("{:,}".format, whole), f"{report.seconds:.1f}", speed, f"{report.peak_mib:.0f}"
            )
            late += payments == AIMED_AT and number == 2 and report.seconds > AIM_S
    console.print(table)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"the process that starts them: {own:.0f} MiB")
    if late:
        console.print(f"a million payments take longer than {AIM_S:.0f} s")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
