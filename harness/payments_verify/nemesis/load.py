"""The load under a nemesis: clients that make payments and capture them, whatever happens to the service.

A client that gets no definite answer sends the same command again, a capture with the same key, to whichever
process of the service answers, until it has a definite answer. What it heard, and what it did not hear, is
recorded; an operation without an answer stays open in the history.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast
from uuid import UUID

import httpx

from payments_verify.binding import BoundClient, Http, Response, own_client
from payments_verify.patience import patient
from payments_verify.payments.observed.observations import Invocation, Observation, UnreadableAnswerError
from payments_verify.payments.specification.broken_invariants import UNREADABLE
from payments_verify.surface import Carrier, FirstAnswers, Witness
from pgweave.history.recorder import Recorder

PATIENCE_S = 90.0
"""How long a client sends a command again before its key counts as stuck."""

_SECOND = 1_000_000
_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 0.5
_AVOIDED_S = 0.3
_MOST_FINDINGS = 20


@dataclass
class Habits:
    """What clients do beside waiting for their answers. A fault may change it while they run.

    Attributes:
        clients: payments that are under way at a time.
        disconnect: the share of requests whose client closes the connection without having waited.
        early: the share of captures that are sent a second time before the first was answered.
        answered: whether nothing is broken any more, so that every request has to be answered in time.
        stay: whether for now they all wait for their answers, whatever ``disconnect`` says.
    """

    clients: int = 12
    disconnect: float = 0.01
    early: float = 0.05
    stay: bool = False
    answered: bool = False


@dataclass
class Tally:
    """What the clients of one window did.

    Attributes:
        operations: requests that were sent.
        unknown: those without a definite answer.
        acknowledged: payments of which a client was told that they are captured.
        disconnects: requests whose client did not wait.
        early: captures that were sent again before the first was answered.
        findings: what may not happen, whatever goes wrong; the first few of it.
    """

    operations: int = 0
    unknown: int = 0
    acknowledged: set[str] = field(default_factory=set)
    disconnects: int = 0
    early: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether so much is wrong already that no more is noted, nor waited for."""
        return len(self.findings) >= _MOST_FINDINGS

    def find(self, what: str) -> None:
        """Note something that may not happen."""
        if not self.is_full:
            self.findings.append(what)


class Watched:
    """Sends requests, and notes answers that may not be given even while the database is down."""

    def __init__(self, http: Http, tally: Tally, habits: Habits) -> None:
        self._http = http
        self._tally = tally
        self._habits = habits

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Response:
        """Send a request; a 5xx has to be a 503 that says when to come again.

        Where nothing is broken any more, every request is answered in time.
        """
        is_answered = self._habits.answered
        try:
            response = await self._http.request(method, path, headers=headers, json=json)
        except httpx.ReadTimeout as late:
            if is_answered:
                self._tally.find(f"I9: {method} {path}, sent after the repair: {late}")
            raise
        if response.status_code >= 500 and not (
            response.status_code == 503 and "retry-after" in response.headers
        ):
            self._tally.find(f"I9: {method} {path} was answered with {response.status_code}: {response.text}")
        return response


class Balancer:
    """Chooses a process of the service, and for a while avoids one that gave no definite answer."""

    def __init__(self, clients: Sequence[BoundClient], rng: random.Random) -> None:
        self._clients = clients
        self._rng = rng
        self._avoided_until = [0.0] * len(clients)

    def choose(self) -> int:
        """The number of a process, one that answers if there is one."""
        now = asyncio.get_running_loop().time()
        good = [number for number, until in enumerate(self._avoided_until) if until <= now]
        return self._rng.choice(good or range(len(self._clients)))

    def failed(self, number: int) -> None:
        """This one gave no definite answer."""
        self._avoided_until[number] = asyncio.get_running_loop().time() + _AVOIDED_S

    async def send(self, number: int, invocation: Invocation) -> Observation:
        """Send a command to this process once."""
        return await self._clients[number].send(invocation)


class Load:
    """Clients that work until they are told to finish.

    Attributes:
        tally: what they did.
        payments: the payments that they made.
    """

    def __init__(
        self,
        pools: Sequence[Http],
        recorder: Recorder,
        habits: Habits,
        rng: random.Random,
        tally: Tally | None = None,
    ) -> None:
        self.tally = tally or Tally()
        self.payments: list[str] = []
        self._habits = habits
        self._recorder = recorder
        self._rng = rng
        first: FirstAnswers = {}
        # It carries commands alone, which every pool takes.
        witnesses = [Witness(cast("Carrier", http), first) for http in pools]
        clients = [own_client(Watched(witness, self.tally, habits)) for witness in witnesses]
        self._balancer = Balancer(clients, rng)
        self._processes = count()
        self._finishing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let the clients begin, and the service sweep: at any time, as far as the history knows."""
        self._recorder.invoke(next(self._processes), "sweep", {})
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._habits.clients)]

    def expect_answers(self) -> None:
        """From now on a request that is not answered in time is wrong: nothing is broken any more."""
        self._habits.answered = True

    async def finish(self) -> None:
        """Begin no new payment, and wait until every client has its answers."""
        self._finishing = True
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        """End the clients where they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def observe(self, f: str, value: Mapping[str, Any]) -> int:
        """Record the invocation of an operation that is not a client's; its process."""
        process = next(self._processes)
        self._recorder.invoke(process, f, dict(value))
        return process

    def observed(self, process: int, observation: Observation) -> None:
        """Record the response to such an operation."""
        self._recorder.respond(process, observation.kind, dict(observation.value))

    async def _work(self) -> None:
        while not self._finishing and not self.tally.is_full:
            await self._payment()

    async def _payment(self) -> None:
        rng = self._rng
        payment = str(UUID(int=rng.getrandbits(128), version=4))
        amount = rng.choice([500, 501])
        self.payments.append(payment)
        await self.send_command(Invocation("create", {"payment": payment, "amount": amount}))
        window = rng.choices([1, 600], weights=[1, 12])[0] * _SECOND
        await self.send_command(Invocation("authorize", {"payment": payment, "window": window}))
        racers = rng.choices([1, 2, 3], weights=[6, 3, 1])[0]
        await asyncio.gather(*(self._race(payment, amount) for _ in range(racers)))

    async def _race(self, payment: str, amount: int) -> None:
        for invocation in self._plan(payment, amount):
            if invocation.f == "capture" and self._rng.random() < self._habits.early:
                self.tally.early += 1
                await asyncio.gather(self.send_command(invocation), self._again_early(invocation))
            else:
                await self.send_command(invocation)

    def _plan(self, payment: str, amount: int) -> list[Invocation]:
        rng = self._rng
        plan = []
        if rng.random() < 0.05:
            plan.append(Invocation("read", {"payment": payment}))
        if rng.random() < 0.03:
            reason = rng.choice(["declined", "voided"])
            plan.append(Invocation("fail", {"payment": payment, "reason": reason}))
        asked = amount if rng.random() < 0.95 else amount + 1
        capture = Invocation(
            "capture", {"payment": payment, "key": rng.choice(["k1", "k1", "k2", "k3"]), "amount": asked}
        )
        plan.append(capture)
        if rng.random() < 0.1:
            plan.append(capture)
        if rng.random() < 0.05:
            plan.append(Invocation("attempts", {"payment": payment}))
        return plan

    async def _again_early(self, invocation: Invocation) -> None:
        await asyncio.sleep(self._rng.uniform(0, 0.005))
        await self.send_command(invocation)

    async def send_command(self, invocation: Invocation) -> None:
        """Send a command until it has a definite answer, or so much is wrong that the service is given up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patient(PATIENCE_S)
        wait = _FIRST_WAIT_S
        while (await self._once(invocation)).kind == "unknown" and not self.tally.is_full:
            if loop.time() > deadline:
                self.tally.find(
                    f"I9: {invocation.f} {dict(invocation.value)} is stuck since {PATIENCE_S:g} s"
                )
                return
            await asyncio.sleep(wait * self._rng.uniform(0.5, 1.0))
            wait = min(2 * wait, _LONGEST_WAIT_S)

    async def _once(self, invocation: Invocation) -> Observation:
        process = self.observe(invocation.f, invocation.value)
        number = self._balancer.choose()
        try:
            observed = await self._send(number, invocation)
        except UnreadableAnswerError as error:
            broken = ", ".join(sorted(UNREADABLE[invocation.f]))
            self.tally.find(f"{broken}: {error}")
            observed = Observation("unknown", {"error": str(error)})
        self.observed(process, observed)
        self.tally.operations += 1
        outcome = observed.value.get("outcome", "no answer")
        self.tally.outcomes[f"{invocation.f} -> {outcome}"] += 1
        if observed.kind == "unknown":
            self.tally.unknown += 1
            if observed.value.get("error") != "disconnected":
                self._balancer.failed(number)
        if invocation.f == "capture" and outcome == "captured":
            self.tally.acknowledged.add(invocation.value["payment"])
        return observed

    async def _send(self, number: int, invocation: Invocation) -> Observation:
        if self._habits.stay or self._rng.random() >= self._habits.disconnect:
            return await self._balancer.send(number, invocation)
        request = asyncio.ensure_future(self._balancer.send(number, invocation))
        try:
            await asyncio.wait({request}, timeout=self._rng.uniform(0, 0.01))
        finally:
            request.cancel()  # the connection closes, and the service sees that nobody waits any more
        await asyncio.wait({request})
        if not request.cancelled():
            return request.result()
        self.tally.disconnects += 1
        return Observation("unknown", {"error": "disconnected"})
