"""PostgreSQL's own isolation tester, run on given orders of given sessions' statements."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FROM_BIN = Path("lib/pgxs/src/test/isolation/isolationtester")
_LIMIT_S = 300
_RAN = re.compile(r"^starting permutation: ", re.MULTILINE)
_WAITED = re.compile(r"^step \S+: .*?<waiting \.\.\.>$", re.MULTILINE | re.DOTALL)
_ERROR = re.compile(r"^(?:s\d+: )?(?:ERROR|FATAL): .*$", re.MULTILINE)


class IsolationTesterError(RuntimeError):
    """The isolation tester did not do what it was asked; the message says what it printed."""


@dataclass(frozen=True)
class Timing:
    """A run of the isolation tester.

    Attributes:
        permutations: how many it ran.
        waits: how many steps it saw waiting.
        seconds: how long it took, its start included.
    """

    permutations: int
    waits: int
    seconds: float


def find_isolation_tester(bin_dir: Path) -> Path | None:
    """The tester that belongs to the PostgreSQL of that folder; ``None`` if it was not installed with it."""
    path = bin_dir.parent / _FROM_BIN
    return path if path.is_file() else None


def spec(
    setup: str, sessions: Sequence[Sequence[str]], steps: Sequence[str], schedules: Sequence[Sequence[int]]
) -> str:
    """A specification that runs just these schedules.

    Args:
        setup: SQL that comes before each of them.
        sessions: each session's statements.
        steps: the names of a session's steps.
        schedules: the sessions, counted from 0, in the order in which they take their steps.

    Raises:
        ValueError: if a schedule has not all steps of all sessions.
    """
    lines = ["setup {", setup, "}"]
    for number, statements in enumerate(sessions, start=1):
        lines.append(f"session s{number}")
        lines += [f"step s{number}_{step} {{ {sql}; }}" for step, sql in zip(steps, statements, strict=True)]
    return "\n".join([*lines, *(_permutation(one, len(sessions), steps) for one in schedules), ""])


def _permutation(schedule: Sequence[int], sessions: int, steps: Sequence[str]) -> str:
    if sorted(schedule) != sorted(list(range(sessions)) * len(steps)):
        raise ValueError(f"the schedule {list(schedule)} has not each step of {sessions} sessions once")
    left = [iter(steps) for _ in range(sessions)]
    return " ".join(["permutation", *(f"s{one + 1}_{next(left[one])}" for one in schedule)])


def run(tester: Path, dsn: str, specification: str) -> Timing:
    """Run a specification.

    Raises:
        IsolationTesterError: if it fails, takes longer than 5 minutes, or a statement fails on the way.
    """
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [str(tester), dsn],
            input=specification,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IsolationTesterError(f"{tester} was not done after {_LIMIT_S} s") from error
    seconds = time.perf_counter() - started
    failed = _ERROR.search(done.stdout)
    if done.returncode != 0 or failed is not None:
        said = failed[0] if failed else done.stderr.strip() or done.stdout[-500:]
        raise IsolationTesterError(f"{tester} ended with {done.returncode}: {said}")
    return Timing(*read(done.stdout), seconds)


def read(output: str) -> tuple[int, int]:
    """How many permutations the tester's output shows, and how many steps waited in them."""
    return len(_RAN.findall(output)), len(_WAITED.findall(output))
