"""Questions to /readyz that overlap while the database does not answer, and beside all that is at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg

from payments_verify.binding import Http
from payments_verify.payments.faults.pool_probe import Stops, stops
from payments_verify.payments.inputs.classes import BEGIN, SECOND
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import UNAVAILABLE, Request, Sent, UnansweredError
from payments_verify.systems.whole.behind_gate import busy, gated_application
from payments_verify.systems.whole.every_kind import KINDS, every_kind
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop
from pgweave.clock import DatabaseClock
from pgweave.gate import Gate
from pgweave.gate.proxy import PassAll

_READY = Request("GET", "/readyz")
_OK, _NOT_NOW = 200, 503
_FRESH_S, _PATIENCE_S = 1.1, 2.0
"""After how long an answer counts no more, and how long one is waited for."""
_APART_S, _PROBES = 0.7, 6
"""How long after each other they are asked that overlap, and how many."""
_STEPS = 3
"""After so many of these times one has to have its answer."""
_EVERY_S, _AT_MOST = 100.0, 1.3
"""How often a sweep begins, and how much longer it may be until it does."""
_WINDOW_END = BEGIN + 3_601 * SECOND
_TRIES, _MOVED_S = 100, 0.05
_LOCK = "LOCK TABLE _yoyo_migration"
_WAITING = "SELECT FROM pg_locks WHERE NOT granted AND relation = '_yoyo_migration'::regclass"
_TERMINATE = "SELECT pg_terminate_backend(%s)"


async def wrong_probes(dsn: str) -> str | None:
    """Which question is not answered in time, or as it has to be, if one is not.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    try:
        return await in_stopped_time(_wrong, dsn)
    except UnansweredError as error:
        return f"I9: {error}"


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    async with (
        DatabaseClock.connect(dsn) as clock,
        gated_application(dsn, KINDS + 1, sweep_interval_s=_EVERY_S) as (gate, app),
    ):
        with psycopg.connect(dsn) as outside, loop.stopped():
            probes = _Probes(loop, gate, app.http, outside)
            await clock.set(BEGIN)
            await asked.authorized(app.http, uuid4())
            await clock.set(_WINDOW_END)
            wrong = await probes.beside_all()
            for told, hang in probes.hangs().items():
                wrong = wrong or await probes.overlap(told, hang)
            wrong = wrong or await probes.first_leaves() or await probes.session_ends()
    return f"I9: {wrong}" if wrong else None


@dataclass(frozen=True)
class _Probes:
    loop: StoppedLoop
    gate: Gate
    http: Http
    outside: psycopg.Connection

    def hangs(self) -> Mapping[str, Callable[[], AbstractAsyncContextManager[object]]]:
        """What keeps the database from answering whether it can be used."""
        return {
            "the database falls silent": lambda: stops(self.gate),
            "the table of migrations is locked": self._locked,
        }

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        self.outside.execute(_LOCK)
        try:
            yield
        finally:
            self.outside.rollback()

    async def beside_all(self) -> str | None:
        """A sweep and a request of each kind are under way, and stop at each of their statements."""
        kinds = await every_kind(self.http)
        async with stops(self.gate) as stopped:
            sent = [asked.send(self.http, each.request) for each in kinds]
            await self.loop.rest()
            self.loop.moved += _EVERY_S * _AT_MOST
            await self.loop.until(lambda: stopped.connections == KINDS + 1)
            wrong = None
            while stopped.held_now and wrong is None:
                wrong = await self._beside(stopped)
                stopped.let_go()
                await self.loop.until(lambda: busy(self.gate) == stopped.connections)
                await self.loop.rest()
        await self.loop.all_done(sent, _MOVED_S)
        return wrong

    async def _beside(self, stopped: Stops) -> str | None:
        """Whether it is not ready, or not at once, though only what is held is not answered."""
        self.gate.observer = PassAll()
        self.loop.moved += _FRESH_S
        sent = asked.send(self.http, _READY)
        await self.loop.until(sent.done)
        wrong = asked.wrong_answer(_READY, sent, _OK)
        self.gate.observer = stopped
        await self.loop.end([sent])
        held = " | ".join(sorted({" ".join(each.sql.split())[:40] for each in stopped.held_now}))
        return wrong and f"a sweep and requests wait for the database ({held}), and {wrong}"

    async def overlap(self, told: str, hang: Callable[[], AbstractAsyncContextManager[object]]) -> str | None:
        """Some are asked one after the other, and none is answered by the database."""
        self.loop.moved += _FRESH_S
        sent: list[Sent] = []
        wrong, before = None, 0
        async with hang():
            for step in range(_PROBES + _STEPS):
                late = sent[: max(0, step - _STEPS + 1)]
                await self.loop.all_done(late)
                answered = [each for each in sent if each.done() or each in late]
                wrong = asked.first_wrong([_READY] * len(answered), answered, _NOT_NOW, UNAVAILABLE)
                if wrong is not None:
                    break
                if len(answered) > before:  # who waited longest has ended the question: that takes no time
                    await self.loop.until(lambda: not self._are_waiting())
                    await self.loop.rest()
                    before = sum(each.done() for each in sent)
                if step < _PROBES:
                    sent.append(asked.send(self.http, _READY))
                await self.loop.pause(_APART_S)
        told = f"{told}, /readyz is asked every {_APART_S:g} s, and has {_PATIENCE_S:g} s to answer; "
        await self.loop.end(sent)
        return f"{told}{wrong}" if wrong else await self._ready_again(told)

    def _are_waiting(self) -> bool:
        return self.outside.execute(_WAITING).rowcount > 0

    async def first_leaves(self) -> str | None:
        """The one whose question another has joined hangs up, and then the database answers."""
        self.loop.moved += _FRESH_S
        async with stops(self.gate) as stopped:
            first, second = await self._two(stopped)
            await self.loop.end([first])
        await self.loop.all_done([second], _MOVED_S)
        wrong = asked.wrong_answer(_READY, second, _OK)
        return wrong and f"two ask /readyz, the first hangs up, the database answers, and the second: {wrong}"

    async def session_ends(self) -> str | None:
        """The session is ended while two wait for its answer."""
        self.loop.moved += _FRESH_S
        async with stops(self.gate) as stopped:
            both = await self._two(stopped)
            for each in stopped.held_now:
                self.outside.execute(_TERMINATE, [each.session.pid])
            await self.loop.all_done(both)
            wrong = asked.first_wrong([_READY] * len(both), both, _NOT_NOW, UNAVAILABLE)
        self.outside.rollback()
        told = "two ask /readyz, and the session that answers is ended; "
        return f"{told}{wrong}" if wrong else await self._ready_again(told)

    async def _two(self, stopped: Stops) -> tuple[Sent, Sent]:
        first = asked.send(self.http, _READY)
        await self.loop.until(lambda: stopped.connections == 1)
        await self.loop.pause(_APART_S)
        second = asked.send(self.http, _READY)
        await self.loop.rest()
        return first, second

    async def _ready_again(self, told: str) -> str | None:
        for _ in range(_TRIES):
            sent = asked.send(self.http, _READY)
            await self.loop.until(sent.done, _MOVED_S)
            if (wrong := asked.wrong_answer(_READY, sent, _OK)) is None:
                return None
            await self.loop.pause(_MOVED_S)
        return f"{told}that is over, and {wrong}"
