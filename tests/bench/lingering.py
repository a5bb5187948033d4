"""A session outside the service that keeps a payment's lock for a while, as a report or a repair does."""

from __future__ import annotations

import asyncio

import psycopg

from payments_verify.payments.observations import Invocation, Observation
from payments_verify.payments.scenarios import Leaving
from payments_verify.scheduler import Process

_LOCK = "SELECT state FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"
_VOID = (
    "UPDATE payments SET state = 'failed', failed_at = payment_clock(), failure_reason = 'voided'"
    " WHERE payment_id = %s AND state = 'authorized'"
)
_REFUSED_IN = {"pending": "not_authorized", "captured": "already_captured", "failed": "payment_failed"}


async def hold(process: Process, leaving: Leaving, dsn: str, payment: str, seconds: float) -> None:
    """Take the lock, keep it, and give it back.

    The explorer's holder keeps it for as long as a schedule says. Nobody schedules this one: that it has the
    lock is known when it has answered, and it begins to give it back ``seconds`` later.
    """
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        if leaving is Leaving.VOIDED:
            await _void(process, connection, payment, seconds)
            return
        locking = process.begin(Invocation("lock", {"payment": payment}))
        await connection.execute("BEGIN")
        await connection.execute(_LOCK, [payment])
        if leaving is Leaving.ROLLED_BACK:
            await connection.execute(_VOID, [payment])
        process.end(locking, Observation("ok", {}))
        await asyncio.sleep(seconds)
        unlocking = process.begin(Invocation("unlock", {"payment": payment}))
        await connection.execute("COMMIT" if leaving is Leaving.ONLY_LOCKED else "ROLLBACK")
        process.end(unlocking, Observation("ok", {}))


async def _void(process: Process, connection: psycopg.AsyncConnection, payment: str, seconds: float) -> None:
    operation = process.begin(Invocation("fail", {"payment": payment, "reason": "voided"}))
    await connection.execute("BEGIN")
    row = await (await connection.execute(_LOCK, [payment])).fetchone()
    assert row is not None
    voided = await connection.execute(_VOID, [payment])
    await asyncio.sleep(seconds)
    await connection.execute("COMMIT")
    if voided.rowcount == 1:
        process.end(operation, Observation("ok", {"outcome": "failed"}))
    else:
        process.end(operation, Observation("fail", {"outcome": _REFUSED_IN[row[0]]}))
