"""Work that is put off for a moment and then done in one go."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

LATE_S = 0.01
"""How long an item waits at most, in seconds, where an event loop runs."""

Item = TypeVar("Item")


class Bulk(Generic[Item]):
    """Items that are handled together.

    Between other work, with nothing of its code left in the caches, the same handling takes the processor
    several times as long as in a loop of its own.

    Args:
        handle: what is done with the items, in the order in which they came.
        at_most: so many never wait.
    """

    def __init__(self, handle: Callable[[list[Item]], object], at_most: int) -> None:
        self._handle = handle
        self._at_most = at_most
        self._items: list[Item] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._items)

    def add(self, item: Item) -> None:
        """Handle it soon; without an event loop, when there are enough, or somebody asks for it."""
        if not self._items:
            with suppress(RuntimeError):
                asyncio.get_running_loop().call_later(LATE_S, self.flush)
        self._items.append(item)
        if len(self._items) >= self._at_most:
            self.flush()

    def flush(self) -> None:
        """Handle what waits."""
        items, self._items = self._items, []
        if items:
            self._handle(items)
