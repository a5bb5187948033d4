"""Commands of two checkouts, run by turns; what they are measured by comes from the same minute."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
JSON = "JSON"
"""Stands in a command for the file that it writes."""


class EarlierError(RuntimeError):
    """A version cannot be measured; the message has what it printed."""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock, of the processor; most memory in MB; its exit code."""

    elapsed: float
    processor: float
    megabytes: float
    code: int


@dataclass(frozen=True)
class Ran:
    """A command that has ended: seconds by the clock, seconds of the processor, and what it wrote."""

    elapsed: float
    processor: float
    written: bytes = b""


@dataclass(frozen=True)
class Measured:
    """One thing that is measured.

    Attributes:
        name: what it is.
        unit: what the figure counts.
        figure: the figure of a command that has ended.
        anchor: what somebody else's program takes for it; none if there is nobody.
    """

    name: str
    unit: str
    figure: Callable[[Ran], float]
    anchor: str = ""


@dataclass(frozen=True)
class Job:
    """A command that both versions run.

    Attributes:
        now: the words of this version; the first is a program of `.venv/bin`, ``JSON`` the file to write.
        measured: what is read from it.
        earlier: the words of the earlier version, where they are others.
        ends: the exit codes with which it may end.
    """

    now: tuple[str, ...]
    measured: tuple[Measured, ...]
    earlier: tuple[str, ...] = ()
    ends: tuple[int, ...] = (0,)


Figures = dict[str, list[float]]


@dataclass
class Compared:
    """The figures of both versions, and of others' programs, by name."""

    earlier: Figures = field(default_factory=dict)
    now: Figures = field(default_factory=dict)
    others: Figures = field(default_factory=dict)


def cost_of(
    arguments: Sequence[str | Path], *, cwd: Path | None = None, said: int | IO[bytes] = subprocess.DEVNULL
) -> Cost:
    """Run a process to its end.

    Args:
        arguments: the program, and its words.
        cwd: its folder; this process's if not given.
        said: where its standard output goes, and its errors, if that is a file.
    """
    errors = None if isinstance(said, int) else said
    before = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=cwd, stdout=said, stderr=errors)
    _, status, used = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, process.returncode)


def run(tree: Path, words: Sequence[str], ends: Sequence[int]) -> Ran:
    """Run a command of a version, in its folder.

    Raises:
        EarlierError: it cannot be started, or ends otherwise than it should.
    """
    program, *rest = words
    path = tree / ".venv/bin" / program
    if not path.exists():
        raise EarlierError(f"{path} is not there: run make sync in {tree}")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        file = Path(folder) / "written.json"
        arguments = [str(file) if word == JSON else word for word in rest]
        cost = cost_of([path, *arguments], cwd=tree, said=said)
        if cost.code not in ends:
            said.seek(0)
            told = said.read().decode(errors="replace")[-2_000:]
            raise EarlierError(f"{tree}: {' '.join(words)} ended with {cost.code}:\n{told}")
        written = file.read_bytes() if file.exists() else b""
    return Ran(cost.elapsed, cost.processor, written)


def compare(
    earlier: Path,
    jobs: Sequence[Job],
    rounds: int,
    time_others: Callable[[Figures], None],
    compared: Compared,
) -> Iterator[str]:
    """Run every job in both versions, round for round, and say what is run before it is.

    Raises:
        EarlierError: a version cannot be measured.
        CompiledCheckerError: the compiled checker failed.
    """
    for number in range(rounds):
        for job in jobs:
            sides = [(earlier, job.earlier or job.now, compared.earlier), (ROOT, job.now, compared.now)]
            for tree, words, figures in sides if number % 2 else reversed(sides):
                yield f"round {number + 1} of {rounds}, {tree.name}: {' '.join(words)[:60]}"
                ran = run(tree, words, job.ends)
                for each in job.measured:
                    figures.setdefault(each.name, []).append(each.figure(ran))
        time_others(compared.others)
