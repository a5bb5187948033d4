"""Connections on which requests were given up, each way, new or used: who has one next sees nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import psycopg

from payments_core.entrypoints import wiring
from payments_core.infrastructure.postgres.pool import Pool
from payments_verify.binding import Http
from payments_verify.payments.faults.pool_probe import Stops, stops
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import BUSY, LATE, UNAVAILABLE, Sent, UnansweredError
from payments_verify.systems.whole.behind_gate import gated_application
from payments_verify.systems.whole.every_kind import (
    EVERYTHING,
    KINDS,
    MOVED_S,
    WRITES,
    WRITING,
    HeldTables,
    Kind,
    every_kind,
    life,
    wrong_among,
    wrong_early,
)
from payments_verify.systems.whole.shipped_limits import CANCELS, shortened
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop
from pgweave.gate import Fault, Gate

_DEADLINE_S = 100_000.0
_PATIENCE_S = 0.02
"""How long the service waits then for the database to be told, in seconds."""
_CREATED = 201
_INSERT = "INSERT INTO payments (payment_id, amount_cents) VALUES (%s, 5)"
_SETTINGS = """
    SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session'
    UNION ALL SELECT 'an advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
"""


async def wrong_handing_on(dsn: str) -> str | None:
    """What a request finds on its connection of one that was given up there, if it finds anything.

    Args:
        dsn: a prepared database.

    Raises:
        UnansweredError: a request that waits for nobody has no answer.
    """
    return await in_stopped_time(_wrong, dsn)


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    with _pools() as pools, psycopg.connect(dsn) as outside, psycopg.connect(dsn) as another:
        async with gated_application(dsn, KINDS, request_timeout_s=_DEADLINE_S) as (gate, app):
            with loop.stopped():
                tables = HeldTables(loop, gate, outside)
                return await _Connections(loop, gate, app.http, tables, another, pools[0]).wrong()


@contextmanager
def _pools() -> Iterator[Sequence[Pool]]:
    """The pools that are made within the block; the first is that of requests."""
    made: list[Pool] = []
    make = wiring.make_pool

    def kept(*args: Any, **settings: Any) -> Pool:  # noqa: ANN401 - the original's
        made.append(make(*args, **settings))
        return made[-1]

    with patch.object(wiring, "make_pool", kept):
        yield made


@dataclass
class _Connections:
    """As many connections as there are kinds of requests: one of each kind uses all of them at once.

    Attributes:
        another: a session outside that holds payments.
        settings: those of each session.
    """

    loop: StoppedLoop
    gate: Gate
    http: Http
    tables: HeldTables
    another: psycopg.Connection
    pool: Pool
    settings: frozenset[str] = frozenset()

    async def wrong(self) -> str | None:
        """The first thing that is not as it has to be, if anything is."""
        self.settings, *_ = await self._settings()
        for told, give_up in _WAYS.items():
            wrong = await self._given_up_each(give_up, are_new=True) or await self._served()
            if wrong is not None:
                return f"I9: requests on new connections {told}, and {wrong}"
        for told, give_up in _WAYS.items():
            wrong = await self._given_up_each(give_up)
            if wrong is not None:
                return f"I9: requests on used connections {told}, and {wrong}"
        wrong = await self._served()
        return wrong and f"I9: requests on used connections were given up in each way, and {wrong}"

    async def _given_up_each(self, give_up: _Way, *, are_new: bool = False) -> str | None:
        """Give requests up at their first statements; and where nothing was done, at the first that write."""
        kinds = await every_kind(self.http)
        if are_new:
            for session in self.gate.sessions.copy():
                session.cut()
        wrong = await self._given_up(give_up, kinds, EVERYTHING)
        if give_up in _NOTHING_DONE:
            wrong = wrong or await self._given_up(give_up, kinds[:WRITING], WRITES)
        return wrong

    async def _given_up(self, give_up: _Way, kinds: Sequence[Kind], how: str) -> str | None:
        """Have requests come to wait in the database, each on a connection of its own, and give them up."""
        self.tables.hold(how)
        sent = [asked.send(self.http, each.request) for each in kinds]
        await self.loop.until(lambda: self.tables.are_waiting(len(sent)) or _is_any_done(sent))
        wrong = wrong_early(kinds, sent) or await give_up(self, kinds, sent)
        self.tables.let_go()
        self.another.rollback()
        await self.loop.end(sent)
        await self.tables.rest()
        if not wrong and any(each.block.is_open for each in self.gate.sessions):
            wrong = "a connection is left within a transaction"
        return wrong

    async def _settings(self) -> Sequence[frozenset[str]]:
        """The settings of the session of each connection.

        Raises:
            UnansweredError: not every connection can be used.
        """
        asking = asyncio.ensure_future(self._asked())
        if await self.loop.until(asking.done, MOVED_S):
            return asking.result()
        await self.loop.end([asking])
        raise UnansweredError(f"nothing is under way, and not all of {KINDS} connections can be used")

    async def _asked(self) -> Sequence[frozenset[str]]:
        async with AsyncExitStack() as stack:
            all_of_them = [await stack.enter_async_context(self.pool.connection()) for _ in range(KINDS)]
            rows = [await (await each.execute(_SETTINGS)).fetchall() for each in all_of_them]
        return [frozenset(each for (each,) in found) for found in rows]

    async def _served(self) -> str | None:
        """Each connection serves a request of each kind, and its session has the settings that it had."""
        for kinds in zip(*(life(uuid4()) for _ in range(KINDS)), strict=True):
            async with stops(self.gate) as stopped:
                sent = [asked.send(self.http, each.request) for each in kinds]
                await self.loop.until(partial(_are_all_used, stopped, sent))
            await self.loop.all_done(sent, MOVED_S)
            wrong = wrong_among(kinds, sent)
            await self.loop.end(sent)
            if wrong is not None:
                return f"then {wrong}"
        for found in await self._settings():
            if found != self.settings:
                return f"then a session has another setting: {', '.join(sorted(found ^ self.settings))}"
        return None

    # ---- ways to give requests up ----------------------------------------------------------------

    async def leave(self, _kinds: Sequence[Kind], sent: Sequence[Sent]) -> str | None:
        """Their clients hang up."""
        await self.loop.end(sent)
        return None

    async def are_ended(self, kinds: Sequence[Kind], sent: Sequence[Sent]) -> str | None:
        """The database ends their statements."""
        self.tables.end(self.tables.waiting())
        await self.loop.all_done(sent, MOVED_S)
        return wrong_among(kinds, sent, UNAVAILABLE)

    async def meet_conflicts(self, kinds: Sequence[Kind], sent: Sequence[Sent]) -> str | None:
        """The database ends their statements for others' sake; those that write are tried again."""
        for session in self.gate.sessions:
            session.rename_error("57014", Fault.SERIALIZATION_FAILURE)
        self.tables.end(self.tables.waiting())
        await self.loop.all_done(sent[WRITING:], MOVED_S)
        self.tables.let_go()
        await self.loop.all_done(sent, MOVED_S)
        for session in self.gate.sessions:
            session.answers.altered = None
        wrong = wrong_among(kinds[WRITING:], sent[WRITING:], BUSY)
        return wrong or wrong_among(kinds[:WRITING], sent[:WRITING])

    async def are_heard_late(self, kinds: Sequence[Kind], sent: Sequence[Sent]) -> str | None:
        """They come to their deadlines; their statements are over before the database is told to end them."""
        return await self._heard_late(kinds, sent)

    async def are_heard_too_late(self, kinds: Sequence[Kind], sent: Sequence[Sent]) -> str | None:
        """The same, and it is told when the service waits for that no more."""
        with shortened(CANCELS, _PATIENCE_S):
            return await self._heard_late(kinds, sent, too_late=True)

    async def _heard_late(
        self, kinds: Sequence[Kind], sent: Sequence[Sent], *, too_late: bool = False
    ) -> str | None:
        self.gate.cancels.are_kept = True
        self.loop.moved += _DEADLINE_S
        await self.loop.until(lambda: len(self.gate.cancels.kept) == len(sent))
        self.tables.let_go()
        await self.tables.rest()
        if too_late:
            await self.loop.all_done(sent, MOVED_S)
        later = [Kind(asked.create(uuid4()), _CREATED) for _ in range(KINDS)]
        for each in later:
            self.another.execute(_INSERT, [each.request.path.rpartition("/")[2]])
        waiting = [asked.send(self.http, each.request) for each in later]
        await self.tables.rest()
        await self.gate.cancels.deliver()
        await self.loop.all_done(sent, MOVED_S)
        await self.tables.rest()
        self.another.rollback()
        await self.loop.all_done(waiting, MOVED_S)
        wrong = wrong_among(kinds, sent, LATE) or wrong_among(later, waiting)
        await self.loop.end(waiting)
        return wrong


_Way = Callable[[_Connections, Sequence[Kind], Sequence[Sent]], Coroutine[Any, Any, str | None]]
_WAYS: Mapping[str, _Way] = {
    "were left by their clients": _Connections.leave,
    "were ended by the database": _Connections.are_ended,
    "met conflicts": _Connections.meet_conflicts,
    "came to their deadlines, and ended before that was heard": _Connections.are_heard_late,
    "came to their deadlines, and ended long before that was heard": _Connections.are_heard_too_late,
}

_NOTHING_DONE = (_Connections.leave, _Connections.are_ended)
"""After these ways the same requests can be sent again, as if they had not been."""


def _is_any_done(sent: Sequence[Sent]) -> bool:
    return any(each.done() for each in sent)


def _are_all_used(stopped: Stops, sent: Sequence[Sent]) -> bool:
    return stopped.connections == KINDS or _is_any_done(sent)
