"""Calls what a user gave: in the event loop if it is async, else in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable
from typing import Any


async def call(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - the user's
    """Call a function, async or plain, and give what it returns.

    A plain one has a thread of its own, which holds up nothing: one that hangs ends with the process.
    """
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    answer = await _in_thread(function, *arguments)
    return await answer if inspect.isawaitable(answer) else answer


async def _in_thread(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - the user's
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def tell(found: tuple[Any, BaseException | None]) -> None:
        if not ended.done():  # it was given up
            ended.set_result(found)

    def work() -> None:
        found: tuple[Any, BaseException | None]
        try:
            found = function(*arguments), None
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            found = None, error
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, daemon=True).start()
    answer, error = await ended
    if error is not None:
        raise error
    return answer
