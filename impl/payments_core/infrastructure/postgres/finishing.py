"""Run to its end what must not be given up half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` to its end, however often the caller is cancelled meanwhile; the caller then is, too.

    What never waits, as most work here, is run at once, without a task of its own.

    Raises:
        asyncio.CancelledError: if the caller was cancelled, after the end.
    """
    try:
        awaited = work.send(None)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    rest = asyncio.ensure_future(_rest(work, awaited))
    cancellation: asyncio.CancelledError | None = None
    while not rest.done():
        try:
            await asyncio.wait([rest])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        if not rest.cancelled():
            rest.exception()  # nobody asks for it any more
        raise cancellation
    return rest.result()


@coroutine
def _rest(work: Coroutine[Any, Any, Result], awaited: object) -> Generator[Any, Any, Result]:
    """What is left of ``work``, which waits for ``awaited``."""
    try:
        yield awaited
    except BaseException:
        work.close()
        raise
    return (yield from work.__await__())
