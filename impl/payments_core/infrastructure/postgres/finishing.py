"""Wait for a task that must not be interrupted half-way."""

from __future__ import annotations

import asyncio
from typing import TypeVar

Result = TypeVar("Result")


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
