"""The service's own sweeper, hurt at each of its statements: it sweeps on, as often and as much as before.

What it says that it has expired is compared with the database, after each thing that went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf

import psycopg

from payments_verify.patience import ask_until, comes_true
from payments_verify.payments.inputs.classes import BEGIN, SECOND
from payments_verify.surface.liveness import authorized, state_of, stays_due
from payments_verify.surface.samples import after_a_sweep, last_sweep, metrics_of, value_of
from payments_verify.systems.whole.application import WholeApplication, whole_application
from payments_verify.systems.whole.sweeps_watched import SweepsWatched, let_go
from pgweave.clock import DatabaseClock
from pgweave.gate import Fault, Gate

_LIMIT_S = 20.0
_BATCH, _EVERY_S = 4, 0.05
_BATCH_LIMITS_S = (0.3, 3.0)
"""How long a batch may take; where a busy machine was too slow for one, the next is tried."""
_SETTINGS = {
    "sweep_interval_s": _EVERY_S,
    "sweep_batch": _BATCH,
    "lock_timeout_ms": 100,
    "pool_min": 1,
    "pool_max": 2,
}
_STATEMENTS = 6
"""A sweep of one payment: to find, to begin, to lock, to read the clock, to move it, to commit."""
_LOCK, _MOVE = 2, 4
_TOO_LONG, _NEVER, _CUT, _ENDED = (
    "takes longer than a batch may",
    "is never answered",
    "is not answered",
    "is ended by the database (57014)",
)
_FAULTS: Mapping[str, tuple[Fault | None, Sequence[int]]] = {
    _TOO_LONG: (None, (0, _MOVE)),
    _NEVER: (None, (0,)),
    _CUT: (Fault.CUT_AFTER, range(_STATEMENTS)),
    _ENDED: (Fault.CANCELLED, (0, 3)),
    "meets a conflict (40001)": (Fault.SERIALIZATION_FAILURE, (4, 5)),
}
"""What befalls a statement of a sweep; and which."""
_OF_A_SECOND_BATCH: Mapping[str, Sequence[int]] = {_CUT: (0, _LOCK), _ENDED: (0, 3)}
_TRIES = 5
_SWEEPS = 10
"""How many sweeps in a row have to come within `_LIMIT_S`: a sweep takes some ms, and a pause 50."""
_DEEPEST = 4
"""Behind how many batches that others hold a payment is due."""
_COUNTED_S = 10.0
"""How long after a payment has expired it may not be counted yet."""
_HOLD = "SELECT FROM payments WHERE payment_id = ANY(%s::uuid[]) FOR NO KEY UPDATE"
_EXPIRED = "SELECT count(*) FROM payments WHERE failure_reason = 'expired'"


async def wrong_sweeps(dsn: str) -> str | None:
    """Hurt sweeps, one after the other, and look at those that follow; what is wrong with them, if anything.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    wrong = None
    for batch_limit_s in _BATCH_LIMITS_S:
        # A batch that is given up for being slow may have been committed, and nobody counts it; or none is
        # quick enough to come to what is free.
        if (wrong := await _wrong_sweeps(dsn, batch_limit_s)) is None:
            break
    return wrong


async def _wrong_sweeps(dsn: str, batch_limit_s: float) -> str | None:
    watching = SweepsWatched()
    async with (
        Gate.open(dsn, bool) as gate,
        DatabaseClock.connect(dsn) as clock,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as owner,
        whole_application(dsn) as asked,  # which does not sweep
        AsyncExitStack() as stack,
    ):
        before = await _expired_of(owner)
        sweeping = whole_application(gate.socket_dsn, request_timeout_s=batch_limit_s, **_SETTINGS)
        gate.observer = watching
        swept = _Swept(
            asked, await stack.enter_async_context(sweeping), clock, owner, watching, batch_limit_s, before
        )
        for check in (
            swept.hurt,
            swept.hurt_later,
            swept.as_before,
            swept.told_of_its_end,
            swept.due_earlier,
            swept.not_due_any_more,
            swept.behind_what_is_held,
        ):
            if (wrong := await check()) is not None:
                return wrong
    return None


async def _expired_of(owner: psycopg.AsyncConnection) -> int:
    row = await (await owner.execute(_EXPIRED)).fetchone()
    assert row is not None
    return int(row[0])


@dataclass
class _Swept:
    """What is due, who sweeps, and what has been counted.

    Attributes:
        asked: an application that does not sweep.
        sweeping: the one that does.
        clock: of their database.
        owner: a session beside them.
        watching: sees each statement of the sweeps.
        batch_limit_s: how long a batch may take, in seconds.
        uncounted: how many have expired in the database that are not to be counted.
        now: where the clock stands, in µs.
    """

    asked: WholeApplication
    sweeping: WholeApplication
    clock: DatabaseClock
    owner: psycopg.AsyncConnection
    watching: SweepsWatched
    batch_limit_s: float
    uncounted: int
    now: int = BEGIN

    async def hurt(self) -> str | None:
        """Whatever befalls a sweep, what is due expires."""
        for what, (fault, places) in _FAULTS.items():
            for place in places:
                # Nobody hears whether what was moved by then is committed.
                unsure = 1 if place >= _MOVE and what in (_TOO_LONG, _CUT) else 0
                self.watching.hurts(place, fault or self._held_for(what))
                if (wrong := await self._after(what, place, 1, unsure)) is not None:
                    return wrong
        return None

    async def hurt_later(self) -> str | None:
        """What befalls the second batch of a sweep takes nothing from the first."""
        for what, places in _OF_A_SECOND_BATCH.items():
            for place in places:
                self.watching.hurts(place, _FAULTS[what][0] or self._held_for(what), passes=1)
                if (wrong := await self._after(what, place, _BATCH + 2)) is not None:
                    return f"{wrong} in its second batch"
        return None

    def _held_for(self, what: str) -> float:
        return 1.5 * self.batch_limit_s if what == _TOO_LONG else inf

    async def _after(self, what: str, place: int, number: int, unsure: int = 0) -> str | None:
        wrong = await self._expire(number, unsure)
        if not wrong and self.watching.hurt is None:
            wrong = f"I9: no sweep came to its statement {place}"
        return wrong and f"{wrong}, after a sweep whose statement {place} {what}"

    async def as_before(self) -> str | None:
        """Sweeps come as often as before, and take as many payments at a time."""
        first = self.watching.sweeps
        if not await self._sweep(_SWEEPS):
            return (
                f"I9: after sweeps that failed, {self.watching.sweeps - first} began within {_LIMIT_S:g} s, "
                f"where one is to begin every {_EVERY_S:g} s"
            )
        for _ in range(_TRIES):
            self.watching.locked.clear()
            wrong = await self._expire(_BATCH)
            if wrong or max(self.watching.locked, default=0) >= _BATCH:
                return wrong
        return f"I9: after sweeps that failed, {_BATCH} that are due are not locked together any more"

    async def told_of_its_end(self) -> str | None:
        """The time of the last sweep is that of one that did not fail."""
        self.watching.fails = True
        await self._sweep(2)  # what had begun before has ended
        before = await metrics_of(self.sweeping.http)
        await self._sweep(3)
        failed = await metrics_of(self.sweeping.http)
        self.watching.fails = False
        if last_sweep(failed) != last_sweep(before):
            return "I12: a sweep that failed is told of as one that came to its end"
        if last_sweep(await after_a_sweep(self.sweeping.http, failed, _LIMIT_S)) == last_sweep(failed):
            return f"I12: of the sweeps within {_LIMIT_S:g} s none is told of as one that came to its end"
        return None

    async def due_earlier(self) -> str | None:
        """What is due expires, though it was due before what was found first: the clock went back."""
        self.now -= 3600 * SECOND
        wrong = await self._expire(_BATCH + 1)
        return wrong and f"{wrong}, after the clock went back"

    async def not_due_any_more(self) -> str | None:
        """What was found due expires only if it is so still: the clock goes back in the middle of a sweep."""
        payment, *_ = await self._made(1)
        self.watching.hurts(_LOCK, inf)
        await self._move(SECOND)
        if not await comes_true(lambda: self.watching.hurt is not None, _LIMIT_S):
            return f"I9: payment {payment} is due, and no sweep has found it for {_LIMIT_S:g} s"
        await self._move(-1)
        let_go(self.watching.hurt)
        await self._sweep(2)
        if await state_of(self.asked.http, payment) != "authorized":
            return f"I5: payment {payment} has expired 1 µs before its window ends"
        await self._move(1)
        return await self._expired([payment])

    async def behind_what_is_held(self) -> str | None:
        """What is free expires, however much of what is due at the same time, or before, others hold."""
        held: list[str] = []
        async with self.owner.transaction(force_rollback=True):
            for batches in range(1, _DEEPEST + 1):
                held += await self._made(_BATCH)
                await self.owner.execute(_HOLD, [held])
                free = await self._made(1)
                await self._move(SECOND)
                if (wrong := await self._expired(free)) is not None:
                    return f"{wrong}, while others hold {batches * _BATCH} that are due, too"
        return await self._expired(held)

    async def _expire(self, number: int, unsure: int = 0) -> str | None:
        """Make payments that are due, and see them expire; of some nobody may know that they have."""
        await self._move(SECOND)
        made = await self._made(number)
        await self._move(SECOND)
        return await self._expired(made, unsure)

    async def _made(self, number: int) -> list[str]:
        """Payments that are due in a second."""
        return [(await authorized(self.asked.http))["id"] for _ in range(number)]

    async def _move(self, by: int) -> None:
        self.now += by
        await self.clock.set(self.now)

    async def _sweep(self, number: int) -> bool:
        """Wait until so many more sweeps have begun; whether they have."""
        enough = self.watching.sweeps + number
        return await comes_true(lambda: self.watching.sweeps >= enough, _LIMIT_S)

    async def _expired(self, payments: Sequence[str], unsure: int = 0) -> str | None:
        """What keeps these from expiring, or from being counted; ``None`` if nothing does."""
        if (wrong := await stays_due(self.asked.http, payments, _LIMIT_S)) is not None:
            return wrong
        expired = await _expired_of(self.owner) - self.uncounted
        right = range(expired - unsure, expired + 1)

        async def count() -> int:
            return int(value_of(await metrics_of(self.sweeping.http), "expired_total") or 0)

        if (counted := await ask_until(count, lambda now: now in right, _COUNTED_S)) not in right:
            return f"I12: {expired} payments have expired by themselves, and {counted} are counted"
        self.uncounted += expired - counted
        return None
