"""Round trips to PostgreSQL that end in order when nobody waits for them any more."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection

Result = TypeVar("Result")

_ASK_AGAIN_S = 0.05
_PATIENCE_S = 5.0


async def to_its_end(connection: AsyncConnection[Any], work: Coroutine[Any, Any, Result]) -> Result:
    """Do some work on a connection; if the caller is cancelled meanwhile, end it in the database.

    The work is done in a task of its own, which is not cancelled: within a pipeline that would leave results
    nobody has read, and before Python 3.12 it can pass unnoticed. PostgreSQL is asked to cancel instead. It
    drops such a request if it comes between two statements, so it is asked until the work has ended.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        ending = asyncio.create_task(_end(connection, task))
        while not ending.done():
            # Who cancels again, as a cancel scope does at each await, waits all the same.
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)
        raise


async def _end(connection: AsyncConnection[Any], task: asyncio.Task[Any]) -> None:
    """Ask for the end of a task's statement until the task has ended, with whatever result."""
    clock = asyncio.get_running_loop().time
    limit = clock() + _PATIENCE_S
    while not task.done() and clock() < limit:
        with suppress(Exception):  # it is asked again
            await connection.cancel_safe(timeout=_PATIENCE_S)
        await asyncio.wait([task], timeout=_ASK_AGAIN_S)
    task.cancel()  # the server does not answer: psycopg closes the connection
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
