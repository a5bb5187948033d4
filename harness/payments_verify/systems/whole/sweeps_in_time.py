"""When the service's sweeper sweeps, and for how long: in an event loop whose time is moved on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from payments_core.domain.payment import Payment
from payments_core.domain.values import CaptureWindow
from payments_core.entrypoints.sweeper import Sweeper, sweep
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.whole.stopped_time import MovedLoop

_HOUR_S = 3_600.0
_BATCH, _BATCH_LIMIT_S = 4, 1_000.0
_NEARLY = 0.75
"""The share of a limit that a batch takes; the rest of it is for a slow machine."""
_BACKLOG = 20
"""How many batches are due at once: they take many times the limit of one, and longer than a pause."""
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
    """A store whose sweeps take their time, fail, or stand still, as they are told.

    Attributes:
        batches: the size of each batch that has begun.
        takes_s: how long each takes, in seconds.
        fails: whether each fails.
        conflicts: whether each is taken back because of others.
        stands: whether each stands still.
    """

    def __init__(self) -> None:
        super().__init__(lambda: 2)
        self.batches: list[int] = []
        self.takes_s = 0.0
        self.fails = self.conflicts = self.stands = False

    def owe(self, payments: int) -> None:
        """Have so many more payments that are due."""
        made = (Payment(uuid4(), 500, created_at=0) for _ in range(payments))
        self.put([each.authorize(CaptureWindow(1), 0) for each in made])

    def is_conflict(self, error: Exception) -> bool:
        """Whether it is one that was made on purpose."""
        return isinstance(error, ConnectionAbortedError)

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator[Any]:
        """Note it, and do what it has to."""
        self.batches.append(limit)
        await asyncio.sleep(self.takes_s)
        if self.stands:
            await asyncio.Event().wait()
        if self.conflicts:
            raise ConnectionAbortedError("on purpose")
        if self.fails:
            raise OSError("on purpose")
        async with super().lock_due(limit) as due:
            yield due


async def wrong_pauses(_dsn: str) -> str | None:
    """Which sweep, or pause, takes another time than the service says, if one does."""
    return await asyncio.to_thread(_in_moved_time)


def _in_moved_time() -> str | None:
    with asyncio.Runner(loop_factory=MovedLoop) as runner:
        for every_s in (_HOUR_S, _AGAIN_S / 2):
            if (wrong := runner.run(_wrong(every_s))) is not None:
                return f"{wrong}, with one every {every_s:g} s"
        return runner.run(_wrong_without_a_limit())


async def _wrong(every_s: float) -> str | None:
    sweeps = _Sweeps(_moved_loop(), every_s)
    with patch("payments_core.entrypoints.sweeper.monotonic", sweeps.loop.time):
        async with sweeps.sweeper.running():
            await sweeps.loop.rest()
            for check in (
                sweeps.as_often,
                sweeps.comes_to_its_end,
                sweeps.tried_again,
                sweeps.given_up,
                sweeps.as_often,
                sweeps.comes_to_its_end,
            ):
                if (wrong := await check()) is not None:
                    return wrong
            return (
                "I9: a sweeper that sweeps is told of as one that stands still" if sweeps.was_late else None
            )


async def _wrong_without_a_limit() -> str | None:
    """A sweep that is given no limit, as that of a command, has none: it ends once nothing is due."""
    loop, store = _moved_loop(), _Hurt()
    store.owe(_BATCH * _BACKLOG)
    store.takes_s = _HOUR_S
    sweeping = asyncio.create_task(sweep(store, _BATCH))
    for _ in range(_BACKLOG + 1):
        await loop.pause(_HOUR_S)
    sweeping.cancel()
    [found] = await asyncio.gather(sweeping, return_exceptions=True)
    if found == _BATCH * _BACKLOG:
        return None
    return f"I9: a sweep without a limit, of {_BATCH * _BACKLOG} that are due, comes to {found!r}"


def _moved_loop() -> MovedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MovedLoop)
    return loop


class _Sweeps:
    """The sweeps of one sweeper.

    Args:
        loop: whose time is moved.
        every_s: how often one is to begin, in seconds.

    Attributes:
        was_late: whether it was told of as standing still.
    """

    def __init__(self, loop: MovedLoop, every_s: float) -> None:
        self.loop, self.store = loop, _Hurt()
        self._expired: list[int] = []
        self._ended: list[None] = []
        self.sweeper = Sweeper(
            self.store,
            every_s,
            _BATCH,
            _BATCH_LIMIT_S,
            self._expired.append,
            lambda: self._ended.append(None),
        )
        self.was_late = False
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
        self.store.fails = False
        return None

    async def given_up(self) -> str | None:
        """What stands still is given up as its limit ends, and what meets conflict after conflict, too."""
        self.store.stands = True
        await self._begins(self._longest_s)
        await self._pause(_BATCH_LIMIT_S)
        self.store.stands = False
        if not await self._begins(min(self._longest_s, _AGAIN_S)):
            return f"I9: a sweep was given up, and none is tried again within {_AGAIN_S:g} s"
        self.store.conflicts, self.store.takes_s = True, _NEARLY * _BATCH_LIMIT_S
        await self._begins(self._longest_s)
        await self._pause(self.store.takes_s)
        await self._pause(_AGAIN_S)  # the same batch has begun anew by now
        await self._pause(_BATCH_LIMIT_S - self.store.takes_s)
        self.store.conflicts, self.store.takes_s = False, 0.0
        if not await self._begins(min(self._longest_s, _AGAIN_S)):
            return "I9: a batch that meets conflicts is not given up as its limit ends"
        return None

    async def comes_to_its_end(self) -> str | None:
        """Much is due, and each batch takes nearly as long as it may: one sweep expires it all."""
        due = _BATCH * _BACKLOG
        first, expired, ended = len(self.store.batches), sum(self._expired), len(self._ended)
        self.store.owe(due)
        self.store.takes_s = _NEARLY * _BATCH_LIMIT_S
        await self._begins(self._longest_s)
        for _ in range(_BACKLOG):
            await self._pause(self.store.takes_s)
        takes_s, self.store.takes_s = self.store.takes_s, 0.0
        await self._pause(takes_s)  # of the batch that finds nothing
        told = f"{due} payments are due, a batch takes {takes_s:g} s of the {_BATCH_LIMIT_S:g} s that it may"
        if others := [each for each in self.store.batches[first:] if each != _BATCH]:
            return f"I9: {told}, and {others[0]} are locked at a time, and not {_BATCH}"
        if sum(self._expired) - expired != due:
            return f"I9: {told}, and {sum(self._expired) - expired} have expired once all batches could have"
        return None if len(self._ended) > ended else f"I12: {told}, and nothing is told of the sweep's end"

    async def _begins(self, within_s: float) -> bool:
        """Whether a sweep begins before so many seconds have passed."""
        before = len(self.store.batches)
        await self._pause(within_s + _GRAIN_S)
        return len(self.store.batches) > before

    async def _pause(self, seconds: float) -> None:
        await self.loop.pause(seconds)
        self.was_late |= self.sweeper.is_late()
