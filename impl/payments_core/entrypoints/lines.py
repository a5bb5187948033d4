"""Lines on standard error: those that come close together are one write."""

import asyncio
import atexit
import select
import sys

LATE_S = 0.01
"""How long a line may wait for others, in seconds."""


class Lines:
    """Writes lines to whatever standard error is at the time; a logger for structlog to wrap.

    A busy service tells of a thousand requests and more in a second, and to write each by itself costs it as
    much as to send an answer. Up to the level of information, lines wait for others while an event
    loop runs. Warnings and errors are written at once, after what waits, and everything is when the process
    ends. One that is killed takes with it what it told in its last 10 ms.

    No write is longer than what a pipe takes in one piece (``PIPE_BUF``), unless a single line is: processes
    that share a pipe do not tear each other's lines.
    """

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        atexit.register(self.flush)

    def info(self, line: bytes) -> None:
        """Write it soon."""
        size = len(line) + 1
        if self._size + size > select.PIPE_BUF:
            self.flush()
        self._waiting.append(line)
        self._size += size
        if self._loop is None or self._loop.is_closed():
            self._flush_later()

    debug = info

    def warning(self, line: bytes) -> None:
        """Write it at once."""
        self.info(line)
        self.flush()

    error = critical = warning

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        self._waiting.append(b"")  # for the end of the last line
        written = b"\n".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        sys.stderr.buffer.write(written)
        sys.stderr.buffer.flush()

    def _flush_later(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # nothing would come back to it
            self.flush()
        else:
            self._loop.call_later(LATE_S, self._come_back)

    def _come_back(self) -> None:
        self._loop = None
        self.flush()
