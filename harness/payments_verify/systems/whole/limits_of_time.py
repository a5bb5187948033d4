"""Each limit of time made the smallest in turn: its own answer comes as it ends, and no other.

Those that the service measures end in stopped time, to a tenth of a second; the database's own in real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID, uuid4

import msgspec
import psycopg

from payments_verify.binding import Http
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import BUSY, LATE, UNAVAILABLE, Request, Sent
from payments_verify.systems.whole.behind_gate import busy, gated_application
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop
from pgweave.gate import Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

_CONNECTIONS, _REQUESTS = 2, 16
_CROWD = 4
_OK, _NOT_NOW, _UNEQUAL = 200, 503, 422
_PAUSE_S = 0.32
_PAUSES = 10
_MOVED_S = 0.01
_AROUND_S = 0.1
_SHORT_S, _LATER_S = 1_000.0, 10_000.0
_OF_THE_DATABASE: Mapping[str, str] = {
    "lock_timeout_ms": BUSY,
    "statement_timeout_ms": UNAVAILABLE,
    "idle_in_transaction_timeout_ms": UNAVAILABLE,
    "transaction_timeout_ms": UNAVAILABLE,
}
_SINCE: Mapping[str, int] = {"transaction_timeout_ms": 170_000}
"""The first version of PostgreSQL that knows a limit."""
_FRESH_S, _READY_S = 1.0, 2.0
"""For how long an answer that the database is ready counts, and how long it is waited for."""
_LIMITS_S = (0.3, 1.2, 4.8)
"""The database's; where a busy machine was too slow for one, the next is tried."""
_LATE_BY = 1.75
"""After how many times its limit an answer is late."""


async def wrong_limits(dsn: str) -> str | None:
    """Which limit ends at another time than it says, or with another answer, if one does.

    Args:
        dsn: a prepared database.
    """
    wrong = await in_stopped_time(_wrong_of_the_service, dsn) or await _wrong_of_the_database(dsn)
    return f"I9: {wrong}" if wrong else None


# ---- the service's own -----------------------------------------------------------------------------


async def _wrong_of_the_service(dsn: str) -> str | None:
    """The wait for a connection, for a payment without one, and the whole request."""
    half_s = (_LATER_S - _SHORT_S) / 2
    pool_first = {"pool_timeout_s": _SHORT_S, "request_timeout_s": 100 * _LATER_S}
    request_first = {"pool_timeout_s": 100 * _LATER_S, "request_timeout_s": _LATER_S}
    ends = (
        (pool_first, (_SHORT_S, UNAVAILABLE), _SHORT_S),
        ({**request_first, "lock_timeout_ms": int(_SHORT_S * 1000)}, (_LATER_S, LATE), half_s),
    )
    loop = stopped_loop()
    for settings, connection, patience_s in ends:
        async with gated_application(dsn, _CONNECTIONS, max_requests=_REQUESTS, **settings) as (gate, app):
            with psycopg.connect(dsn) as outside, loop.stopped():
                waits = _Waits(loop, gate, app.http, outside)
                wrong = (
                    await waits.for_a_turn(patience_s)
                    or await waits.for_a_lock(patience_s)
                    or await waits.for_a_connection(*connection)
                    or await waits.for_an_answer(settings["request_timeout_s"])
                    or await waits.for_readiness()
                )
        if wrong is not None:
            return f"{wrong} ({', '.join(f'{name}={value:g}' for name, value in settings.items())})"
    return None


@dataclass
class _Arrivals(PassAll):
    """Counts the statements that come."""

    count: int = 0

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        self.count += 1
        statement.release()


@dataclass
class _Waits:
    """Requests that wait, for longer and longer."""

    loop: StoppedLoop
    gate: Gate
    http: Http
    outside: psycopg.Connection

    async def for_a_connection(self, limit_s: float, problem: str) -> str | None:
        """All connections are in use, and one more is wanted."""
        read = asked.read(await asked.authorized(self.http, uuid4()))
        async with stops(self.gate) as stopped:
            uses = [asked.send(self.http, read) for _ in range(_CONNECTIONS)]
            await self.loop.until(lambda: stopped.connections == _CONNECTIONS)
            sent = asked.send(self.http, read)
            wrong = await self._ends(read, sent, limit_s, problem, "waits for a connection")
        await self._drained([*uses, sent])
        # Those that had one come to the end of the whole request, if that is as soon.
        return wrong or (None if problem == LATE else asked.first_wrong([read] * _CONNECTIONS, uses, _OK))

    async def for_a_turn(self, limit_s: float) -> str | None:
        """A payment is held, and others have its turns; who comes first then is served first."""
        payment, *_ = await self._held(1)
        requests = [asked.capture(payment, f"k{number}", 501) for number in range(1 + _CROWD)]
        first, last = requests[0], asked.capture(payment, "last", 501)
        waiting = [asked.send(self.http, first)]
        await self.loop.until(lambda: busy(self.gate) == 1)
        sent = asked.send(self.http, last)
        wrong = await self._ends(last, sent, limit_s, BUSY, "waits for others that want its payment")
        for each in requests[1:]:
            waiting.append(asked.send(self.http, each))
            await self.loop.rest()
        self.outside.rollback()
        await self._drained([*waiting, sent])
        wrong = wrong or asked.first_wrong(requests, waiting, _UNEQUAL, "amount_mismatch")
        listing = asked.send(self.http, Request("GET", f"/payments/{payment}/captures"))
        await self._drained([listing])
        if wrong is not None:
            return wrong
        found = [
            each["idempotency_key"] for each in msgspec.json.decode(listing.result().content)["captures"]
        ]
        wanted = [each.key for each in requests]
        return None if found == wanted else f"{wanted} want a payment in this order, and have it as {found}"

    async def for_a_lock(self, limit_s: float) -> str | None:
        """Two payments are held, and as many connections wait as may: the second request tries again."""
        one, another = await self._held(2)
        waiting = asked.send(self.http, asked.capture(one, "k", 501))
        await self.loop.until(lambda: busy(self.gate) == 1)
        before, self.gate.observer = self.gate.observer, (arrivals := _Arrivals())
        request = asked.capture(another, "k", 501)
        sent = asked.send(self.http, request)
        await self.loop.until(lambda: arrivals.count > 0 and busy(self.gate) == 1)
        wrong = await self._pauses(arrivals)
        passed_s = _PAUSES * _PAUSE_S
        wrong = wrong or await self._ends(request, sent, limit_s, BUSY, "tries to lock its payment", passed_s)
        self.gate.observer = before
        self.outside.rollback()
        await self._drained([waiting, sent])
        return wrong

    async def _pauses(self, arrivals: _Arrivals) -> str | None:
        """The request tries again within the longest pause, each time, and not at once."""
        for number in range(_PAUSES):
            await self.loop.rest()
            seen = arrivals.count
            await self.loop.rest()
            if arrivals.count != seen:
                return "a request whose payment is locked tries again without a pause"
            self.loop.moved += _PAUSE_S
            if not await self.loop.until(lambda: arrivals.count > seen and busy(self.gate) == 1):  # noqa: B023
                return (
                    f"a request whose payment is locked pauses for more than {_PAUSE_S:g} s, after {number}"
                )
        return None

    async def for_an_answer(self, limit_s: float) -> str | None:
        """The database does not answer."""
        read, what = asked.read(uuid4()), "has no answer of the database"
        async with stops(self.gate) as stopped:
            sent = asked.send(self.http, read)
            await self.loop.until(lambda: stopped.connections == 1)
            wrong = await self._ends_before(sent, limit_s, what)
            await self.loop.pause(2 * _AROUND_S)
        return wrong or await self._ends_otherwise(read, sent, limit_s, LATE, what)

    async def for_readiness(self) -> str | None:
        """The database does not answer whether it is ready; its last answer is fresh for a while."""
        ask, told = Request("GET", "/readyz"), "the database does not answer, and the process"
        await self._drained([asked.send(self.http, ask)])
        async with stops(self.gate) as stopped:
            await self.loop.pause(_FRESH_S - _AROUND_S)
            fresh = asked.send(self.http, ask)
            await self.loop.until(fresh.done)
            wrong = None
            if not fresh.done() or fresh.result().status_code != _OK:
                wrong = f"{told} is not ready before {_FRESH_S:g} s are over"
            self.loop.moved += 2 * _AROUND_S
            stale = asked.send(self.http, ask)
            await self.loop.until(lambda: stale.done() or stopped.connections == 1)
            return wrong or await self._ends(
                ask, stale, _READY_S, UNAVAILABLE, f"asks whether {told} is ready"
            )

    async def _ends(
        self, request: Request, sent: Sent, limit_s: float, problem: str, what: str, passed_s: float = 0.0
    ) -> str | None:
        """Whether a request that waits is answered before its limit ends, or later, or otherwise.

        Args:
            request: it.
            sent: its answer.
            limit_s: how long it has to wait, in seconds.
            problem: of which it is told then.
            what: it does meanwhile, for people.
            passed_s: how long it has waited, in seconds.
        """
        wrong = await self._ends_before(sent, limit_s, what, passed_s)
        self.loop.moved += _AROUND_S + _PAUSE_S
        return wrong or await self._ends_otherwise(request, sent, limit_s, problem, what)

    async def _ends_before(self, sent: Sent, limit_s: float, what: str, passed_s: float = 0.0) -> str | None:
        await self.loop.pause(limit_s - passed_s - _AROUND_S)
        if not sent.done():
            return None
        return f"a request {what}, and before {limit_s:g} s are over it is answered {sent.result().text}"

    async def _ends_otherwise(
        self, request: Request, sent: Sent, limit_s: float, problem: str, what: str
    ) -> str | None:
        await self.loop.until(sent.done)
        wrong = asked.wrong_answer(request, sent, _NOT_NOW, problem)
        await self.loop.end([sent])
        return wrong and f"a request {what} for {limit_s:g} s: {wrong}"

    async def _held(self, number: int) -> list[UUID]:
        payments = [await asked.authorized(self.http, uuid4()) for _ in range(number)]
        asked.hold(self.outside, payments)
        return payments

    async def _drained(self, sent: Sequence[Sent]) -> None:
        await self.loop.all_done(sent, _MOVED_S)
        await self.loop.end(sent)


# ---- the database's --------------------------------------------------------------------------------


async def _wrong_of_the_database(dsn: str) -> str | None:
    """All at once, each in an application of its own."""
    with psycopg.connect(dsn) as outside:
        version = outside.info.server_version
        known = [name for name in _OF_THE_DATABASE if version >= _SINCE.get(name, 0)]
        wrong = await asyncio.gather(*(_wrong_limit(dsn, outside, name) for name in known))
    return next(filter(None, wrong), None)


async def _wrong_limit(dsn: str, outside: psycopg.Connection, name: str) -> str | None:
    wrong = None
    for limit_s in _LIMITS_S:
        async with gated_application(dsn, 1, **{name: int(limit_s * 1000)}) as (gate, app):
            payment = await asked.authorized(app.http, uuid4())
            if name.startswith("idle"):
                gate.observer = _HoldsUpdates()
            else:
                asked.hold(outside, [payment])
            wrong = await _ends_late(asked.capture(payment, "k"), app.http, limit_s, _OF_THE_DATABASE[name])
            gate.observer = PassAll()
        if wrong is None:
            break
    return wrong and f"{name}={limit_s * 1000:g}: {wrong}"


class _HoldsUpdates(PassAll):
    """Leaves a transaction idle once it has its payment's lock."""

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        if "UPDATE payments" not in statement.sql:
            statement.release()


async def _ends_late(request: Request, http: Http, limit_s: float, problem: str) -> str | None:
    began = perf_counter()
    sent = asked.send(http, request)
    await asyncio.wait([sent], timeout=_LATE_BY * limit_s)
    took_s = perf_counter() - began
    wrong = asked.wrong_answer(request, sent, _NOT_NOW, problem)
    sent.cancel()
    await asyncio.wait([sent])
    return wrong or (f"{request} is answered {problem} after {took_s:.3f} s" if took_s < limit_s else None)
