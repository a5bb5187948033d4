"""What a process does beside its requests, and whether it still does."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

_log = structlog.get_logger()


class Background:
    """Watches the tasks that no request asks for: one that has ended, or stands still, is told of.

    Args:
        note: told of each task by its name whether it runs, when that changes.
    """

    def __init__(self, note: Callable[[str, bool], None]) -> None:
        self._note = note
        self._watched: dict[str, Callable[[], bool]] = {}
        self._stopped: set[str] = set()

    def watch(
        self, name: str, tasks: Sequence[asyncio.Task[None]], is_late: Callable[[], bool] = lambda: False
    ) -> None:
        """Watch a part of the process.

        Args:
            name: what it is called in metrics and logs.
            tasks: what it is made of; none of them ends before the process does.
            is_late: whether it has been silent for longer than it may be.
        """
        self._watched[name] = lambda: is_late() or any(task.done() for task in tasks)
        self._note(name, True)
        for task in tasks:
            task.add_done_callback(lambda _: self.stopped())

    def stopped(self) -> list[str]:
        """The names of what does not run any more."""
        now = {name for name, has_stopped in self._watched.items() if has_stopped()}
        for name in now ^ self._stopped:
            self._note(name, name not in now)
            if name in now:
                _log.error("background task stopped", task=name)
        self._stopped = now
        return sorted(now)

    def forget(self) -> None:
        """Watch nothing any more: the process is about to end what it runs."""
        self._watched.clear()
        self._stopped.clear()
