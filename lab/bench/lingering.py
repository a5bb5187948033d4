"""A session outside the service that keeps a payment's lock for a while, as a report or a repair does."""

from __future__ import annotations

import asyncio

from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.scenarios.catalogue import Leaving
from payments_verify.payments.service.row_holders import RowHolder
from pgweave.scheduler import Process

_REFUSED_IN = {"pending": "not_authorized", "captured": "already_captured", "failed": "payment_failed"}


async def hold(process: Process, leaving: Leaving, holder: RowHolder, payment: str, seconds: float) -> None:
    """Take the lock, keep it, and give it back.

    The explorer's holder keeps it for as long as a schedule says. Nobody schedules this one: that it has the
    lock is known when it has answered, and it begins to give it back ``seconds`` later.
    """
    if leaving is Leaving.VOIDED:
        await _void(process, holder, payment, seconds)
        return
    locking = process.begin(Invocation("lock", {"payment": payment}))
    await holder.lock(payment)
    if leaving is Leaving.ROLLED_BACK:
        await holder.void()
    process.end(locking, Observation("ok", {}))
    await asyncio.sleep(seconds)
    unlocking = process.begin(Invocation("unlock", {"payment": payment}))
    await (holder.commit() if leaving is Leaving.ONLY_LOCKED else holder.roll_back())
    process.end(unlocking, Observation("ok", {}))


async def _void(process: Process, holder: RowHolder, payment: str, seconds: float) -> None:
    operation = process.begin(Invocation("fail", {"payment": payment, "reason": "voided"}))
    state = await holder.lock(payment)
    voided = await holder.void()
    await asyncio.sleep(seconds)
    await holder.commit()
    if voided:
        process.end(operation, Observation("ok", {"outcome": "failed"}))
    else:
        process.end(operation, Observation("fail", {"outcome": _REFUSED_IN[state]}))
