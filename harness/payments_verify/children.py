"""Child processes of Python that tell what they find, a line each; none is left behind."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_LONGEST_LINE = 1 << 26
"""Bytes; a counterexample can be long."""


@dataclass(frozen=True)
class ChildEnd:
    """How a child ended.

    Attributes:
        code: its exit code; that of a signal is negative.
        complaints: what it wrote to standard error.
    """

    code: int
    complaints: str


def usable_cores() -> int:
    """How many cores this process may use: of those that it may run on, as many as its cgroup's quota is."""
    # not on every system
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = map(int, _QUOTA.read_text().split())
    except (OSError, ValueError):  # no cgroup, or one without a quota: "max"
        return cores
    return min(cores, max(1, math.ceil(quota / period)))


async def run_child(
    arguments: Sequence[str], on_line: Callable[[bytes], object], given: bytes = b""
) -> ChildEnd:
    """Run a child to its end, and hand on each line as it comes; whatever ends this earlier kills it.

    Args:
        arguments: Python's.
        on_line: is given each line of its standard output.
        given: its standard input.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        start_new_session=True,  # the terminal's interrupt comes to this process alone, which ends the child
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    complaining = asyncio.ensure_future(child.stderr.read())
    try:
        child.stdin.write(given)
        child.stdin.close()
        async for line in child.stdout:
            on_line(line)
        complaints = (await complaining).decode(errors="replace").strip()
        return ChildEnd(await child.wait(), complaints)
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        complaining.cancel()
