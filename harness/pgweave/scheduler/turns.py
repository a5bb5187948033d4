"""Waiting server processes are let go on one at a time, in the order in which they came to wait.

Those that wait for a row that is then updated meet again at its new version, and which of them has it first
is for the operating system to say. Stopped before the row is released, and continued one after the other,
they have it in their order, each time.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable


class Turns:
    """Stops and continues processes of a PostgreSQL server.

    Args:
        ours: whether the server is one that the harness has started on this machine: nobody else's process is
            ever sent a signal.
    """

    def __init__(self, *, ours: bool) -> None:
        self._ours = ours
        self._stopped: set[int] = set()

    def stop(self, pids: Iterable[int]) -> None:
        """Stop server processes that wait for locks."""
        if self._ours:
            for pid in pids:
                self._send(pid, signal.SIGSTOP)
                self._stopped.add(pid)

    def go_on(self, pid: int) -> None:
        """Continue a server process."""
        if pid in self._stopped:
            self._stopped.remove(pid)
            self._send(pid, signal.SIGCONT)

    def all_go_on(self) -> None:
        """Continue every one that was stopped."""
        for pid in list(self._stopped):
            self.go_on(pid)

    @staticmethod
    def _send(pid: int, what: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)
