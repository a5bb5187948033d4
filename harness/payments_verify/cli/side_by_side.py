"""Work on many things: here as long as it is short, and on all cores once it is not."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from payments_verify.children import usable_cores

T = TypeVar("T")
R = TypeVar("R")

SHORT_S = 1.0
"""How long this process works alone: about what it takes to start others."""


def each_in_order(
    work: Callable[[T], R], things: Sequence[T], is_long: Callable[[T], bool], cores: int | None = None
) -> Generator[R, None, None]:
    """Do the work on each thing, and give what comes of it in the order of the things.

    Args:
        work: What is done with each. It can be sent to another process, as can what it returns.
        things: The things.
        is_long: Whether the work on a thing is known to be long.
        cores: How many things are worked on at once; as many as this process may use if not given.

    Raises:
        OSError: A process that worked was killed.
    """
    at_once = cores or usable_cores()
    began = time.monotonic()
    left = deque(things)
    while left and (
        at_once == 1 or len(left) == 1 or not (time.monotonic() - began > SHORT_S or any(map(is_long, left)))
    ):
        yield _do(work, left.popleft())
    if left:
        with _processes(min(at_once, len(left))) as executor:
            for found in [executor.submit(_do, work, thing) for thing in left]:
                yield found.result()


def _do(work: Callable[[T], R], thing: T) -> R:
    """Do the work, and collect no cycles: a history is millions of objects, and none of them is in one."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return work(thing)
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), initializer=_leave_interrupts_to_the_command
    ) as executor:
        try:
            yield executor
        except BaseException as error:
            # The executor joins them when it is left: two threads that join one process can miss its end.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                problem = "a process was killed while it worked; if memory was short, give fewer files"
                raise OSError(problem) from error
            raise


def _leave_interrupts_to_the_command() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
