"""Captures that race while something is done to the containers, recorded and judged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from lab.steps import UndecidedError, ViolationError
from payments_verify.binding import default_binding
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.specification.spec import Payments
from payments_verify.systems.started import service_at
from pgweave.history.attempt import attempt_of
from pgweave.history.explain import explain
from pgweave.history.linearizability import check
from pgweave.history.recorder import Recorder

CLIENTS = 6
_AMOUNT = 500
_WINDOW = 3_600_000_000
_BEFORE_S, _AFTER_S = 0.5, 1.0
_ASKS_AGAIN_AFTER_S = 0.5
_ASKS_AT_MOST = 200


@dataclass(frozen=True)
class Hurt:
    """What was seen.

    Attributes:
        operations: requests that were recorded.
        unanswered: those of them without a definite answer.
        captured: payments that were captured, each once.
    """

    operations: int
    unanswered: int
    captured: int

    def __str__(self) -> str:
        """All of it, in a line."""
        return (
            f"{self.captured} payments captured, each once, in {self.operations} requests,"
            f" {self.unanswered} of them unanswered; linearizable"
        )


def hurt_under_load(url: str, hurt: Callable[[], object], path: Path) -> Hurt:
    """Race captures of many payments, hurt what serves them meanwhile, ask until all is known, and judge.

    Clients ask again with their key as long as they have no definite answer. The whole history, the last look
    at every payment included, has to be linearizable, and every payment captured exactly once.

    Args:
        url: the service.
        hurt: done once, while requests are under way; returns when it is done.
        path: the file for the history.

    Raises:
        ViolationError: the history is not what a correct service can show.
        UndecidedError: there is no verdict on it, or it has no request of meanwhile.
    """
    return asyncio.run(_run(url, hurt, path))


async def _run(url: str, hurt: Callable[[], object], path: Path) -> Hurt:
    async with service_at(url, default_binding()) as system:
        client = system.clients[0]
        with Recorder(path, spec=Payments.name) as recorder:
            load = _Load(client, recorder)
            await load.race(hurt)
            operations = recorder.history().operations
        judged = check(Payments(system.traits.max_stored_refusals), operations, budget_seconds=60)
    if judged.verdict == "no verdict":
        raise UndecidedError(f"{path}: no verdict: {judged.reason}")
    if judged.verdict != "holds":
        shown = "" if judged.refuted is None else explain(attempt_of(Payments(), judged.refuted))
        raise ViolationError(f"{path}: {judged.verdict}\n{shown}")
    if load.successes != Counter(load.payments):
        raise ViolationError(f"{path}: not every payment was captured exactly once")
    if not load.meanwhile:
        raise UndecidedError("no request was made meanwhile: this run shows nothing")
    return Hurt(len(operations), load.unanswered, len(load.payments))


class _Load:
    def __init__(self, client: Sender, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._processes = count()
        self._is_over = False
        self.payments: list[str] = []
        self.successes: Counter[str] = Counter()
        self.unanswered = 0
        self.meanwhile = 0
        self._is_hurt = False
        self._under_way = 0

    async def race(self, hurt: Callable[[], object]) -> None:
        """Play it to its end: all is known, and every payment has been looked at."""
        clients = [asyncio.create_task(self._capture_on()) for _ in range(CLIENTS)]
        await asyncio.sleep(_BEFORE_S)
        self._is_hurt = True
        self.meanwhile += self._under_way
        await asyncio.to_thread(hurt)
        self._is_hurt = False
        await asyncio.sleep(_AFTER_S)
        self._is_over = True
        await asyncio.gather(*clients)
        for payment in self.payments:
            for f in ("read", "attempts"):
                await self._until_known(Invocation(f, {"payment": payment}))

    async def _capture_on(self) -> None:
        """One payment after the other, with two captures that race for each."""
        while not self._is_over:
            payment = str(uuid4())
            self.payments.append(payment)
            await self._until_known(Invocation("create", {"payment": payment, "amount": _AMOUNT}))
            await self._until_known(Invocation("authorize", {"payment": payment, "window": _WINDOW}))
            captures = [
                Invocation("capture", {"payment": payment, "key": key, "amount": _AMOUNT}) for key in "ab"
            ]
            answers = await asyncio.gather(*map(self._until_known, captures))
            self.successes[payment] = [answer.value["outcome"] for answer in answers].count("captured")

    async def _until_known(self, invocation: Invocation) -> Observation:
        for _ in range(_ASKS_AT_MOST):
            process = next(self._processes)
            self.meanwhile += self._is_hurt
            self._recorder.invoke(process, invocation.f, dict(invocation.value))
            self._under_way += 1
            observed = await self._client.send(invocation)
            self._under_way -= 1
            self._recorder.respond(process, observed.kind, dict(observed.value))
            if observed.kind != "unknown":
                return observed
            self.unanswered += 1
            await asyncio.sleep(_ASKS_AGAIN_AFTER_S)
        raise ViolationError(f"{invocation.f} {dict(invocation.value)} has no definite answer in the end")
