"""Expires payments beside the requests, from time to time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import structlog

from payments_core.application.ports import PaymentStore
from payments_core.application.use_cases import ExpirePayments

_JITTER = 0.2
_AFTER_A_FAILURE_S = 1.0
_GIVING_UP_S = 12.0
"""How long a batch that is given up may take to end: the driver waits 10 s for what it has cancelled."""
_log = structlog.get_logger()


async def sweep(
    store: PaymentStore,
    batch: int,
    limit_s: float | None = None,
    batch_ended: Callable[[int], None] = lambda _: None,
) -> int:
    """Expire every payment whose window has ended, ``batch`` in a transaction; how many there were.

    Any number of processes may do this at once: each passes over what another has locked.

    Args:
        store: whose payments.
        batch: payments that are locked at a time.
        limit_s: seconds that a batch may take.
        batch_ended: told after each batch how many payments it expired.

    Raises:
        TimeoutError: if one batch takes longer than ``limit_s`` seconds.
    """
    expire = ExpirePayments(store)
    total = 0
    while True:
        async with asyncio.timeout(limit_s):
            swept = len(await expire(batch))
        batch_ended(swept)
        if not swept:
            return total
        total += swept


@dataclass
class Sweeper:
    """Sweeps from time to time, whatever went wrong the last time.

    What fails is tried again a second later at most, with half as many payments at a time: a batch that is
    too large for its limit would fail each time.

    Attributes:
        store: whose payments.
        interval_s: seconds from the end of one sweep to the beginning of the next, give or take a fifth.
        batch: payments that are locked at a time.
        limit_s: seconds that a batch may take. A sweep that waits for a connection whose other end is gone
            would otherwise keep it, and sweep no more.
        expired: told how many payments a batch expired, whatever becomes of the batches after it.
        swept: told of each sweep that came to its end.
    """

    store: PaymentStore
    interval_s: float
    batch: int
    limit_s: float
    expired: Callable[[int], None]
    swept: Callable[[], None]
    _beat_at: float = field(default_factory=monotonic)

    @property
    def silence_s(self) -> float:
        """How long it is silent at most, in seconds: a pause, and a batch that is given up."""
        return self.interval_s * (1 + _JITTER) + self.limit_s + _GIVING_UP_S

    def is_late(self) -> bool:
        """Whether it has been silent for longer."""
        return monotonic() - self._beat_at > self.silence_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Sweep beside the block; the task that does."""
        self._beat()
        task = asyncio.create_task(self._sweep_forever(), name="sweeper")
        try:
            yield task
        finally:
            # A wait of Python 3.11's that ends as it is cancelled goes on: whoever waits has to cancel again.
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_GIVING_UP_S)

    async def _sweep_forever(self) -> None:
        batch, pause_s = self.batch, self.interval_s
        while True:
            # Processes that started together do not sweep together.
            await asyncio.sleep(pause_s * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret
            try:
                swept = await sweep(self.store, batch, self.limit_s, self._batch_ended)
                self.swept()
                batch, pause_s = self.batch, self.interval_s
                _log.info("swept", payments=swept)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next sweep may do better
                batch, pause_s = max(1, batch // 2), min(self.interval_s, _AFTER_A_FAILURE_S)
                _log.warning("sweep failed", error=type(error).__name__, exc_info=error)
            self._beat()

    def _batch_ended(self, payments: int) -> None:
        self._beat()
        self.expired(payments)

    def _beat(self) -> None:
        self._beat_at = monotonic()
