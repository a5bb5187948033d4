"""The cost of a schedule in two trees of the sources, in turns: `bench_explore --against DIR`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from lab.bench.speed import FOUR_CLIENTS, TWO_CLIENTS, SpeedError, Told

BARE = "bare SQL"
SIDE_BY_SIDE = ", side by side"
_SIDE = Path(__file__).with_name("side.py")
_PACKAGES = (".", "model", "impl", "harness")
KINDS = ("wall", "own", "database")

Cost = dict[str, float]
"""How many schedules; seconds for them: by the clock, of the process, of PostgreSQL's."""

Compared = dict[str, list[tuple[Cost, Cost]]]
"""By what was run, the costs of it in two trees, each pair from the same minute."""


class _Side:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, name: str) -> Cost:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        found: Cost = self.hear()
        return found

    def hear(self) -> Cost:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SpeedError("one of the two trees cannot be measured; it has said why")
        heard: Cost = json.loads(line)
        return heard


@contextmanager
def _side(tree: Path) -> Iterator[_Side]:
    for package in _PACKAGES:
        if not (tree / package).is_dir():  # it would be found where it is installed
            raise SpeedError(f"{tree} has no folder {package}: is it a tree of these sources?")
    path = os.pathsep.join(str(tree / package) for package in _PACKAGES)
    with subprocess.Popen(
        [sys.executable, _SIDE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
    ) as process:
        side = _Side(process)
        side.hear()
        yield side
        assert process.stdin is not None
        process.stdin.close()


def compared(before: Path, after: Path, rounds: int, *, four: bool, tell: Told) -> Compared:
    """What schedules cost in two trees, by what was run: pairs, each from the same minute.

    Raises:
        SpeedError: one of them cannot be measured, or they did not run the same number of schedules.
    """
    names = [*TWO_CLIENTS, *(f"{name}{SIDE_BY_SIDE}" for name in TWO_CLIENTS), BARE]
    found: Compared = {}
    with _side(before) as one, _side(after) as other:
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}")
            for name in [*names, FOUR_CLIENTS, f"{FOUR_CLIENTS}{SIDE_BY_SIDE}"] if four and number else names:
                # Whoever comes first has the colder processor: they take turns in that, too.
                first, second = (one, other) if number % 2 else (other, one)
                pair = first.ask(name), second.ask(name)
                pair = pair if number % 2 else pair[::-1]
                if pair[0]["schedules"] != pair[1]["schedules"]:
                    raise SpeedError(f"{name}: {pair[0]['schedules']} schedules, and {pair[1]['schedules']}")
                if number:
                    found.setdefault(name, []).append(pair)
    return found


def against_table(found: Compared) -> Table:
    """A row for everything that was run: milliseconds of a schedule before and after, and their ratio."""
    table = Table(
        title="ms a schedule, the least of all rounds: before, after, ratio", box=None, pad_edge=False
    )
    for name in ("what", "schedules", "by the clock", "this process", "PostgreSQL", "both processors"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for name, pairs in found.items():
        schedules = pairs[0][0]["schedules"]
        cells = [_cell(pairs, kinds, schedules) for kinds in (*((kind,) for kind in KINDS), KINDS[1:])]
        table.add_row(name, f"{schedules:.0f}", *cells)
    return table


def _cell(pairs: Sequence[tuple[Cost, Cost]], kinds: Sequence[str], schedules: float) -> str:
    """The least of all rounds: what else the machine does only adds to what a schedule costs."""
    before, after = (min(sum(pair[side][kind] for kind in kinds) for pair in pairs) for side in (0, 1))
    return f"{1e3 * before / schedules:.2f} {1e3 * after / schedules:.2f} {before / after:.2f}×"
