"""Two requests alike at once in one process, of which one is given up: the other is answered all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from payments_verify.binding import Http
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import LATE, UNAVAILABLE, Sent
from payments_verify.systems.whole.behind_gate import gated_application
from payments_verify.systems.whole.every_kind import (
    KINDS,
    MOVED_S,
    HeldTables,
    Kind,
    every_kind,
    wrong_among,
    wrong_early,
)
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop

_DEADLINE_S = 100_000.0
_APART_S = _DEADLINE_S / 2
"""How much later the second comes, so that it may wait for so much longer."""
_AROUND_S = 1.0


async def wrong_alike(dsn: str) -> str | None:
    """Which request is not answered as it has to be, beside the same one that is given up.

    Args:
        dsn: a prepared database.

    Raises:
        UnansweredError: a request that waits for nobody has no answer.
    """
    return await in_stopped_time(_wrong, dsn)


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    async with gated_application(dsn, 2 * KINDS, request_timeout_s=_DEADLINE_S) as (gate, app):
        with psycopg.connect(dsn) as outside, loop.stopped():
            return await _Pairs(loop, app.http, HeldTables(loop, gate, outside)).wrong()


@dataclass
class _Pairs:
    """Two requests of each kind, that wait.

    Attributes:
        kinds: what is asked.
        first: the answers to those that came first.
        second: the answers to the others.
        pids: the server processes that serve the first.
    """

    loop: StoppedLoop
    http: Http
    tables: HeldTables
    kinds: Sequence[Kind] = ()
    first: Sequence[Sent] = ()
    second: Sequence[Sent] = ()
    pids: frozenset[int] = frozenset()

    async def wrong(self) -> str | None:
        """The first thing that is not as it has to be, if anything is."""
        given_up = {
            "the first is left by its client": self._first_leaves,
            "the second is left by its client": self._second_leaves,
            "the first comes to its deadline": self._first_is_late,
            "each comes to its own deadline": self._each_is_late,
            "the first is ended by the database": self._first_is_ended,
            "the first loses its connection": self._first_loses_its_connection,
        }
        for told, give_up in given_up.items():
            await self._come()
            wrong = await give_up()
            self.tables.let_go()
            await self.loop.end([*self.first, *self.second])
            if wrong is not None:
                return f"I9: of two requests alike {told}: {wrong}"
        return None

    async def _come(self) -> None:
        self.kinds = await every_kind(self.http)
        self.tables.hold()
        self.first = await self._sent()
        self.pids = frozenset(self.tables.waiting())
        self.loop.moved += _APART_S
        self.second = await self._sent()

    async def _sent(self) -> Sequence[Sent]:
        sent = [asked.send(self.http, each.request) for each in self.kinds]
        await self.tables.rest()
        return sent

    async def _first_leaves(self) -> str | None:
        await self.loop.end(self.first)
        return await self._go_on(self.second)

    async def _second_leaves(self) -> str | None:
        await self.loop.end(self.second)
        return await self._go_on(self.first)

    async def _first_is_late(self) -> str | None:
        self.loop.moved += _APART_S + _AROUND_S
        return await self._are_told(self.first, LATE) or await self._go_on(self.second)

    async def _each_is_late(self) -> str | None:
        wrong = None
        for sent in (self.first, self.second):
            self.loop.moved += _APART_S
            wrong = wrong or await self._are_told(sent, LATE)
        return wrong

    async def _first_is_ended(self) -> str | None:
        self.tables.end(self.pids)
        return await self._are_told(self.first, UNAVAILABLE) or await self._go_on(self.second)

    async def _first_loses_its_connection(self) -> str | None:
        self.tables.end(self.pids, with_session=True)
        return await self._are_told(self.first, UNAVAILABLE) or await self._go_on(self.second)

    async def _are_told(self, sent: Sequence[Sent], problem: str) -> str | None:
        await self.loop.all_done(sent, MOVED_S)
        return wrong_among(self.kinds, sent, problem)

    async def _go_on(self, sent: Sequence[Sent]) -> str | None:
        """Nobody keeps those from their answers any more, which they did not have by now."""
        wrong = wrong_early(self.kinds, sent)
        self.tables.let_go()
        await self.loop.all_done(sent, MOVED_S)
        return wrong or wrong_among(self.kinds, sent)
