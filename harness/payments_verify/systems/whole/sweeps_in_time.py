"""When the service's sweeper sweeps, to the second: in an event loop whose time is moved on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from payments_core.entrypoints.sweeper import Sweeper
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.whole.stopped_time import MovedLoop

_HOUR_S = 3_600.0
_BATCH, _BATCH_LIMIT_S = 4, 10.0
_GIVE_OR_TAKE = 0.2
_AGAIN_S = 1.2
"""Within what time a sweep that failed is tried again, in seconds (specs/operations.md)."""
_FAILURES = 8
"""In a row: who waits twice as long after each is late at the second."""
_GRAIN_S = 0.01
"""More than a timer's grain."""
_LONG_S = 600.0
_EARLY = 0.95
"""The share of the shortest pause after which nothing has begun; the rest is for a slow machine."""
_ROUNDS = 3


class _Hurt(InMemoryPaymentStore):
    """A store that finds nothing due; its sweeps fail, or stand still, as they are told.

    Attributes:
        batches: the size of each batch that has begun.
        fails: whether each fails.
        stands: whether each stands still.
    """

    def __init__(self) -> None:
        super().__init__(lambda: 0)
        self.batches: list[int] = []
        self.fails = self.stands = False

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator[Any]:
        """Note it, and do what it has to."""
        self.batches.append(limit)
        if self.stands:
            await asyncio.Event().wait()
        if self.fails:
            raise OSError("on purpose")
        async with super().lock_due(limit) as due:
            yield due


async def wrong_pauses(_dsn: str) -> str | None:
    """Between which sweeps there is another time than the service says, if between any."""
    return await asyncio.to_thread(_in_moved_time)


def _in_moved_time() -> str | None:
    with asyncio.Runner(loop_factory=MovedLoop) as runner:
        for every_s in (_HOUR_S, _AGAIN_S / 2):
            if (wrong := runner.run(_wrong(every_s))) is not None:
                return f"{wrong}, with one every {every_s:g} s"
    return None


async def _wrong(every_s: float) -> str | None:
    sweeps = _Sweeps(asyncio.get_running_loop(), every_s)
    sweeper = Sweeper(sweeps.store, every_s, _BATCH, _BATCH_LIMIT_S, lambda _: None, lambda: None)
    async with sweeper.running():
        await sweeps.loop.rest()
        return await sweeps.as_often() or await sweeps.tried_again() or await sweeps.as_often()


class _Sweeps:
    """The sweeps of one sweeper.

    Args:
        loop: whose time is moved.
        every_s: how often one is to begin, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, every_s: float) -> None:
        assert isinstance(loop, MovedLoop)
        self.loop, self.store = loop, _Hurt()
        self._shortest_s, self._longest_s = every_s * (1 - _GIVE_OR_TAKE), every_s * (1 + _GIVE_OR_TAKE)

    async def as_often(self) -> str | None:
        """Where nothing goes wrong, a pause is as long as it is to be, and a batch as large."""
        for _ in range(_ROUNDS):
            # A short pause goes by while a busy machine does something else.
            pause_s = _EARLY * self._shortest_s if self._shortest_s > _LONG_S else 0.0
            if pause_s and await self._begins(pause_s):
                return f"I9: a sweep has begun {pause_s:g} s after the one before it, which did not fail"
            if not await self._begins(self._longest_s - pause_s):
                return f"I9: no sweep has begun for {self._longest_s:g} s"
            if self.store.batches[-1] != _BATCH:
                return f"I9: {self.store.batches[-1]} payments are locked at a time, and not {_BATCH}"
        return None

    async def tried_again(self) -> str | None:
        """What failed, or was given up, is tried again soon, with fewer payments, however often it failed."""
        self.store.fails = True
        await self._begins(self._longest_s)
        for number in range(1, _FAILURES + 1):
            if not await self._begins(min(self._longest_s, _AGAIN_S)):
                return f"I9: {number} sweeps have failed, and none is tried again within {_AGAIN_S:g} s"
            if (size := self.store.batches[-1]) > max(1, _BATCH // 2**number):
                return f"I9: {number} sweeps have failed, and {size} payments are locked at a time"
        self.store.stands = True
        await self._begins(min(self._longest_s, _AGAIN_S))
        await self.loop.pause(_BATCH_LIMIT_S)
        self.store.stands = self.store.fails = False
        if not await self._begins(min(self._longest_s, _AGAIN_S)):
            return f"I9: a sweep was given up, and none is tried again within {_AGAIN_S:g} s"
        return None

    async def _begins(self, within_s: float) -> bool:
        """Whether a sweep begins before so many seconds have passed."""
        before = len(self.store.batches)
        await self.loop.pause(within_s + _GRAIN_S)
        return len(self.store.batches) > before
