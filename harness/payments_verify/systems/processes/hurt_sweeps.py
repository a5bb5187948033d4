"""The command `sweep`, hurt in the middle: it says so, or does what it has to do all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import psycopg

from payments_verify.patience import comes_true, patient
from payments_verify.systems.processes.due import HOLD, expired_together, insert_due
from payments_verify.systems.processes.forked import Ended, Forks
from payments_verify.systems.whole.sweeps_watched import FINDS, LOCKS, SweepsWatched, let_go
from pgweave.gate import Fault, Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

BATCH = 2
OF_REQUESTS: Mapping[str, str] = {"PAYMENTS_LOCK_TIMEOUT_MS": "1", "PAYMENTS_REQUEST_TIMEOUT_S": "0.002"}
"""Limits of a request, in which no batch can be expired: a command has none."""
_OF_STATEMENTS = ("PAYMENTS_STATEMENT_TIMEOUT_MS", "PAYMENTS_TRANSACTION_TIMEOUT_MS")
_SHORT_S, _LONG_S = 0.2, 2.0
"""How long a statement of a request may take; the longer one where a busy machine was too slow to begin."""
_LONGER = 2
_STATEMENTS = 6
"""A sweep of one payment: to find, to begin, to lock, to read the clock, to move it, to commit."""
_FAULTS = ((0, Fault.CANCELLED), *((place, Fault.CUT_AFTER) for place in range(_STATEMENTS)))
_LIMIT_S = 30.0
_FAILED = _SECOND = 2
_VOID = """
WITH moved AS (
    UPDATE payments SET state = 'failed', failed_at = authorized_at, failure_reason = 'voided'
    WHERE payment_id = ANY (%s) RETURNING *)
INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, failure_reason)
SELECT payment_id, 3, 'failed', failed_at, failure_reason FROM moved
"""
_CLOCK = "SELECT pg_get_functiondef('payment_clock()'::regprocedure)"
_SLOW = """
CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz LANGUAGE plpgsql AS
'BEGIN PERFORM pg_sleep({}); RETURN clock_timestamp(); END'
"""


class _SecondLook(PassAll):
    """Lets everything pass but a sweep's second look for what is due, and knows what it has found until then.

    Attributes:
        found: what it wanted to lock.
        held_look: the second one, once it has come.
    """

    def __init__(self) -> None:
        self.found: list[UUID] = []
        self.held_look: HeldStatement | None = None
        self._looks = 0

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        self._looks += FINDS in statement.sql
        if LOCKS in statement.sql:
            self.found.append(UUID(hex=str(statement.values[0]).removeprefix("0x")))
        if self._looks == _SECOND and self.held_look is None:
            self.held_look = statement
        else:
            statement.release()


async def wrong_hurt_sweeps(made: Forks, dsn: str) -> str | None:
    """What a sweep does wrong where what it found is moved, a statement fails, or each takes long.

    Args:
        made: starts processes.
        dsn: a prepared database that nobody else uses, and in which nothing is due.
    """
    async with Gate.open(dsn, bool) as gate:
        wrong = await _wrong_where_moved(made, dsn, gate) or await _wrong_code(made, dsn, gate)
    return wrong or await _wrong_when_slow(made, dsn)


async def _wrong_where_moved(made: Forks, dsn: str, gate: Gate) -> str | None:
    """Others hold what is due, and void what a sweep has found before it looks for more: the rest expires."""
    gate.observer = looks = _SecondLook()
    due = insert_due(dsn, BATCH + 1)
    async with await psycopg.AsyncConnection.connect(dsn) as others:
        await others.execute(HOLD, [due])
        sweeping = asyncio.create_task(sweep(made, gate.socket_dsn))
        await comes_true(lambda: sweeping.done() or looks.held_look is not None, _LIMIT_S)
        found = set(looks.found)
        await others.execute(_VOID, [list(found)])
    gate.observer = PassAll()
    let_go(looks.held_look)
    return wrong_expiry(
        await sweeping,
        len(due) - len(found),
        f", of {len(due)} that others held as it began, {len(found)} of which they have voided meanwhile",
    )


async def _wrong_code(made: Forks, dsn: str, gate: Gate) -> str | None:
    """A statement fails: it ends with 2; the next one expires what is due."""
    gate.observer = watching = SweepsWatched()
    due = insert_due(dsn, 1)
    for place, fault in _FAULTS:
        watching.hurts(place, fault)
        ended = await sweep(made, gate.socket_dsn)
        told = f"I9: payments-core sweep, whose statement {place} fails ({fault.value})"
        if watching.hurt is None:
            return f"{told}: none came to it: {shown(ended)}"
        if (ended.code, ended.output) != (_FAILED, "") or not _is_explained(ended):
            return f"{told}, is to end with {_FAILED} and to say why: {shown(ended)}"
        async with await psycopg.AsyncConnection.connect(dsn) as owner:
            await owner.execute(HOLD, [due])  # its session has ended, and has left the payment to others
    gate.observer = PassAll()
    sizes = await expired_together(dsn, due, 0)
    return wrong_expiry(await sweep(made, dsn), len(due) - sum(sizes), ", after some that failed")


def _is_explained(ended: Ended) -> bool:
    return "payments-core: " in ended.errors and "Traceback" not in ended.errors


async def _wrong_when_slow(made: Forks, dsn: str) -> str | None:
    """Each look takes longer than a request's statements and transactions may: it expires what is due."""
    wrong = None
    for limit_s in (_SHORT_S, patient(_LONG_S)):
        due = insert_due(dsn, 1)
        limits = {**OF_REQUESTS, **dict.fromkeys(_OF_STATEMENTS, str(int(limit_s * 1000)))}
        with _slow_clock(dsn, _LONGER * limit_s):
            ended = await sweep(made, dsn, **limits)
        wrong = wrong_expiry(
            ended, len(due), f", where {' and '.join(_OF_STATEMENTS)} are less than a look takes"
        )
        if wrong is None:
            break
        await sweep(made, dsn)
    return wrong


@contextmanager
def _slow_clock(dsn: str, takes_s: float) -> Iterator[None]:
    """The database's clock takes as long to be read, in seconds, within the block."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        before = owner.execute(_CLOCK).fetchone()
        assert before is not None
        owner.execute(_SLOW.format(takes_s).encode())
        try:
            yield
        finally:
            owner.execute(before[0])


async def sweep(made: Forks, dsn: str, **limits: str) -> Ended:
    """Run the command with this batch, and with these settings."""
    return await made.run("sweep", "--batch", str(BATCH), DATABASE_URL=dsn, **limits)


def wrong_expiry(ended: Ended, wanted: int, told: str = "") -> str | None:
    """What a sweep does, where it should have expired so many payments."""
    if (ended.code, ended.output) == (0, f"expired {wanted} payment{'s' * (wanted != 1)}\n"):
        return None
    return f"I9: payments-core sweep --batch {BATCH}, which should expire {wanted}{told}: {shown(ended)}"


def shown(ended: Ended) -> str:
    """How a process ended, for a message."""
    return f"exit code {ended.code}, {ended.output!r} {ended.errors[-300:]!r}"
