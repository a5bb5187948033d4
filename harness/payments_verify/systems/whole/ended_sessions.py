"""Sessions that end as soon as they have answered: who has their connections next is served all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import psycopg

from payments_verify.binding import Http
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import Request
from payments_verify.systems.whole.behind_gate import gated_application
from payments_verify.systems.whole.every_kind import Kind, life
from payments_verify.systems.whole.stopped_time import StoppedLoop, in_stopped_time, stopped_loop
from pgweave.gate import Gate, Session

_LATER_S = (0.0, 1.2)
"""How long after an answer its session ends: a connection is kept at hand for 1 s, and that the database can
be used is told for as long without asking it."""
_READY = Kind(Request("GET", "/readyz"), 200)
_TERMINATE = "SELECT pg_terminate_backend(%s)"


async def wrong_after_ends(dsn: str) -> str | None:
    """Which request hears of a session that ended before it came, if one does.

    Args:
        dsn: a prepared database.
    """
    return await in_stopped_time(_wrong, dsn)


async def _wrong(dsn: str) -> str | None:
    loop = stopped_loop()
    async with gated_application(dsn, 1) as (gate, app):
        with psycopg.connect(dsn, autocommit=True) as outside, loop.stopped():
            ends = _Ends(loop, gate, app.http, outside)
            for later_s in _LATER_S:
                if (wrong := await ends.wrong(later_s)) is not None:
                    return f"I9: {wrong}"
    return None


@dataclass(frozen=True)
class _Ends:
    loop: StoppedLoop
    gate: Gate
    http: Http
    outside: psycopg.Connection

    async def wrong(self, later_s: float) -> str | None:
        """The first answer that is not what it has to be, in a life of which every session ends."""
        ways: Mapping[str, Callable[[Session], object]] = {
            "was cut": Session.cut,
            "was ended by the server": self._terminate,
        }
        for way, end in ways.items():
            before = "nothing"
            for request, status in [*life(uuid4()), _READY]:
                sent = asked.send(self.http, request)
                await self.loop.until(sent.done)
                wrong = asked.wrong_answer(request, sent, status)
                if wrong is not None:
                    await self.loop.end([sent])
                    return f"the connection {way} {later_s:g} s after {before} was answered, and {wrong}"
                before = str(request)
                await self.loop.pause(later_s)
                await self._end_all(end)
        return None

    def _terminate(self, session: Session) -> None:
        self.outside.execute(_TERMINATE, [session.pid])

    async def _end_all(self, end: Callable[[Session], object]) -> None:
        """End every session; the service's sockets have all of it by then."""
        ended = self.gate.sessions.copy()
        for each in ended:
            end(each)
        await self.loop.until(lambda: not any(each in self.gate.sessions for each in ended))
        await self.loop.rest()
