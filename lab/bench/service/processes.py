"""What Linux tells of processes: their processor time and their memory, with their children's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A process.

    Attributes:
        pid: its id.
        parent: its parent's id.
        ticks: of processor time, user and system, its own and that of children it has waited for.
        pages: that are resident.
    """

    pid: int
    parent: int
    ticks: int
    pages: int


def cpu_us(root: int) -> int:
    """Processor time that a process and its descendants have used, user and system, in µs.

    Of the ended ones only those count whom their parent has waited for.
    """
    return sum(process.ticks for process in _family(root)) * _TICK_US


def memory(root: int) -> int:
    """Resident memory of a process and its descendants, in bytes; what they share counts for each."""
    return sum(process.pages for process in _family(root)) * _PAGE


def machine_us() -> int:
    """Processor time that everything on this machine has used, in µs."""
    fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[1:9])
    return (user + nice + system + irq + softirq + steal) * _TICK_US


def parse_stat(line: str) -> Process:
    """What stands in `/proc/<pid>/stat`; the name there may contain spaces and parentheses."""
    pid = int(line.partition(" ")[0])
    fields = line.rpartition(")")[2].split()
    return Process(pid, int(fields[1]), sum(int(field) for field in fields[11:15]), int(fields[21]))


def family(root: int, processes: Sequence[Process]) -> list[Process]:
    """The process and its descendants."""
    of_parent: dict[int, list[Process]] = {}
    for process in processes:
        of_parent.setdefault(process.parent, []).append(process)
    found = [process for process in processes if process.pid == root]
    for process in found:  # which grows meanwhile
        found += of_parent.get(process.pid, [])
    return found


def _family(root: int) -> list[Process]:
    return family(root, list(_running()))


def _running() -> Iterator[Process]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                yield parse_stat((folder / "stat").read_text())
