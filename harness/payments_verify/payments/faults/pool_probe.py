"""Whether a service can still use every connection that it could use before something went wrong.

At the gate it can be counted: as many requests at once are let come to a statement, and stop there. A
connection that was lost, or that a request has left inside its transaction, is one fewer, each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from operator import not_
from uuid import uuid4

from payments_verify.patience import ask_until, comes_true, patient
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.service.under_test import NO_ANSWER, ServiceUnderTest
from pgweave.gate import Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

WHOLE_LIMIT_S = 10.0
"""How long after something went wrong a service may have fewer connections than before."""
_TRIES = 5
_MOST = 32
_SETTLED_S = 0.3
_LOOK_S = 0.005
_APART_S = 0.1
_SEEN_S = 0.02
"""How long the end of a connection is on its way, in seconds."""


class Stops(PassAll):
    """Holds every statement until it is let go.

    Attributes:
        held_now: what is held.
    """

    def __init__(self) -> None:
        self.held_now: list[HeldStatement] = []

    def decide_to_hold(self, _session: Session) -> bool:
        """Always."""
        return True

    def held(self, statement: HeldStatement) -> None:
        """Keep it."""
        self.held_now.append(statement)

    def ended(self, session: Session) -> None:
        """Forget what it had sent."""
        self.held_now = [each for each in self.held_now if each.session is not session]

    @property
    def connections(self) -> int:
        """How many connections have a statement that is held."""
        return len({each.session for each in self.held_now})

    def let_go(self) -> None:
        """Let everything go that is held now."""
        held, self.held_now = self.held_now, []
        for each in held:
            if not each.session.closed:
                each.release()


@asynccontextmanager
async def stops(gate: Gate) -> AsyncIterator[Stops]:
    """Hold every statement that comes within the block; at its end all go on."""
    before, gate.observer = gate.observer, (stopping := Stops())
    try:
        yield stopping
    finally:
        gate.observer = before
        stopping.let_go()


class PoolProbe:
    """Counts the connections that a service behind its gate can use at once.

    Args:
        service: the service; nothing else may be asked of it meanwhile.

    Attributes:
        limit_s: how long it may take until all can be used again, in seconds.
        gate: the gate.
        connections: how many there are, once that is measured.
    """

    def __init__(self, service: ServiceUnderTest, limit_s: float = WHOLE_LIMIT_S) -> None:
        assert service.database is not None
        self.limit_s = limit_s
        self._service = service
        self.gate = service.database.gate
        self._payment: str | None = None
        self._by_turns = cycle(service.clients)
        self.connections = 0

    async def measure(self) -> None:
        """Find out how many there are, once: as many as requests at once come to, and no more than 32."""
        if self.connections or not self._service.traits.looks:
            return
        await self._look()
        before = 0
        for _ in range(_TRIES):  # on a busy machine it may be long until the first comes
            _, self.connections = await self._most(_MOST, lambda _count: False, _SETTLED_S)
            if 0 < self.connections <= before:
                break
            before = self.connections

    @asynccontextmanager
    async def all_in_use(self) -> AsyncIterator[None]:
        """Have every connection in use for as long as the block runs."""
        async with stops(self.gate) as stopped:
            reads = [asyncio.ensure_future(self._look()) for _ in range(self.connections)]
            await comes_true(lambda: stopped.connections >= self.connections, self.limit_s)
            yield
        await asyncio.gather(*reads)

    async def lose_idle(self) -> str | None:
        """End every connection that nobody uses; what is wrong afterwards, if anything is.

        First the connection is cut, and then the server ends its session, as when it is shut down.
        """
        for how, end in (("were cut", self._cut), ("were ended by the server", self._terminate)):
            await self._use_all()  # so that all are there
            for session in list(self.gate.sessions):
                if session.idle:
                    await end(session)
            await asyncio.sleep(_SEEN_S)
            # Nothing was under way: nobody need hear of it.
            answers = await asyncio.gather(*(self._look() for _ in range(self.connections)))
            wrong = _unanswered(answers) or await self.problem()
            if wrong is not None:
                return f"{wrong}, after all connections {how} while nobody used them"
        return None

    async def _cut(self, session: Session) -> None:
        session.cut()

    async def _terminate(self, session: Session) -> None:
        assert self._service.database is not None
        await self._service.database.monitor.terminate(session.pid)

    async def problem(self) -> str | None:
        """What is wrong with the connections, once nothing is under way; ``None`` if nothing is."""
        if not await comes_true(lambda: not self._in_transactions(), self.limit_s):
            left = self._in_transactions()
            return (
                f"I9: {left[0]} is left inside a transaction, though nothing is under way, for"
                f" {self.limit_s:g} s"
            )
        # Of several processes the first to wake may take more than it can work at.
        apart = partial(self._use_all, _APART_S)
        return await self._use_all() and await ask_until(apart, not_, self.limit_s)

    async def _use_all(self, apart_s: float = 0) -> str | None:
        """Use every connection at once; what keeps that from being done, if anything does."""
        wanted, requests = self.connections, _MOST if apart_s else self.connections
        answers, most = await self._most(
            requests, lambda count: count >= wanted, self.limit_s / _TRIES, apart_s=apart_s
        )
        if most < wanted:
            return f"I9: of {wanted} connections only {most} can be used at once: the rest is lost"
        return _unanswered(answers)

    def _in_transactions(self) -> list[Session]:
        """Those that may hold locks: one that has failed holds none, and a pool may end it later."""
        sessions = (each for each in self.gate.sessions if not each.closed)
        return [each for each in sessions if each.block.is_open and not each.block.has_failed]

    async def _most(
        self, requests: int, enough: Callable[[int], bool], limit_s: float, *, apart_s: float = 0
    ) -> tuple[list[Observation], int]:
        """Let so many reads come to a statement; their answers, and how many connections they had at once.

        Args:
            requests: how many come.
            enough: whether so many connections are.
            limit_s: how long none more has to be in use, in seconds.
            apart_s: how long each read waits for the one before it to come to a statement, in seconds.
        """
        async with stops(self.gate) as stopped:

            def are_more_than(before: int) -> bool:
                return stopped.connections > before

            reads: list[asyncio.Future[Observation]] = []
            while len(reads) < requests and not enough(stopped.connections):
                one_more = partial(are_more_than, stopped.connections)
                reads.append(asyncio.ensure_future(self._look()))
                if apart_s:
                    await comes_true(one_more, apart_s)
            most, since, longest_s = 0, asyncio.get_running_loop().time(), patient(limit_s)
            while not enough(most) and asyncio.get_running_loop().time() < since + longest_s:
                if stopped.connections > most:
                    most, since = stopped.connections, asyncio.get_running_loop().time()
                await asyncio.sleep(_LOOK_S)
        return await asyncio.gather(*reads), most

    async def _look(self) -> Observation:
        if self._payment is None:
            self._payment = str(uuid4())
            await send(self._service.client, Invocation("create", {"payment": self._payment, "amount": 1}))
        look = Invocation(self._service.traits.looks[0], {"payment": self._payment})
        return await send(next(self._by_turns), look)


def _unanswered(answers: Sequence[Observation]) -> str | None:
    """The first of so many reads at once that was not answered, if one was not."""
    unanswered = next((each for each in answers if each.kind == "unknown"), None)
    if unanswered is None:
        return None
    return f"I9: a read among {len(answers)} at once got no {NO_ANSWER}: {dict(unanswered.value)}"
