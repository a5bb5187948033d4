"""Payments that a session outside holds, as many as there may be, and crowds that wait for them.

All that concerns other payments is answered at once: no time passes for the service until it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

import psycopg

from payments_verify.binding import Http
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import BUSY, OVERLOADED, Request, Sent
from payments_verify.systems.whole.behind_gate import busy, gated_application
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop
from pgweave.gate import Gate

_CONNECTIONS, _SHARE = 5, 2
"""Connections, and how many of them may be used for one payment, or wait for locks: at most half."""
_REQUESTS, _PLACES = 33, 16
"""Requests that may be under way, and how many of them may wait for payments without a connection."""
_WAITING = _SHARE + _PLACES
_TOO_MANY = 3
_HELD = _PLACES // _SHARE
"""So many payments are held by as many requests each as may use one of them."""
_BITS = 128
_PAUSE_S, _FRESH_S = 0.33, 1.1
_MOVED_S = 0.01
_INSERT = "INSERT INTO payments (payment_id, amount_cents) VALUES (%s, 5)"
_OK, _CREATED, _UNEQUAL, _CONFLICT, _NOT_NOW = 200, 201, 422, 409, 503


async def wrong_isolation(dsn: str) -> str | None:
    """What keeps requests from being answered that nobody's lock concerns, or which bound is another.

    Args:
        dsn: a prepared database.
    """
    return await in_stopped_time(_wrong, dsn)


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    async with gated_application(dsn, _CONNECTIONS, max_requests=_REQUESTS) as (gate, app):
        with psycopg.connect(dsn) as outside, loop.stopped():
            return await _Crowded(loop, gate, app.http, outside).wrong()


@dataclass
class _Crowded:
    """An application, and the session outside.

    Attributes:
        waiting: what waits for payments that are held.
    """

    loop: StoppedLoop
    gate: Gate
    http: Http
    outside: psycopg.Connection
    waiting: dict[Sent, Request] = field(default_factory=dict)

    async def wrong(self) -> str | None:
        """The first thing that is not as it has to be, if anything is."""
        try:
            wrong = await self._shares() or await self._whole_table()
            for number in range(1, _CONNECTIONS + 1):
                wrong = wrong or await self._held_by_all(number)
            wrong = wrong or await self._created_outside() or await self._apart()
        finally:
            self.outside.rollback()
            await self.loop.end(self.waiting)
        return f"I9: {wrong}" if wrong else None

    async def _shares(self) -> str | None:
        """Of many requests for one payment as many are at work as may be."""
        payment = uuid4()
        many = range(2 * _CONNECTIONS)
        kinds: Mapping[str, tuple[Sequence[Request], int, int]] = {
            "creations": ([asked.create(payment)] * len(many), _CREATED, _OK),
            "authorizations": ([asked.authorize(payment)] * len(many), _OK, _CONFLICT),
            "captures": ([asked.capture(payment, f"k{each}") for each in many], _CREATED, _CONFLICT),
            "voids": ([asked.void(payment)] * len(many), _CONFLICT, _CONFLICT),
        }
        for kind, (requests, first, others) in kinds.items():
            async with stops(self.gate) as stopped:
                sent = self._sent(requests)
                await self.loop.until(lambda: stopped.connections >= _SHARE)
                await self.loop.rest()
                count = stopped.connections
            await self.loop.all_done(sent, _MOVED_S)
            if count != _SHARE:
                return f"{len(sent)} {kind} of one payment use {count} connections, of {_CONNECTIONS}"
            found = Counter(each.result().status_code for each in sent if each.done())
            if found != Counter([first] + [others] * (len(sent) - 1)):
                return f"{len(sent)} {kind} of one payment are answered {dict(found)}"
        return None

    async def _held_by_all(self, number: int) -> str | None:
        """So many payments are held, and as many requests wait for them as may; some more come."""
        held = [await asked.authorized(self.http, uuid4()) for _ in range(number)]
        told = f"a session outside holds {number} of the payments"
        asked.hold(self.outside, held)
        keys = (asked.capture(each, f"k{count}") for count, each in enumerate(cycle(held)))
        wrong = await self._full([*islice(keys, _WAITING + _TOO_MANY)], told)
        wrong = wrong or await self._others(told, held[0])
        await self.loop.pause(_PAUSE_S)  # who has no room to wait tries again
        wrong = wrong or await self._full([asked.capture(held[0], "late")] * _TOO_MANY, told)
        if number in _FAILURES and wrong is None:
            what, fail = _FAILURES[number]
            left = await fail(self)
            told = f"{told}, those who waited {what}"
            wrong = await self._full([*islice(keys, _WAITING - left + _TOO_MANY)], told)
        wrong = wrong or (await self._overloaded(told) if number == _CONNECTIONS else None)
        return wrong or await self._let_go(held)

    async def _created_outside(self) -> str | None:
        """Payments are being created by the session outside, and as many want to create them as may wait."""
        held = [uuid4() for _ in range(_SHARE + 1)]
        told = f"a session outside creates {len(held)} payments"
        for each in held:
            self.outside.execute(_INSERT, [each])
        requests = [*islice(cycle(map(asked.create, held)), _WAITING + _TOO_MANY)]
        wrong = await self._full(requests, told) or await self._others(told)
        return wrong or await self._let_go(held, "", _OK)

    async def hang_up(self) -> int:
        """All who wait hang up; none is left."""
        for each in self.waiting:
            each.cancel()
        await self.loop.until(
            lambda: all(each.done() for each in self.waiting) and not busy(self.gate), _MOVED_S
        )
        self.waiting.clear()
        return 0

    async def end_waits(self) -> int:
        """The database ends the waits for locks; how many wait all the same."""
        for session in self.gate.sessions:
            if not session.idle:
                self.outside.execute("SELECT pg_cancel_backend(%s)", [session.pid])
        await self.loop.until(lambda: sum(each.done() for each in self.waiting) == _SHARE)
        for each in [each for each in self.waiting if each.done()]:
            del self.waiting[each]
        await self.loop.until(lambda: busy(self.gate) == _SHARE, _MOVED_S)
        return len(self.waiting)

    async def _full(self, requests: Sequence[Request], told: str) -> str | None:
        """As many more are sent as may wait, and `_TOO_MANY` beyond: those are refused at once."""
        sent = dict(zip(self._sent(requests), requests, strict=True))
        self.waiting |= sent
        settled = await self.loop.until(
            lambda: sum(each.done() for each in sent) >= _TOO_MANY and busy(self.gate) == _SHARE
        )
        await self.loop.rest()
        refused = [each for each in self.waiting if each.done()]
        if not settled or len(refused) != _TOO_MANY:
            return (
                f"{told}, and {len(self.waiting)} requests want them: {len(refused)} are answered at once, "
                f"and the others use {busy(self.gate)} of {_CONNECTIONS} connections; at most half of "
                f"these may, and {_PLACES} may wait without one"
            )
        requests = [self.waiting.pop(each) for each in refused]
        return asked.first_wrong(requests, refused, _NOT_NOW, BUSY)

    async def _others(self, told: str, held: UUID | None = None) -> str | None:
        """A payment that nobody holds lives its whole life, all are read, and the process is well."""
        one, another = uuid4(), uuid4()
        life = [
            *((each, _CREATED) for each in (asked.create(one), asked.create(another))),
            *((each, _OK) for each in (asked.authorize(one), asked.authorize(another), asked.void(another))),
            (asked.capture(one, "wrong", 501), _UNEQUAL),
            (asked.capture(one, "right"), _CREATED),
            *((Request("GET", f"/payments/{one}{each}"), _OK) for each in ("", "/captures")),
            *((Request("GET", f"/{each}"), _OK) for each in ("payments", "payments?limit=1")),
            *((Request("GET", f"/payments/{one}/captures?{each}"), _OK) for each in ("after=2", "limit=1")),
            *((Request("GET", f"/payments/{held or one}{each}"), _OK) for each in ("", "/captures")),
            (asked.CREATE, _CREATED),
        ]
        for request, status in life:
            wrong = await self._at_once([request], status)
            if wrong is not None:
                return f"{told}, crowds wait, and {wrong}"
        return await self._unwell(f"{told}, crowds wait")

    async def _unwell(self, told: str) -> str | None:
        """Whether the process does not answer at once, and anew, how it is."""
        await self.loop.pause(_FRESH_S)
        for path in ("/healthz", "/readyz", "/metrics"):
            sent = asked.send(self.http, Request("GET", path))
            if not await self.loop.until(sent.done) or sent.result().status_code != _OK:
                await self.loop.end([sent])
                return f"{told}, and {path} is not answered {_OK} at once"
        return None

    async def _whole_table(self) -> str | None:
        """A session outside holds the table, and all connections wait for it: the process is well."""
        self.outside.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        requests = [asked.read(uuid4())] * (2 * _CONNECTIONS)
        sent = self._sent(requests)
        await self.loop.until(lambda: busy(self.gate) == _CONNECTIONS)
        wrong = await self._unwell("a session outside holds the table")
        self.outside.rollback()
        await self.loop.all_done(sent)
        return wrong or asked.first_wrong(requests, sent, 404, "payment_not_found")

    async def _at_once(
        self, requests: Sequence[Request], status: int, problem: str = "", moved_s: float = 0.0
    ) -> str | None:
        sent = self._sent(requests)
        await self.loop.all_done(sent, moved_s)
        wrong = asked.first_wrong(requests, sent, status, problem)
        await self.loop.end(sent)
        return wrong

    async def _overloaded(self, told: str) -> str | None:
        """As many are under way as may be, and one more comes."""
        requests = [asked.read(uuid4())] * (_REQUESTS - _WAITING)
        async with stops(self.gate):
            sent = self._sent(requests)
            await self.loop.rest()
            wrong = await self._at_once([requests[0]], _NOT_NOW, OVERLOADED)
        await self.loop.all_done(sent)
        wrong = wrong or asked.first_wrong(requests, sent, 404, "payment_not_found")
        return wrong and f"{told}, and {_REQUESTS} requests are under way; {wrong}"

    async def _let_go(
        self, held: Sequence[UUID], to: str = "/captures", otherwise: int = _CONFLICT
    ) -> str | None:
        """The payments are free: all who have waited are answered, and each is captured, or created, once."""
        self.outside.rollback()
        await self.loop.all_done(self.waiting, _MOVED_S)
        found = Counter(
            (request.path, sent.result().status_code if sent.done() else 0)
            for sent, request in self.waiting.items()
        )
        self.waiting.clear()
        captured = {f"/payments/{each}{to}" for each in held}
        wrong = {
            (path, status)
            for (path, status), times in found.items()
            if status not in (_CREATED, otherwise) or (status == _CREATED and times > 1)
        }
        missing = captured - {path for path, status in found if status == _CREATED}
        if not wrong and not missing:
            return None
        return f"a payment was held, and is free; those who waited for it are answered {dict(found)}"

    async def _apart(self) -> str | None:
        """Many payments are held, and others come whose ids differ from one of theirs in a bit each.

        Who tells payments apart by a part of their ids, or by a hash of few bits, does not tell all of them.
        """
        held = [await asked.authorized(self.http, uuid4()) for _ in range(_HELD)]
        asked.hold(self.outside, held)
        requests = [asked.capture(each, f"k{count}") for each in held for count in range(_SHARE)]
        self.waiting |= dict(zip(self._sent(requests), requests, strict=True))
        await self.loop.until(lambda: busy(self.gate) == _SHARE)
        await self.loop.rest()
        others = [UUID(int=held[bit % _HELD].int ^ 1 << bit) for bit in range(_BITS)]
        for begin in range(0, _BITS, _PLACES):
            for ask, status in ((asked.create, _CREATED), (asked.authorize, _OK)):
                some = [ask(each) for each in others[begin : begin + _PLACES]]
                # Insertions may wait for each other where the table grows; then they try again after a pause.
                wrong = await self._at_once(some, status, moved_s=_MOVED_S)
                if wrong is not None:
                    return f"{_HELD} payments are held, and of another, which nobody holds, {wrong}"
        return await self._let_go(held)

    def _sent(self, requests: Sequence[Request]) -> list[Sent]:
        return [asked.send(self.http, each) for each in requests]


_FAILURES: Mapping[int, tuple[str, Callable[[_Crowded], Coroutine[Any, Any, int]]]] = {
    2: ("hung up", _Crowded.hang_up),
    3: ("for locks were ended by the database", _Crowded.end_waits),
}
"""What befalls those who wait where so many payments are held; it gives how many are left."""
