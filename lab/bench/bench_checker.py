"""Times the linearizability checker on histories of others: `python -m lab.bench.bench_checker [ROUNDS]`.

`PORCUPINE` names a folder with the source of porcupine, a compiled checker: then both read and check its test
data, in turns. Otherwise the histories are those of `PEER_HISTORIES`, and nothing is compared.

Ends with 1 if a ratio, or without a comparison the time for the etcd logs, is above its limit; with 2 if the
histories or what it takes to compile are missing. Verdicts are checked along the way.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.bench import compiled_checker
from lab.bench.compiled_checker import CompiledCheckerError
from payments_verify.specs import spec_named
from pgweave.history.formats import load
from pgweave.history.linearizability import check
from tests.support.peer_histories import FOLDER, peer_verdicts

DEFAULT_ROUNDS = 7
ETCD_LIMIT_MS = 1_500.0
"""For 50 logs, where nothing is compared: three times the 10 ms a log that a compiled checker takes."""

LIMIT = 3.0
"""The most that the checker may take, as a multiple of the compiled checker's time."""

LEAST_MS = 1.0
"""What the compiled checker takes at least, to compare the limit with it."""


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
    """Medians over the rounds, in ms of the processor, of a group: totals, and its slowest history.

    Attributes:
        compiled: The total of the compiled checker; None where there is none.
    """

    histories: int
    read: float
    check: float
    total: float
    slowest: float
    configurations: int
    compiled: float | None

    @property
    def ratio(self) -> float | None:
        """The total as a multiple of the compiled checker's."""
        return None if self.compiled is None else self.total / self.compiled


def checked(path: Path, verdict: str | None) -> tuple[Sample, bool]:
    """Read and check one history, as the command does: without the collector of cycles.

    Returns:
        What it took, and whether it is linearizable.

    Raises:
        ValueError: the checker's verdict is none, or not the known one, so that its time means nothing.
    """
    gc.collect()
    gc.disable()
    started = time.process_time()
    history = load(path)
    read = time.process_time()
    spec = spec_named("etcd" if history.format == "jepsen" else history.spec or "")
    result = check(spec, history.operations)
    done = time.process_time()
    gc.enable()
    if result.verdict == "no verdict" or verdict not in (None, result.verdict):
        raise ValueError(f"{path}: {result.verdict}, and it is known to be {verdict}")
    configurations = sum(part.configurations for part in result.parts)
    sample = Sample((read - started) * 1e3, (done - read) * 1e3, configurations)
    return sample, result.verdict == "holds"


def one_round(
    known: Mapping[Path, str | None], program: Path | None
) -> tuple[Mapping[Path, Sample], Mapping[Path, float]]:
    """Check each history once, and once more by the compiled checker, if there is one.

    Raises:
        ValueError: the checkers differ.
    """
    ours = {path: checked(path, verdict) for path, verdict in known.items()}
    theirs = {} if program is None else compiled_checker.run(program, known)
    for path, timed in theirs.items():
        if timed.linearizable != ours[path][1]:
            raise ValueError(f"{path}: linearizable is {ours[path][1]} here, and {timed.linearizable} there")
    samples = {path: sample for path, (sample, _) in ours.items()}
    return samples, {path: (timed.read + timed.check) / 1e6 for path, timed in theirs.items()}


def figures_of(
    group: Sequence[Path], rounds: Sequence[tuple[Mapping[Path, Sample], Mapping[Path, float]]]
) -> Figures:
    """The medians of a group of histories."""

    def median_of_sums(value: Callable[[Sample], float]) -> float:
        return statistics.median(sum(value(ours[path]) for path in group) for ours, _ in rounds)

    theirs = [sum(times[path] for path in group) for _, times in rounds if times]
    return Figures(
        histories=len(group),
        read=median_of_sums(lambda each: each.read),
        check=median_of_sums(lambda each: each.check),
        total=median_of_sums(lambda each: each.total),
        slowest=max(statistics.median(ours[path].total for ours, _ in rounds) for path in group),
        configurations=sum(rounds[0][0][path].configurations for path in group),
        compiled=statistics.median(theirs) if theirs else None,
    )


def table_of(figures: Mapping[str, Figures], rounds: int) -> Table:
    """A row for each group."""
    titles = ("histories", "read ms", "check ms", "total ms", "slowest ms", "configurations")
    table = Table(*titles, "porcupine ms", "ratio", title=f"median of {rounds} rounds", box=None)
    for name, found in figures.items():
        times = (found.read, found.check, found.total, found.slowest)
        compiled = ("", "") if found.ratio is None else (f"{found.compiled:.1f}", f"{found.ratio:.2f}")
        table.add_row(name, *(f"{each:.1f}" for each in times), f"{found.configurations:,}", *compiled)
    return table


def measure(known: Mapping[Path, str | None], program: Path | None, rounds: int) -> Mapping[str, Figures]:
    """Check all histories ``rounds`` times over: the etcd logs are one group, and each other is one."""
    samples = [one_round(known, program) for _ in range(rounds)]
    etcd = [path for path in known if path.parent.name == "jepsen"]
    groups = {f"{len(etcd)} etcd logs": etcd} if etcd else {}
    groups |= {f"kv {path.stem}": [path] for path in known if path.parent.name == "kv"}
    return {name: figures_of(group, samples) for name, group in groups.items()}


def verdict_on(figures: Mapping[str, Figures]) -> tuple[str, bool]:
    """Whether the limit is kept, in words and as such."""
    ratios = [
        each.ratio
        for each in figures.values()
        if each.compiled is not None and each.ratio is not None and each.compiled >= LEAST_MS
    ]
    if ratios:
        return f"at most {max(ratios):.2f} times porcupine; the limit is {LIMIT:g}", max(ratios) <= LIMIT
    name, etcd = next(iter(figures.items()))
    limit = ETCD_LIMIT_MS * etcd.histories / 50
    text = (
        f"{name}: {etcd.total:.0f} ms; the limit is {limit:.0f} ms. Not compared with a compiled checker: "
        "PORCUPINE=DIR names a folder with porcupine's source"
    )
    return text, etcd.total <= limit


def _known(source: str | None) -> Mapping[Path, str | None]:
    """The histories, each with its verdict where that is known."""
    if source:
        return dict.fromkeys(compiled_checker.histories(Path(source)))
    known = peer_verdicts()
    if not known:
        raise CompiledCheckerError(
            f"the peer histories are not at {FOLDER}; set PEER_HISTORIES to their folder, or PORCUPINE to "
            "that of porcupine's source, as specs/benchmarks.md says"
        )
    return dict(known)


def main(arguments: Sequence[str]) -> int:
    """Print the table, and whether the limit is kept."""
    console = Console(width=110)
    rounds = int(arguments[0]) if arguments else DEFAULT_ROUNDS
    source = os.environ.get("PORCUPINE")
    try:
        known = _known(source)
        with tempfile.TemporaryDirectory() as folder:
            program = compiled_checker.build(Path(source), Path(folder)) if source else None
            figures = measure(known, program, rounds)
    except CompiledCheckerError as error:
        console.print(str(error), soft_wrap=True, markup=False, highlight=False)
        return 2
    console.print(table_of(figures, rounds))
    text, is_kept = verdict_on(figures)
    console.print(f"\n{text}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
