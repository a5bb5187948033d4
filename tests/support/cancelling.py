"""Cancel a request at a chosen suspension, as a caller that gives up or a server that stops does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from types import coroutine
from typing import Any

Request = Coroutine[Any, Any, object]


@dataclass
class Cancellation:
    """Cancels the task that runs a request where it suspends for the ``step``-th time, counted from 1.

    Attributes:
        step: at which suspension.
        again: whether to cancel at every later suspension too, as anyio's cancel scopes do.
        suspensions: how often the request suspended so far.
    """

    step: int
    again: bool
    suspensions: int = 0

    @property
    def happened(self) -> bool:
        """Whether the request suspended so often at all."""
        return self.suspensions >= self.step

    async def run(self, request: Request) -> asyncio.Task[object]:
        """Run ``request`` in a task of its own, to its end."""
        task = asyncio.create_task(self._whole(request))
        await asyncio.wait([task])
        return task

    async def _whole(self, request: Request) -> object:
        return await self._steps(request)

    @coroutine
    def _steps(self, request: Request) -> Generator[Any, Any, object]:
        resume, value = request.send, None
        while True:
            try:
                awaited = resume(value)
            except StopIteration as end:
                return end.value
            self.suspensions += 1
            if self.suspensions == self.step or (self.again and self.happened):
                _cancel_current()
            try:
                resume, value = request.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - the request's to handle
                resume, value = request.throw, error


def _cancel_current() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
