"""How many connections a process keeps open, and which gives way when there are too many."""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

_TOLD_EVERY_S = 10.0

_log = structlog.get_logger()


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    def give_way(self) -> None:
        """Close at once, whatever was still to be sent."""

    def refuse(self) -> None:
        """Say that there is no room, and close."""


class Connections:
    """The open connections of a process. Beyond their bound those give way that wait for their clients.

    A connection waits for its client unless one of its requests is worked on: before the first byte, within
    a head or a body, while an answer is not read, between two requests. Who waits longest gives way first.
    If all of them are worked on, the new one is refused.

    Args:
        limit: how many there may be.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        self._untold = 0
        self._told_at = -_TOLD_EVERY_S

    def add(self, connection: Connection, rejected: Callable[[str], None]) -> None:
        """A client has connected; ``rejected`` is told if that is one too many."""
        self._open.add(connection)
        self.wait(connection)
        if len(self._open) <= self.limit:
            return
        rejected("connections")
        self._tell()
        longest = next(iter(self._waiting))
        self.remove(longest)
        if longest is connection:
            longest.refuse()
        else:
            longest.give_way()

    def wait(self, connection: Connection) -> None:
        """It waits for its client, from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def work(self, connection: Connection) -> None:
        """A request of it is worked on."""
        self._waiting.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        """It is closed, or about to be."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def _tell(self) -> None:
        self._untold += 1
        if (now := time.monotonic()) - self._told_at >= _TOLD_EVERY_S:
            _log.warning("too many connections", limit=self.limit, closed=self._untold)
            self._told_at, self._untold = now, 0
