"""Times the linearizability checker on the peer histories: `python -m tests.bench.bench_checker [ROUNDS]`.

The figure to compare is the total over the 50 etcd logs, reading included.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from payments_verify.formats import load
from payments_verify.linearizability import Result, check
from payments_verify.specs import spec_named
from tests.harness.peers import FOLDER, peer_verdicts

DEFAULT_ROUNDS = 7


def checked(path: Path) -> tuple[float, float, Result[object]]:
    """Return the seconds it took to read and to check a history, and the result."""
    started = time.perf_counter()
    history = load(path)
    read = time.perf_counter()
    result = check(spec_named(history.spec or ""), history.operations)
    return read - started, time.perf_counter() - read, result


def measure(paths: Sequence[Path], rounds: int) -> tuple[float, float, float, int]:
    """Return the median totals to read and to check, the slowest check, and one round's configurations."""
    reads, checks, slowest, configurations = [], [], 0.0, 0
    for _ in range(rounds):
        found = [checked(path) for path in paths]
        reads.append(sum(read for read, _, _ in found))
        checks.append(sum(seconds for _, seconds, _ in found))
        slowest = max(slowest, *(seconds for _, seconds, _ in found))
        configurations = sum(part.configurations for _, _, result in found for part in result.parts)
    return statistics.median(reads), statistics.median(checks), slowest, configurations


def main() -> int:
    """Print the table; 2 if the peer histories are not there."""
    known = peer_verdicts()
    console = Console()
    if not known:
        console.print(f"the peer histories are not at {FOLDER}; set PEER_HISTORIES to their folder")
        return 2
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS
    groups = {"50 etcd logs": [path for path in known if path.parent.name == "jepsen"]}
    groups |= {f"kv {path.stem}": [path] for path in known if path.parent.name == "kv"}
    table = Table(
        "histories", "read ms", "check ms", "slowest ms", "configurations", title=f"median of {rounds} rounds"
    )
    for name, paths in groups.items():
        reads, checks, slowest, configurations = measure(paths, rounds)
        table.add_row(
            name, f"{reads * 1e3:.1f}", f"{checks * 1e3:.1f}", f"{slowest * 1e3:.1f}", str(configurations)
        )
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
