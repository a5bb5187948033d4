"""A command stopped at each of its statements in turn, while another process is asked for another one.

Exploration has every order of commands that wait for locks. Where as many wait for locks as may, a command
asks for its payment's lock without waiting, and again after each pause: too often for every order. Here it is
stopped once, and the other command comes to its end, or to the lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal
from uuid import uuid4

import psycopg

from payments_verify.binding import BoundClient, own_client
from payments_verify.patience import comes_true, patient
from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.races.judge import violation_in
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.scenarios.catalogue import (
    AMOUNT,
    AUTHORIZE,
    CREATE,
    READ,
    VOID,
    WINDOW,
    Command,
    capture,
)
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.behind_gate import gated_application
from pgweave.clock import DatabaseClock
from pgweave.gate import Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll
from pgweave.scheduler import ScheduledOperation

_CONNECTIONS = 2
"""Half of them may wait for locks."""
_WAYS: Mapping[Literal["session", "transaction"], str] = {
    "transaction": "",
    "session": ", where as many wait for locks as may",
}
"""Each mode of a pooler, and whether others wait for another payment then."""
_LIMIT_S = 20.0
_AUTHORIZED = (CREATE, AUTHORIZE)
_CAPTURE, _WRONG, _ANOTHER = capture("k1"), capture("k1", AMOUNT + 1), capture("k2")
_BEGINS, _WINDOW_ENDS = (Command("clock", {"now": BEGIN + passed}) for passed in (0, WINDOW))
_PAIRS: Sequence[tuple[Sequence[Command], Command, Sequence[Command]]] = (
    ((), CREATE, [CREATE]),
    ((CREATE,), AUTHORIZE, [AUTHORIZE]),
    *((_AUTHORIZED, _CAPTURE, [each]) for each in (_CAPTURE, _WRONG, _ANOTHER, VOID)),
    (_AUTHORIZED, _CAPTURE, [_WINDOW_ENDS, _ANOTHER]),
    (_AUTHORIZED, _WRONG, [_ANOTHER]),
    (_AUTHORIZED, VOID, [_CAPTURE]),
)
"""What comes before, the command that is stopped, and what is done meanwhile."""
_LOOKS = (READ, Command("attempts", {}))


async def wrong_preemptions(dsn: str) -> str | None:
    """Which command that is stopped, and another, get answers of no order of them; ``None`` if none do.

    Args:
        dsn: a prepared database that nobody else uses, whose clock then stands still.
    """
    for mode, where in _WAYS.items():
        async with (
            gated_application(dsn, _CONNECTIONS, pooler_mode=mode) as (gate, app),
            gated_application(dsn, _CONNECTIONS) as (_, other),
            DatabaseClock.connect(dsn) as clock,
        ):
            with psycopg.connect(dsn, autocommit=True) as looking:
                stopping = _Stopping(gate, own_client(app.http), own_client(other.http), clock, looking)
                async with stopping.crowded(dsn) if where else nullcontext():
                    wrong = await stopping.wrong()
        if wrong is not None:
            return f"{wrong[0]}{where} (PAYMENTS_POOLER_MODE={mode})\n{wrong[1]}"
    return None


@dataclass
class _StopsOne(PassAll):
    """Holds one statement.

    Attributes:
        before: how many pass before it.
        stopped: it, once it has come.
    """

    before: int
    stopped: asyncio.Future[HeldStatement] = field(default_factory=asyncio.Future)

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        if self.before == 0:
            self.stopped.set_result(statement)
        else:
            statement.release()
        self.before -= 1


@dataclass
class _Stopping:
    """Two processes, and who stops the first.

    Attributes:
        gate: before the first.
        client: of the first.
        other: of the other.
        clock: the database's, which stands still.
        looking: looks at sessions.
    """

    gate: Gate
    client: BoundClient
    other: BoundClient
    clock: DatabaseClock
    looking: psycopg.Connection

    @asynccontextmanager
    async def crowded(self, dsn: str) -> AsyncIterator[None]:
        """As many of the process whose statements are stopped wait for a lock as may, within the block."""
        payment = await asked.authorized(self.other.http, uuid4())
        with psycopg.connect(dsn) as outside:
            asked.hold(outside, [payment])
            waits = asked.send(self.client.http, asked.capture(payment, "k"))
            await comes_true(lambda: asked.waiting(self.looking) == _CONNECTIONS // 2, _LIMIT_S)
            try:
                yield
            finally:
                outside.rollback()
                await asyncio.wait([waits], timeout=patient(_LIMIT_S))

    async def wrong(self) -> tuple[str, str] | None:
        """What was done when the first answers came that have no order, and what is wrong with them."""
        for before, command, meanwhile in _PAIRS:
            for place in count(1):
                raced = await self._raced(before, command, meanwhile, place)
                if raced is None:
                    break
                violation = violation_in(raced, range(len(raced.operations)))
                if violation is not None:
                    others = " and ".join(each.name for each in meanwhile)
                    told = f"{others} while {command.name} is stopped after {place} of its statements"
                    return f"{violation.invariant}: {told}", violation.explanation
        return None

    async def _raced(
        self, before: Sequence[Command], command: Command, meanwhile: Sequence[Command], place: int
    ) -> RaceResult | None:
        """What came of one stop; ``None`` if the command has not so many statements."""
        payment = str(uuid4())
        start = [await self._exchange(each, payment) for each in (_BEGINS, *before)]
        waiting = asked.waiting(self.looking)
        self.gate.observer = one = _StopsOne(place)
        sent = [asyncio.ensure_future(send(self.client, _invocation(command, payment)))]
        first: list[asyncio.Future[Any]] = [one.stopped, *sent]
        await asyncio.wait(first, timeout=patient(_LIMIT_S), return_when=asyncio.FIRST_COMPLETED)
        self.gate.observer = PassAll()
        if sent[0].done() and not one.stopped.done():
            return None
        for other in meanwhile:
            sent.append(asyncio.ensure_future(self._sent(other, payment)))
            await comes_true(lambda: sent[-1].done() or asked.waiting(self.looking) > waiting, _LIMIT_S)
        if one.stopped.done():
            one.stopped.result().release()
        await asyncio.wait(sent, timeout=patient(_LIMIT_S))
        answers = [each.result() if each.done() else None for each in sent]
        for each in sent:
            each.cancel()
        end = [await self._exchange(each, payment) for each in _LOOKS]
        asked_for = [_invocation(each, payment) for each in (command, *meanwhile)]
        return RaceResult((payment,), tuple(start), _overlapping(asked_for, answers), tuple(end), BEGIN)

    async def _exchange(self, command: Command, payment: str) -> Exchange:
        return Exchange(_invocation(command, payment), await self._sent(command, payment))

    async def _sent(self, command: Command, payment: str) -> Observation:
        if command.f != "clock":
            return await send(self.other, _invocation(command, payment))
        await self.clock.set(command.arguments["now"])
        return Observation("ok", command.arguments)


def _overlapping(
    asked_for: Sequence[Invocation], answers: Sequence[Observation | None]
) -> tuple[ScheduledOperation, ...]:
    """One after the other, but for the first, which is answered last."""
    last = len(asked_for) - 1
    return tuple(
        ScheduledOperation(number, *each, first=number, last=last, answered=number or last)
        for number, each in enumerate(zip(asked_for, answers, strict=True))
    )


def _invocation(command: Command, payment: str) -> Invocation:
    named = {} if command.f == "clock" else {"payment": payment}
    return Invocation(command.f, {**named, **command.arguments})
