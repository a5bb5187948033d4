"""The processes that a process has started, and those that these have, from /proc."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process; its start tells it from a later one of the same number."""

    pid: int
    start: str
    command: str


def descendants(pid: int) -> set[Process]:
    """All of them that run, however deep."""
    children = defaultdict(list)
    for parent, process in _running():
        children[parent].append(process)
    found: set[Process] = set()
    waiting = [pid]
    while waiting:
        for child in children[waiting.pop()]:
            found.add(child)
            waiting.append(child.pid)
    return found


def still_running(processes: set[Process]) -> set[Process]:
    """Those that have not ended; a zombie has."""
    now = {(process.pid, process.start) for _, process in _running()}
    return {process for process in processes if (process.pid, process.start) in now}


def wait_until(done: Callable[[], bool], limit_s: float, what: str) -> None:
    """Ask again and again."""
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.05)


def _running() -> Iterator[tuple[int, Process]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        fields = stat.rpartition(")")[2].split()
        if fields[0] != "Z":
            yield int(fields[1]), Process(int(folder.name), fields[19], command)
