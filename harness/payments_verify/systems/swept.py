"""The service's own sweeper, hurt at each of its statements: it sweeps on, as often and as much as before."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from payments_verify.payments.faults.pool_probe import comes_true
from payments_verify.payments.inputs.classes import BEGIN, SECOND
from payments_verify.surface.liveness import authorized, stays_due
from payments_verify.systems.whole import WholeApplication, whole_application
from pgweave.clock import DatabaseClock
from pgweave.gate import Fault, Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

_LIMIT_S = 20.0
_BATCH, _EVERY_S, _BATCH_LIMIT_S = 4, 0.05, 0.3
_SETTINGS = {
    "sweep_interval_s": _EVERY_S,
    "sweep_batch": _BATCH,
    "request_timeout_s": _BATCH_LIMIT_S,
    "lock_timeout_ms": 100,
    "pool_min": 1,
    "pool_max": 2,
}
_STATEMENTS = 6
"""A sweep of one payment: to find, to begin, to lock, to read the clock, to move it, to commit."""
_FINDS, _LOCKS = "capture_expires_at <=", "SKIP LOCKED"
_FAULTS: Mapping[str, tuple[Fault | float, Sequence[int]]] = {
    "takes longer than a batch may": (1.5 * _BATCH_LIMIT_S, (0, 4)),
    "is never answered": (inf, (0,)),
    "is not answered": (Fault.CUT_AFTER, range(_STATEMENTS)),
    "is ended by the database (57014)": (Fault.CANCELLED, (0, 3)),
    "meets a conflict (40001)": (Fault.SERIALIZATION_FAILURE, (4, 5)),
}
"""What befalls a statement of a sweep, or how long it is held, in seconds; and which."""
_TRIES = 5
_SWEEPS = 10
"""How many sweeps in a row have to come within `_LIMIT_S`: a sweep takes some ms, and a pause 50."""


@dataclass
class _Watching(PassAll):
    """Lets everything pass but for one statement of a sweep, and counts what sweeps do.

    Attributes:
        place: which of a sweep's statements is hurt; ``None`` for none.
        fault: what befalls it, or how long it is held, in seconds.
        hurt: whether it was.
        sweeps: how many sweeps have begun.
        locked: how many payments each transaction wanted to lock.
    """

    place: int | None = None
    fault: Fault | float = inf
    hurt: bool = False
    sweeps: int = 0
    locked: list[int] = field(default_factory=list)
    _statements: defaultdict[Session, int] = field(default_factory=lambda: defaultdict(int))

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        if _FINDS in statement.sql:
            self.sweeps += 1
            self._statements.clear()
            self.locked.append(0)
            self._statements[statement.session] = 0
        self.locked[-1:] = [each + (_LOCKS in statement.sql) for each in self.locked[-1:]]
        number = self._statements.get(statement.session)
        if number is not None:
            self._statements[statement.session] += 1
        if number is None or number != self.place:
            statement.release()
            return
        self.place, self.hurt = None, True
        if isinstance(self.fault, Fault):
            statement.release(self.fault, "ROLLBACK" if statement.sql == "COMMIT" else "")
        elif self.fault < inf:
            asyncio.get_running_loop().call_later(self.fault, _release, statement)


def _release(statement: HeldStatement) -> None:
    if statement.session.held is statement:
        statement.release()


async def wrong_sweeps(dsn: str) -> str | None:
    """Hurt sweeps, one after the other, and look at those that follow; what is wrong with them, if anything.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    watching = _Watching()
    async with (
        Gate.open(dsn, bool) as gate,
        DatabaseClock.connect(dsn) as clock,
        whole_application(dsn) as asked,  # which does not sweep
        whole_application(gate.socket_dsn, **_SETTINGS),
    ):
        gate.observer = watching
        swept = _Swept(asked, clock, watching)
        return await swept.hurt() or await swept.as_before() or await swept.due_earlier()


@dataclass
class _Swept:
    asked: WholeApplication
    clock: DatabaseClock
    watching: _Watching
    now: int = BEGIN

    async def hurt(self) -> str | None:
        """Whatever befalls a sweep, what is due expires."""
        for what, (fault, places) in _FAULTS.items():
            for place in places:
                self.watching.hurt, self.watching.fault, self.watching.place = False, fault, place
                wrong = await self._expire(1)
                if not wrong and not self.watching.hurt:
                    wrong = f"I9: no sweep came to its statement {place}"
                if wrong is not None:
                    return f"{wrong}, after a sweep whose statement {place} {what}"
        return None

    async def as_before(self) -> str | None:
        """Sweeps come as often as before, and take as many payments at a time."""
        first = self.watching.sweeps
        if not await comes_true(lambda: self.watching.sweeps >= first + _SWEEPS, _LIMIT_S):
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

    async def due_earlier(self) -> str | None:
        """What is due expires, though it was due before what was found first: the clock went back."""
        self.now -= 3600 * SECOND
        wrong = await self._expire(_BATCH + 1)
        return wrong and f"{wrong}, after the clock went back"

    async def _expire(self, number: int) -> str | None:
        """Make payments that are due, and see them expire."""
        self.now += SECOND
        await self.clock.set(self.now)
        made = [(await authorized(self.asked.http))["id"] for _ in range(number)]
        self.now += SECOND
        await self.clock.set(self.now)
        return await stays_due(self.asked.http, made, _LIMIT_S)
