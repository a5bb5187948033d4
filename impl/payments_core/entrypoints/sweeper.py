"""Expires payments beside the requests, from time to time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from payments_core.application.ports import PaymentStore
from payments_core.application.use_cases import ExpirePayments

_JITTER = 0.2
_log = structlog.get_logger()


async def sweep(store: PaymentStore, batch: int, limit_s: float | None = None) -> int:
    """Expire every payment whose window has ended, ``batch`` in a transaction; how many there were.

    Any number of processes may do this at once: each passes over what another has locked.

    Raises:
        TimeoutError: if one batch takes longer than ``limit_s`` seconds.
    """
    expire = ExpirePayments(store)
    total = 0
    while True:
        async with asyncio.timeout(limit_s):
            swept = len(await expire(batch))
        if not swept:
            return total
        total += swept


@asynccontextmanager
async def sweeping(
    store: PaymentStore, interval_s: float, batch: int, limit_s: float, expired: Callable[[int], None]
) -> AsyncIterator[None]:
    """Within the block, sweep every ``interval_s`` seconds, give or take a fifth; never if that is 0.

    Args:
        store: whose payments.
        interval_s: seconds from the end of one sweep to the beginning of the next.
        batch: payments that are locked at a time.
        limit_s: seconds that a batch may take. A sweep that waits for a connection whose other end is gone
            would otherwise keep it, and sweep no more.
        expired: told how many payments each sweep expired.
    """
    if interval_s == 0:
        yield
        return
    task = asyncio.create_task(_sweep_forever(store, interval_s, batch, limit_s, expired), name="sweeper")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sweep_forever(
    store: PaymentStore, interval_s: float, batch: int, limit_s: float, expired: Callable[[int], None]
) -> None:
    while True:
        # Processes that started together do not sweep together.
        await asyncio.sleep(interval_s * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret
        try:
            swept = await sweep(store, batch, limit_s)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next sweep may do better
            _log.warning("sweep failed", error=type(error).__name__, exc_info=error)
        else:
            expired(swept)
            _log.info("swept", payments=swept)
