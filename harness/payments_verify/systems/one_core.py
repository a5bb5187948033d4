"""Keeps an exploration on one core: in a schedule, the service, the gate and the server only take turns.

What goes from one to the other wakes whoever it is for. On another core, asleep because nothing ran there,
that takes several times as long as the change of turns on one; in a virtual machine most of all.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SHARERS = 64
"""Explorations that share a core, at most; any beyond run wherever the system puts them."""

_THIS_THREAD = 0

_lock = threading.Lock()
_under_way: list[int] = []
_before_any: set[int] = set()


@contextmanager
def on_one_core(backends: Sequence[int]) -> Iterator[int | None]:
    """Keep this thread, and a PostgreSQL server from now on, on a core that the fewest explorations have.

    Args:
        backends: the server processes that are to be moved, at least one, of a server on this machine. Those
            of connections to come will be on the core as well.

    Yields:
        The core; ``None`` if they stay where they are: the system keeps no process on a core, or does not let
        this user do it to the server.
    """
    with contextlib.ExitStack() as stack:
        core = stack.enter_context(claim(allowed_cores()))
        try:
            if core is not None:
                # The postmaster hands it down to the server processes of connections to come.
                for process in (_parent(backends[0]), *backends, _THIS_THREAD):
                    stack.enter_context(_moved(process, core))
                stack.enter_context(_noted(core))
        except OSError:
            core = None
            stack.close()
        yield core


def allowed_cores() -> set[int]:
    """The cores that this process may run on, those that an exploration keeps away from included."""
    if sys.platform != "linux":
        return set()
    with _lock:
        if not _under_way:
            _before_any.clear()
            _before_any.update(os.sched_getaffinity(0))
        return set(_before_any)


def run_anywhere(cores: Collection[int]) -> None:
    """Let this process run on all of these cores: one that an exploration has started would stay on its core.

    Args:
        cores: what ``allowed_cores`` says to the process that started this one.
    """
    if cores:
        os.sched_setaffinity(0, cores)


@contextmanager
def claim(cores: Collection[int]) -> Iterator[int | None]:
    """A core that no other exploration of this machine has, or as few as can be."""
    for sharer in range(_SHARERS):
        for core in sorted(cores):
            # The name is free again when its process ends, however it ends.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
                try:
                    name.bind(f"\0payments-verify core {core} {sharer}")
                except OSError:
                    continue
                yield core
                return
    yield None


@contextmanager
def _noted(core: int) -> Iterator[None]:
    """Remember, while it lasts, that some thread of this process is kept on a core."""
    with _lock:
        _under_way.append(core)
    try:
        yield
    finally:
        with _lock:
            _under_way.remove(core)


@contextmanager
def _moved(process: int, core: int) -> Iterator[None]:
    before = os.sched_getaffinity(process)
    os.sched_setaffinity(process, {core})
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(process, before)


def _parent(process: int) -> int:
    """The process that started another (proc(5): the second field after the name in parentheses)."""
    stat = Path(f"/proc/{process}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])
