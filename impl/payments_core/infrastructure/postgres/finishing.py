"""Run to its end what must not be given up half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` to its end, however often the caller is cancelled meanwhile; the caller then is, too.

    What never waits, as most work here, is run at once, without a task of its own. What comes after its first
    wait is run in another task than what came before: a timeout would be of the wrong one.

    Raises:
        asyncio.CancelledError: if the caller was cancelled, after the end.
    """
    try:
        awaited = work.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    return await ended(asyncio.ensure_future(_rest(work, awaited)))


async def ended(task: asyncio.Future[Result]) -> Result:
    """Wait for a task to its end, however often the caller is cancelled meanwhile; the caller then is, too.

    Raises:
        asyncio.CancelledError: if the caller was cancelled, after the end.
    """
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        if not task.cancelled():
            task.exception()  # nobody asks for it any more
        raise cancellation
    return task.result()


@coroutine
def _rest(work: Coroutine[Any, Any, Result], awaited: object) -> Generator[Any, Any, Result]:
    """What is left of ``work``, which waits for ``awaited``."""
    try:
        yield awaited
    except BaseException:
        work.close()
        raise
    return (yield from work.__await__())
