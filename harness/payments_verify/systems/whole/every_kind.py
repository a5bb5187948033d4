"""Requests of every kind, and tables that a session outside holds, so that they wait in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
from psycopg import errors

from payments_verify.binding import Http
from payments_verify.patience import patient
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import Request, Sent, UnansweredError
from payments_verify.systems.whole.stopped_time import PATIENCE_S, StoppedLoop
from pgweave.gate import Gate

EVERYTHING, WRITES = "ACCESS EXCLUSIVE", "SHARE"
"""Ways to hold tables: nobody gets on with a first statement, or with one that writes."""
KINDS, WRITING = 9, 6
"""How many kinds there are, and how many of them, the first ones, write."""
MOVED_S = 0.01
_TABLES = "payments, capture_attempts, payment_events"
_OK, _CREATED, _CONFLICT, _UNEQUAL, _NOT_NOW = 200, 201, 409, 422, 503
_PATIENT = "SELECT set_config('lock_timeout', %s, true)"
_END = {True: "SELECT pg_terminate_backend(%s)", False: "SELECT pg_cancel_backend(%s)"}
_WAITING = "SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid = ANY(%s)"


class Kind(NamedTuple):
    """A request, and the status of its answer where nothing comes between."""

    request: Request
    status: int


async def every_kind(http: Http) -> Sequence[Kind]:
    """A request of each kind, of new payments.

    Raises:
        UnansweredError: their payments do not come to be.
    """
    created, captured, refused, voided = payments = [uuid4() for _ in range(4)]
    for some in (map(asked.create, payments), map(asked.authorize, payments[1:])):
        await asyncio.gather(*(asked.answer(http, each) for each in some))
    return [
        Kind(asked.create(uuid4()), _CREATED),
        Kind(asked.CREATE, _CREATED),
        Kind(asked.authorize(created), _OK),
        Kind(asked.capture(captured, "k"), _CREATED),
        Kind(asked.capture(refused, "k", 501), _UNEQUAL),
        Kind(asked.void(voided), _OK),
        *_reads(created),
    ]


def life(payment: UUID) -> Sequence[Kind]:
    """A request of each kind, one after the other, of one payment that there is not yet."""
    return [
        Kind(asked.create(payment), _CREATED),
        Kind(asked.authorize(payment), _OK),
        Kind(asked.capture(payment, "k"), _CREATED),
        Kind(asked.void(payment), _CONFLICT),
        *_reads(payment),
    ]


def _reads(payment: UUID) -> Sequence[Kind]:
    return [
        Kind(asked.read(payment), _OK),
        Kind(Request("GET", f"/payments/{payment}/captures"), _OK),
        Kind(Request("GET", "/payments"), _OK),
    ]


def wrong_among(kinds: Sequence[Kind], sent: Sequence[Sent], problem: str = "") -> str | None:
    """The first of the answers that is not what it has to be.

    Args:
        kinds: what was asked.
        sent: the answers.
        problem: of which each has to tell; each answer is that of its kind, if not given.
    """
    for (request, status), each in zip(kinds, sent, strict=True):
        wrong = asked.wrong_answer(request, each, _NOT_NOW if problem else status, problem)
        if wrong is not None:
            return wrong
    return None


def wrong_early(kinds: Sequence[Kind], sent: Sequence[Sent]) -> str | None:
    """The first of the answers that have come and are not what they have to be."""
    come = [each for each in zip(kinds, sent, strict=True) if each[1].done()]
    return wrong_among([kind for kind, _ in come], [each for _, each in come])


@dataclass(frozen=True)
class HeldTables:
    """Tables that a session outside holds at times.

    Attributes:
        loop: whose time stands still.
        gate: the gate of an application.
        outside: the session.
    """

    loop: StoppedLoop
    gate: Gate
    outside: psycopg.Connection

    def hold(self, how: str = EVERYTHING) -> None:
        """Hold all tables, where nobody is at work, until `let_go`.

        Raises:
            UnansweredError: somebody has them.
        """
        self.outside.execute(_PATIENT, [f"{patient(PATIENCE_S):.0f}s"])
        try:
            self.outside.execute(f"LOCK TABLE {_TABLES} IN {how} MODE".encode())
        except errors.LockNotAvailable as error:
            raise UnansweredError(f"nothing is under way, and tables are locked: {error}") from error

    def let_go(self) -> None:
        """Hold them no more."""
        self.outside.rollback()

    def waiting(self) -> set[int]:
        """The server processes that wait for a lock."""
        pids = [each.pid for each in self.gate.sessions]
        return {pid for (pid,) in self.outside.execute(_WAITING, [pids])}

    def are_waiting(self, number: int) -> bool:
        """Whether so many statements are under way, and wait for locks."""
        return self._at_work() == number and (number == 0 or len(self.waiting()) == number)

    async def rest(self) -> None:
        """Let all that is under way come to rest: what the database does not answer waits for a lock."""
        for _ in range(2):
            await self.loop.rest()
            await self.loop.until(lambda: self.are_waiting(self._at_work()))

    def end(self, pids: Collection[int], *, with_session: bool = False) -> None:
        """Have the database end the statements of these processes, or their sessions with them."""
        for pid in pids:
            self.outside.execute(_END[with_session], [pid])

    def _at_work(self) -> int:
        return sum(not each.rests for each in self.gate.sessions)
