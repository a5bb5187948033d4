"""Lines on standard error: those that are told together are one write."""

import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Lines:
    """Writes lines to whatever standard error is at the time; a logger for structlog to wrap.

    Several threads may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._size = 0
        self._are_together = False

    def info(self, line: bytes) -> None:
        """Write it: at once, or at the end of the block that tells it together with others."""
        size = len(line) + 1
        with self._lock:
            if self._size + size > select.PIPE_BUF:
                self._write()
            self._waiting.append(line)
            self._size += size
            if not self._are_together:
                self._write()

    debug = warning = error = critical = info

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write the lines of the block together.

        That is, in pieces that a pipe takes whole (``PIPE_BUF``), unless a single line is longer: processes
        that share a pipe do not tear each other's lines.
        """
        self._are_together = True
        try:
            yield
        finally:
            with self._lock:
                self._are_together = False
                self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        self._waiting.append(b"")  # for the end of the last line
        written = b"\n".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        # A full disk, or nobody at the pipe's other end, costs lines, and neither a request nor a sweep.
        with suppress(OSError, ValueError):
            sys.stderr.buffer.write(written)
            sys.stderr.buffer.flush()
