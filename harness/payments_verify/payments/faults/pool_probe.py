"""Whether a service can still use every connection that it could use before something went wrong.

At the gate it can be counted: as many requests at once are let come to a statement, and stop there. A
connection that was lost, or that a request has left inside its transaction, is one fewer, each time.

Reads are counted, and captures where they come to other connections. What is captured changes nothing:
each is of a payment of its own, and asked for under one key again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, cycle
from operator import not_
from typing import Any
from uuid import uuid4

from payments_verify.patience import ask_until, comes_true, patient
from payments_verify.payments.observed.observations import Observation
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
    def sessions(self) -> set[Session]:
        """The connections that have a statement that is held."""
        return {each.session for each in self.held_now}

    @property
    def connections(self) -> int:
        """How many they are."""
        return len(self.sessions)

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


@dataclass(frozen=True)
class _Group:
    """Requests that come to the same connections.

    Attributes:
        name: what each is, for people.
        ask: sends one of them.
        connections: how many connections so many at once can use.
    """

    name: str
    ask: Callable[[], Coroutine[Any, Any, Observation]]
    connections: int = 0


class PoolProbe:
    """Counts the connections that a service behind its gate can use at once.

    Args:
        service: the service; nothing else may be asked of it meanwhile.

    Attributes:
        limit_s: how long it may take until all can be used again, in seconds.
        gate: the gate.
        groups: the requests that were seen to come to connections, each to others, once that is measured.
    """

    def __init__(self, service: ServiceUnderTest, limit_s: float = WHOLE_LIMIT_S) -> None:
        assert service.database is not None
        self.limit_s = limit_s
        self._service = service
        self.gate = service.database.gate
        self._payments: list[str] = []
        self._by_turns, self._next = cycle(service.clients), count()
        self.groups: list[_Group] = []

    async def measure(self) -> None:
        """Find out how many there are, once: as many as requests at once come to, and no more than 32."""
        if self.groups or not self._service.traits.looks:
            return
        await self._prepare()
        known: set[Session] = set()
        for group in (_Group("read", self._look), _Group("capture", self._capture)):
            used = await self._used_by(group)
            if not used <= known:
                self.groups.append(replace(group, connections=len(used)))
            known |= used

    async def _used_by(self, group: _Group) -> set[Session]:
        """The connections that as many requests as may come at once come to."""
        used: set[Session] = set()
        for _ in range(_TRIES):  # on a busy machine it may be long until the first comes
            before = len(used)
            _, used = await self._most(group, _MOST, lambda _count: False, _SETTLED_S)
            if 0 < len(used) <= before:
                break
        return used

    @asynccontextmanager
    async def all_in_use(self) -> AsyncIterator[None]:
        """Have every connection in use for as long as the block runs."""
        wanted = sum(each.connections for each in self.groups)
        async with stops(self.gate) as stopped:
            requests = self._one_for_each_connection()
            await comes_true(lambda: stopped.connections >= wanted, self.limit_s)
            yield
        await asyncio.gather(*requests)

    def _one_for_each_connection(self) -> list[asyncio.Future[Observation]]:
        return [asyncio.ensure_future(group.ask()) for group in self.groups for _ in range(group.connections)]

    async def lose_idle(self) -> str | None:
        """End every connection that nobody uses; what is wrong afterwards, if anything is.

        First the connection is cut, and then the server ends its session, as when it is shut down.
        """
        for how, end in (("were cut", self._cut), ("were ended by the server", self._terminate)):
            for group in self.groups:  # so that all are there
                await self._use_all(group)
            for session in list(self.gate.sessions):
                if session.idle:
                    await end(session)
            await asyncio.sleep(_SEEN_S)
            # Nothing was under way: nobody need hear of it.
            answers = await asyncio.gather(*self._one_for_each_connection())
            wrong = _unanswered("request", answers) or await self.problem()
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
        for group in self.groups:
            # Of several processes the first to wake may take more than it can work at.
            apart = partial(self._use_all, group, _APART_S)
            wrong = await self._use_all(group) and await ask_until(apart, not_, self.limit_s)
            if wrong:
                return wrong
        return None

    async def _use_all(self, group: _Group, apart_s: float = 0) -> str | None:
        """Use every connection at once; what keeps that from being done, if anything does."""
        wanted, requests = group.connections, _MOST if apart_s else group.connections
        answers, used = await self._most(
            group, requests, lambda count: count >= wanted, self.limit_s / _TRIES, apart_s=apart_s
        )
        if len(used) < wanted:
            return f"I9: of {wanted} connections only {len(used)} can be used at once: the rest is lost"
        return _unanswered(group.name, answers)

    def _in_transactions(self) -> list[Session]:
        """Those that may hold locks: one that has failed holds none, and a pool may end it later."""
        sessions = (each for each in self.gate.sessions if not each.closed)
        return [each for each in sessions if each.block.is_open and not each.block.has_failed]

    async def _most(
        self,
        group: _Group,
        requests: int,
        enough: Callable[[int], bool],
        limit_s: float,
        *,
        apart_s: float = 0,
    ) -> tuple[list[Observation], set[Session]]:
        """Let so many requests come to a statement; their answers, and the connections they had at once.

        Args:
            group: what is asked.
            requests: how many come.
            enough: whether so many connections are.
            limit_s: how long none more has to be in use, in seconds.
            apart_s: how long each waits for the one before it to come to a statement, in seconds.
        """
        async with stops(self.gate) as stopped:

            def are_more_than(before: int) -> bool:
                return stopped.connections > before

            asked: list[asyncio.Future[Observation]] = []
            while len(asked) < requests and not enough(stopped.connections):
                one_more = partial(are_more_than, stopped.connections)
                asked.append(asyncio.ensure_future(group.ask()))
                if apart_s:
                    await comes_true(one_more, apart_s)
            most, since, longest_s = set[Session](), asyncio.get_running_loop().time(), patient(limit_s)
            while (
                not enough(len(most))
                and not all(each.done() for each in asked)
                and asyncio.get_running_loop().time() < since + longest_s
            ):
                if stopped.connections > len(most):
                    most, since = stopped.sessions, asyncio.get_running_loop().time()
                await asyncio.sleep(_LOOK_S)
        return await asyncio.gather(*asked), most

    async def _prepare(self) -> None:
        """Make the payments that are asked for, and leave an answer under the key of each."""
        while len(self._payments) < _MOST:
            payment, amount = str(uuid4()), self._service.traits.min_amount
            await send(self._service.client, self._service.invocation("create", payment, {"amount": amount}))
            self._payments.append(payment)
            await self._capture()

    async def _look(self) -> Observation:
        look = self._service.traits.looks[0]
        return await send(next(self._by_turns), self._service.invocation(look, self._payments[0], {}))

    async def _capture(self) -> Observation:
        payment = self._payments[next(self._next) % len(self._payments)]
        asked = {"key": "k1", "amount": self._service.traits.min_amount}
        return await send(next(self._by_turns), self._service.invocation("capture", payment, asked))


def _unanswered(asked: str, answers: Sequence[Observation]) -> str | None:
    """The first of so many requests at once that was not answered, if one was not."""
    unanswered = next((each for each in answers if each.kind == "unknown"), None)
    if unanswered is None:
        return None
    return f"I9: a {asked} among {len(answers)} at once got no {NO_ANSWER}: {dict(unanswered.value)}"
