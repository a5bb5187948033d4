"""One round of stress: clients at once, a clock that moves, a sweeper and a session that holds a lock.

A round's operations are recorded as they come; who judges them is not asked here.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import UUID

from payments_verify.payments.observed.http_steps import HttpRun, HttpStep, step_of
from payments_verify.payments.observed.in_flight import asked_again
from payments_verify.payments.observed.observations import (
    Invocation,
    Observation,
    Sender,
    UnreadableAnswerError,
)
from payments_verify.payments.service.under_test import (
    EndedError,
    ServiceUnderTest,
    SweepError,
    UnansweredError,
)
from payments_verify.payments.stress.inputs import RoundInputs, drawn_command
from payments_verify.payments.told.drawings import Drawing
from payments_verify.state_edges import Edge
from pgweave.history.recorder import Recorder

_SECOND = 1_000_000
_HELD_S = 0.03


@dataclass(frozen=True)
class Load:
    """The shape of a round.

    Attributes:
        clients: how many send at once.
        payments: how many payments they share.
        commands: how many commands each sends.
        repeat: the share of captures that are sent once more with the same key.
        looks: the share of commands before and after which their client looks through another process.
    """

    clients: int = 10
    payments: int = 2
    commands: int = 6
    repeat: float = 0.3
    looks: float = 0.05


LIGHT = Load(clients=2, payments=1, commands=6, looks=0.8)
"""So few that they do not wait for each other: what a process keeps for 50 ms is asked for within them."""


@dataclass
class StressReport:
    """What a stress run did and found.

    Attributes:
        rounds: rounds played.
        operations: operations recorded.
        outcomes: how often each command had each outcome.
        violation: the first violation, explained; ``None`` if there was none.
        damage: what an audit found in the end, if it was that; no round shows it.
        undecided: why a history could not be decided within its limits, or why there are no more; ``None``
            if all were.
        ended: whether the service has ended.
        histories: the files.
        exercised: the model's transitions in the histories' linearizations.
        inputs: how often those came to each class of inputs.
        drawings: the attempt to linearize a history that is not linearizable, for a page.
        http: what of the last round shows the violation, as HTTP.
        wrong: operations of the part of a history that is not linearizable; of the whole, if it is only that
            one got no answer.
        seconds: how long it took.
    """

    rounds: int = 0
    operations: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violation: str | None = None
    damage: str | None = None
    undecided: str | None = None
    ended: bool = False
    histories: list[Path] = field(default_factory=list)
    exercised: Counter[Edge] = field(default_factory=Counter)
    inputs: Counter[str] = field(default_factory=Counter)
    drawings: list[Drawing] = field(default_factory=list)
    http: HttpRun = field(default_factory=HttpRun)
    wrong: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Sent:
    """A command of a plan, and how many processes further than its client's own it is sent."""

    invocation: Invocation
    elsewhere: int = 0


class Round:
    """A round against a system, whose history a recorder gets.

    Attributes:
        steps: what each process sent, in its order.
    """

    def __init__(
        self,
        system: ServiceUnderTest,
        recorder: Recorder,
        rng: random.Random,
        inputs: RoundInputs,
        report: StressReport,
    ) -> None:
        self._system = system
        self._traits = system.traits
        self._recorder = recorder
        self._rng = rng
        self._report = report
        self._processes = count()
        self._inputs = inputs
        self._now = self._eve = inputs.start
        self._over = False
        self.steps: defaultdict[int, list[HttpStep]] = defaultdict(list)
        self._answers: list[tuple[Invocation, Observation]] = []

    async def play(self, load: Load) -> None:
        """Play the round to its end, the last look at every payment included."""
        payments = [str(UUID(int=self._rng.getrandbits(128), version=4)) for _ in range(load.payments)]
        if self._traits.expires_within_s is not None:
            # At any time, as far as the history knows.
            self._recorder.invoke(next(self._processes), "sweep", {})
        await self._set_clock(self._now)
        for payment in payments:
            await self._begin(payment)
        held = self._rng.choice(payments) if self._rng.random() < 0.4 else None
        if held is not None or self._rng.random() < 0.4:
            self._now = max(self._now, self._eve)
            await self._set_clock(self._now)
        plans = [list(self._plan(payments, load)) for _ in range(load.clients)]
        async with _ended_with_the_block() as background:
            if self._traits.moves_clock:
                background.append(asyncio.create_task(self._move_clock()))
            if held is not None and self._system.open_row_holder is not None:
                background.append(await self._hold(held))
            # A sweep that is a process of its own takes as long as many rounds.
            chance = 0.5 if self._traits.sweeps else 0.1
            if self._rng.random() < chance and self._system.sweep_batch is not None:
                background.append(asyncio.create_task(self._sweep()))
            racing = [asyncio.create_task(self._client(i, plan)) for i, plan in enumerate(plans)]
            background.extend(racing)
            await asyncio.gather(*racing)
            self._over = True
            await asyncio.gather(*background)
        await self._client(0, [_Sent(each) for each in asked_again(self._answers)])
        await self._client(
            0, [_Sent(Invocation(f, {"payment": p})) for p in payments for f in self._traits.looks]
        )

    async def _begin(self, payment: str) -> None:
        """Most payments are created and authorized before the race; the others race from the start."""
        # When it was authorized while the clock moved is not known of a service that does not say.
        traits = self._traits
        opens = self._rng.random() < 0.8 or not traits.dates_authorizations or traits.creates_authorized
        window = traits.window(self._rng.choice([1, 2, 30]) * _SECOND) if opens else 0
        steps = [_Sent(Invocation(*each)) for each in traits.opening(payment, self._inputs.amount, window)]
        # A race that begins in the last instants of the window is where time and locks meet.
        self._eve = max(self._eve, self._now + window - 1) if opens else self._eve
        await self._client(0, steps if opens else steps[:1])

    def _plan(self, payments: Sequence[str], load: Load) -> Iterator[_Sent]:
        for _ in range(load.commands):
            payment = self._rng.choice(payments)
            command = _Sent(drawn_command(self._rng, payment, self._inputs, self._traits))
            looks = [_Sent(Invocation(f, {"payment": payment}), elsewhere=1) for f in self._traits.looks]
            looks = looks if len(self._system.clients) > 1 and self._rng.random() < load.looks else []
            yield from (*looks, command, *looks)
            if command.invocation.f == "capture" and self._rng.random() < load.repeat:
                yield command

    async def _client(self, number: int, plan: Sequence[_Sent]) -> None:
        process = next(self._processes)
        clients = self._system.clients
        for sent in plan:
            invocation, client = sent.invocation, clients[(number + sent.elsewhere) % len(clients)]
            self._recorder.invoke(process, invocation.f, dict(invocation.value))
            observed = await self._observe(client, invocation)
            self.steps[process].append(step_of(f"process {process}", invocation, observed))
            self._answers.append((invocation, observed))
            self._recorder.respond(process, observed.kind, dict(observed.value))
            outcome = observed.value.get("outcome", "no answer")
            self._report.outcomes[f"{invocation.f} -> {outcome}"] += 1
            if observed.kind == "unknown":
                process = next(self._processes)

    async def _observe(self, client: Sender, invocation: Invocation) -> Observation:
        """Send it. Nothing is broken on purpose here, so that no answer or a 5xx is a violation (I9)."""
        try:
            observed = await client.send(invocation)
        except UnreadableAnswerError as error:
            observed = Observation("unknown", {"error": str(error)}, error.exchanges)
        asked = f"{invocation.f} {dict(invocation.value)}"
        try:
            await self._system.require_answered(asked, observed)
        except UnansweredError as unanswered:
            end = unanswered.end if isinstance(unanswered, EndedError) else None
            self._report.ended |= end is not None
            if end is None or end.is_its_own:
                self._unanswered(f"{unanswered}")
            else:
                self._report.undecided = f"{unanswered}"
        return observed

    def _unanswered(self, problem: str) -> None:
        """Note a violation of I9; of several the first is told."""
        if self._report.violation is None:
            self._report.violation = f"I9: {problem}"

    async def _set_clock(self, now: int) -> None:
        if not self._traits.moves_clock:
            return
        now = self._traits.instant(now)
        process = next(self._processes)
        self._recorder.invoke(process, "clock", {"now": now})
        await self._system.set_clock(now)
        self._recorder.respond(process, "ok", {"now": now})

    async def _move_clock(self) -> None:
        while not self._over:
            await asyncio.sleep(self._rng.uniform(0, 0.01))
            self._now += self._rng.choice([1, _SECOND // 2, _SECOND - 1, _SECOND])
            await self._set_clock(self._now)

    async def _hold(self, payment: str) -> asyncio.Task[None]:
        """Take the payment's lock now, and give it back when the clients have come to wait for it."""
        process = next(self._processes)
        self._recorder.invoke(process, "lock", {"payment": payment})
        lock = self._system.row_held(payment)
        await lock.__aenter__()
        self._recorder.respond(process, "ok", {})

        async def release() -> None:
            await asyncio.sleep(_HELD_S)
            self._recorder.invoke(process, "unlock", {"payment": payment})
            await lock.__aexit__(None, None, None)
            self._recorder.respond(process, "ok", {})

        return asyncio.create_task(release())

    async def _sweep(self) -> None:
        while not (self._over or self._report.ended):
            await asyncio.sleep(self._rng.uniform(0, 0.03))
            process = next(self._processes)
            self._recorder.invoke(process, "sweep", {})
            try:
                await self._system.sweep()
            except SweepError as error:
                self._recorder.respond(process, "unknown", {"error": f"{error}"})
                if await self._system.end() is None:
                    raise
                return  # the last look at the payments tells of it
            except Exception as error:  # noqa: BLE001 - whatever a sweep raises is its answer, as a request's is
                problem = f"{type(error).__name__}: {error}"
                self._recorder.respond(process, "unknown", {"error": problem})
                self._unanswered(f"a sweep failed: {problem}")
            else:
                self._recorder.respond(process, "ok", {})


@asynccontextmanager
async def _ended_with_the_block() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks of the round, which whatever ends it early ends too: its history is closed then."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
