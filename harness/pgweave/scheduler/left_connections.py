"""Connections that a process has left inside a transaction when it ended."""

from __future__ import annotations

from collections.abc import Sequence

from pgweave.gate import Session
from pgweave.scheduler.conditions import Limits
from pgweave.scheduler.process import Process

_LOOK_S = 0.002


class LeftConnections:
    """Follows them.

    A transaction that has failed holds no lock. A pool may end it when it lends the connection again: that is
    not awaited. One that has not failed keeps its locks, and so keeps others from going on.

    Attributes:
        failed: those in a transaction that has failed.
        locking: those that kept their locks, and were closed so that others could go on.
    """

    def __init__(self, processes: Sequence[Process], limits: Limits) -> None:
        self.failed: list[Session] = []
        self.locking: list[Session] = []
        self._processes = processes
        self._limits = limits

    @property
    def problem(self) -> str:
        """What is wrong with one that kept its locks; empty if none did."""
        if not self.locking:
            return ""
        return f"{self.locking[0]} was left inside a transaction, with its locks, when all was answered"

    async def release(self) -> bool:
        """Take from ended processes what they have left, so that others go on; whether there was any."""
        left = {session: process for process in self._processes for session in process.left}
        failed = [session for session in left if session.block.has_failed]
        for session in failed:
            session.owner = None
        self.failed += failed
        if failed or not left:
            return bool(failed)
        for _ in range(self._limits.left):
            if not all(session in process.left for session, process in left.items()):
                return True
            await next(iter(left.values())).change(_LOOK_S)
        for session in left:
            session.cut()
        self.locking += left
        return True
