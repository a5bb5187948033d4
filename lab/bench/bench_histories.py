"""Times `payments-verify history` on long histories: `python -m lab.bench.bench_histories [OPERATIONS]`.

The histories are made here, those of an atomic service with 50 clients. Ends with 1 if one is not found to be
linearizable.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.bench.long_history import write
from lab.bench.turns import Cost, cost_of

CLIENTS = 50
MOST = 1_000_000
HISTORIES = ((10_000, 100), (100_000, 1_000), (1_000_000, 10_000), (10_000, 1), (100_000, 1))
"""Operations, and the payments that they are of."""


def checked(path: Path) -> Cost:
    """Read and check a history by the command, in a process of its own."""
    return cost_of([sys.executable, "-m", "payments_verify", "history", path, "--budget", "36000"])


def main(arguments: Sequence[str]) -> int:
    """Print a row for each history of at most so many operations."""
    most = int(arguments[0]) if arguments else MOST
    table = Table("operations", "payments", "seconds", "µs each", "MB", box=None)
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for operations, payments in HISTORIES:
            if operations > most:
                continue
            path = Path(folder) / "history.jsonl"
            write(path, operations=operations, clients=CLIENTS, payments=payments)
            cost = checked(path)
            costs.append(cost)
            figures = (
                f"{cost.processor:.1f}",
                f"{cost.processor / operations * 1e6:.0f}",
                f"{cost.megabytes:,.0f}",
            )
            table.add_row(f"{operations:,}", f"{payments:,}", *figures)
    Console(width=110).print(table)
    return 0 if all(not cost.code for cost in costs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
