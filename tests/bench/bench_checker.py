"""Times the linearizability checker on the peer histories: `python -m tests.bench.bench_checker [ROUNDS]`.

The figure to compare is the total over the 50 etcd logs, reading included. Ends with 1 if it is above its
limit, and with 2 if the histories are not there. Verdicts are checked along the way.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from payments_verify.formats import load
from payments_verify.linearizability import check
from payments_verify.specs import spec_named
from tests.harness.peers import FOLDER, peer_verdicts

DEFAULT_ROUNDS = 7
ETCD = "50 etcd logs"
ETCD_LIMIT_MS = 1_500.0
"""Three times what a compiled checker takes: about 10 ms a log."""


@dataclass(frozen=True)
class Sample:
    """One history, read and checked once: milliseconds of the processor, and the configurations entered."""

    read: float
    check: float
    configurations: int

    @property
    def total(self) -> float:
        """Reading and checking together."""
        return self.read + self.check


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds, in ms of the processor, of a group: totals, and its slowest history."""

    read: float
    check: float
    total: float
    slowest: float
    configurations: int


def checked(path: Path, verdict: str) -> Sample:
    """Read and check one history.

    Raises:
        ValueError: the checker's verdict is not the known one, so that its time means nothing.
    """
    started = time.process_time()
    history = load(path)
    read = time.process_time()
    spec = spec_named("etcd" if history.format == "jepsen" else history.spec or "")
    result = check(spec, history.operations)
    done = time.process_time()
    if result.verdict != verdict:
        raise ValueError(f"{path}: {result.verdict}, and it is known to be {verdict}")
    configurations = sum(part.configurations for part in result.parts)
    return Sample((read - started) * 1e3, (done - read) * 1e3, configurations)


def measure(known: Mapping[Path, str], rounds: int) -> Figures:
    """Check a group of histories ``rounds`` times over."""
    samples = [[checked(path, verdict) for path, verdict in known.items()] for _ in range(rounds)]
    by_history = zip(*samples, strict=True)
    return Figures(
        read=statistics.median(sum(each.read for each in one) for one in samples),
        check=statistics.median(sum(each.check for each in one) for one in samples),
        total=statistics.median(sum(each.total for each in one) for one in samples),
        slowest=max(statistics.median(each.total for each in one) for one in by_history),
        configurations=sum(each.configurations for each in samples[0]),
    )


def table_of(figures: Mapping[str, Figures], sizes: Mapping[str, int], rounds: int) -> Table:
    """A row for each group."""
    columns = (
        "histories",
        "read ms",
        "check ms",
        "total ms",
        "per history ms",
        "slowest ms",
        "configurations",
    )
    table = Table(*columns, title=f"median of {rounds} rounds", box=None)
    for name, found in figures.items():
        times = (found.read, found.check, found.total, found.total / sizes[name], found.slowest)
        table.add_row(name, *(f"{each:.1f}" for each in times), f"{found.configurations:,}")
    return table


def main(arguments: Sequence[str]) -> int:
    """Print the table, and whether the etcd logs are within their limit."""
    known = peer_verdicts()
    console = Console(width=110)
    if not known:
        console.print(
            f"the peer histories are not at {FOLDER}; set PEER_HISTORIES to their folder, "
            "as specs/benchmarks.md says"
        )
        return 2
    rounds = int(arguments[0]) if arguments else DEFAULT_ROUNDS
    groups = {ETCD: {path: verdict for path, verdict in known.items() if path.parent.name == "jepsen"}}
    groups |= {f"kv {path.stem}": {path: known[path]} for path in known if path.parent.name == "kv"}
    figures = {name: measure(group, rounds) for name, group in groups.items()}
    console.print(table_of(figures, {name: len(group) for name, group in groups.items()}, rounds))
    total = figures[ETCD].total
    within = total <= ETCD_LIMIT_MS
    console.print(f"\n{ETCD}: {total:.0f} ms, {'within' if within else 'ABOVE'} {ETCD_LIMIT_MS:.0f} ms")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
