"""An application whose time stands still: what is answered at once needs no time, and waits end exactly.

What else is under way takes its time: the database, its sockets, and the processor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep
from typing import Any, TypeVar
from unittest.mock import patch

from payments_verify.patience import patient
from payments_verify.surface.exchange import Time

PATIENCE_S = 20.0
"""How long what needs no time may take on a machine with much else to do, in seconds."""
_TURNS = 200
"""So often a loop looks for what its sockets have, until nothing comes any more: they are its own."""
_BEAT_S, _MOVED_S = 0.0002, 0.01
_POSTGRES = "payments_core.infrastructure.postgres"
_WATCHES = tuple(
    f"{_POSTGRES}.{each}.{watch}"
    for each in ("connection", "contention", "pool", "readiness")
    for watch in ("monotonic", "perf_counter")
)
"""By what the service measures its waits, or might."""
_T = TypeVar("_T")


async def until(is_true: Callable[[], object]) -> bool:
    """Wait until it is so; whether it was within `PATIENCE_S` of real time. The loop's time need not pass."""
    deadline = monotonic() + patient(PATIENCE_S)
    while not is_true():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(0)
        sleep(_BEAT_S)  # noqa: ASYNC251 - it is the database's turn
    return True


class MovedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be moved on.

    Attributes:
        moved: how far, in seconds.
    """

    moved = 0.0

    def time(self) -> float:
        """Its time, in seconds."""
        return super().time() + self.moved

    async def pause(self, seconds: float) -> None:
        """Let all that is under way come to rest, then so many seconds pass, and what they end."""
        await self.rest()
        self.moved += seconds
        await self.rest()

    async def rest(self) -> None:
        """Let all that is under way come to rest."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class StoppedLoop(MovedLoop):
    """An event loop whose time passes only as it is moved, while it is `stopped`."""

    _stopped_at: float | None = None

    def time(self) -> float:
        """Its time, in seconds."""
        return super().time() if self._stopped_at is None else self._stopped_at + self.moved

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass within the block, for the service neither."""
        self._stopped_at = super().time() - self.moved
        with ExitStack() as stack:
            for each in _WATCHES:
                stack.enter_context(patch(each, self.time, create=True))
            try:
                yield
            finally:
                self._stopped_at = None

    async def until(self, is_true: Callable[[], object], moved_s: float = 0.0) -> bool:
        """Wait until it is so, see `until`.

        Args:
            is_true: whether it is.
            moved_s: how far the time is moved each time that it is not, in seconds.
        """

        def is_true_later() -> object:
            self.moved += moved_s
            return is_true()

        return await until(is_true_later)

    async def all_done(self, sent: Collection[asyncio.Future[Any]], moved_s: float = 0.0) -> bool:
        """Wait for all of them, see `until`."""
        return await self.until(lambda: all(each.done() for each in sent), moved_s)

    async def end(self, sent: Collection[asyncio.Future[Any]]) -> None:
        """Give up those that are under way."""
        for each in sent:
            each.cancel()
        await self.all_done(sent, _MOVED_S)


class StoppedTime(Time):
    """That of a loop which is stopped: a limit that is waited for does not bring another one nearer."""

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await stopped_loop().pause(seconds)

    async def within(self, seconds: float, awaited: Awaitable[_T]) -> _T:
        """Wait for something, for at most so many seconds of a clock on the wall.

        Raises:
            TimeoutError: it has not come.
        """
        task, deadline = asyncio.ensure_future(awaited), monotonic() + seconds
        while not task.done():
            if monotonic() > deadline:
                task.cancel()
                await asyncio.wait([task])
                raise TimeoutError
            await asyncio.sleep(0)  # all that is waited for is done in this loop
        return task.result()


def stopped_loop() -> StoppedLoop:
    """The running loop, of a check that `in_stopped_time` runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StoppedLoop)
    return loop


async def in_stopped_time(check: Callable[[str], Coroutine[Any, Any, str | None]], dsn: str) -> str | None:
    """Run a check in a thread whose event loop's time can be stopped.

    Args:
        check: what is wrong, if anything is.
        dsn: its database.
    """

    async def checked() -> str | None:
        try:
            return await check(dsn)
        finally:
            await stopped_loop().rest()  # for connections to come to their ends

    def run() -> str | None:
        with asyncio.Runner(loop_factory=StoppedLoop) as runner:
            return runner.run(checked())

    return await asyncio.to_thread(run)
