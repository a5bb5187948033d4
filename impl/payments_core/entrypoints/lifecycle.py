"""How a process ends: not ready first, then no new connections, then nothing."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from types import FrameType

import structlog

_log = structlog.get_logger()
_told = threading.Event()


def draining() -> bool:
    """Whether this process has been told to end."""
    return _told.is_set()


def end_as_terminals_close() -> None:
    """From now on SIGHUP is taken as SIGTERM, unless it is ignored (nohup), or has a use of its own."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_told: signal.raise_signal(signal.SIGTERM))


@contextmanager
def drained(seconds: float) -> Iterator[None]:
    """Within the block, SIGTERM makes the process not ready, and ends it that many seconds later.

    In between it serves, so that balancers can learn that it is not ready. A second SIGTERM ends it at once.
    For the event loop's main thread, within its server's own handling of signals; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    end_as_terminals_close()  # a worker hears of its terminal itself
    loop = asyncio.get_running_loop()
    servers_own = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        if callable(servers_own):
            servers_own(number, frame)

    def begin(number: int, frame: FrameType | None) -> None:
        if seconds == 0 or draining():
            _told.set()
            end(number, frame)
            return
        _told.set()
        loop.call_soon_threadsafe(_wait, loop, seconds, lambda: end(number, None))

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is begin:
            signal.signal(signal.SIGTERM, servers_own)
        _told.clear()


@contextmanager
def ended_with_parent() -> Iterator[None]:
    """Within the block, a worker whose parent has ended, however it did, is sent SIGTERM.

    Nobody would end it, or start it again, and its port would stay taken.
    """
    parent = parent_process()
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()
    sentinel: int = parent.sentinel

    def end() -> None:
        loop.remove_reader(sentinel)
        _log.warning("the parent process has ended")
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(sentinel)


def _wait(loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], None]) -> None:
    _log.info("draining", seconds=seconds)
    loop.call_later(seconds, end)
