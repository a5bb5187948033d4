"""Whether a service decides by the clock that the harness moves: commands well inside a window and well past.

Not every clock can be moved: `CURRENT_TIMESTAMP` is grammar and no function, a function may have a search
path of its own, and many a service asks its host. No command here is near the end of a window, so that a
wrong service that does follow the clock is not taken for one that does not.

Nor is the clock moved for a service that expires payments by itself: nobody could know what it has done by an
instant.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from payments_verify.payments.inputs.classes import EPOCH
from payments_verify.payments.observed.observations import Invocation, UnreadableAnswerError, outcomes_in
from payments_verify.payments.service.under_test import ServiceUnderTest, SweepError

_WINDOW = 3_600_000_000
_AMOUNT = 500
_TRIES = 5
_OWN_SWEEP_S = 2.0
_LOOK_AGAIN_S = 0.1


async def why_clock_stays(system: ServiceUnderTest) -> str | None:
    """What shows that a service's clock cannot be moved, or is not to be; ``None`` if nothing does.

    Args:
        system: the service, just started.
    """
    try:
        return await _Probe(system).run()
    except (UnreadableAnswerError, SweepError):
        return None  # whatever is wrong there, the levels will tell


class _Probe:
    def __init__(self, system: ServiceUnderTest) -> None:
        self._system = system
        self._window = system.traits.window(_WINDOW)
        self._now = EPOCH
        self._real_time_in: str | None = None

    async def run(self) -> str | None:
        """Inside a window, and past another."""
        return (
            await self._inside()
            or await self._past()
            or self._real_time_in
            or await self._expires_by_itself()
        )

    async def _inside(self) -> str | None:
        payment = await self._authorized()
        await self._move(self._window // 2)
        if await self._swept(payment) == "failed":
            return "after half a window, a sweep expires the payment"
        captured = await self._send("capture", payment, key="inside", amount=_AMOUNT)
        if "window_expired" in outcomes_in(captured):
            return "after half a window, a capture is answered window_expired"
        await self._send("read", payment)
        return None

    async def _past(self) -> str | None:
        payment = await self._authorized()
        await self._move(2 * self._window)
        if "captured" in outcomes_in(await self._send("capture", payment, key="past", amount=_AMOUNT)):
            return "after two windows, a capture is answered captured"
        if self._system.sweep_batch is not None and await self._swept(payment) == "authorized":
            return "after two windows, a sweep leaves the payment as it is"
        return None

    async def _expires_by_itself(self) -> str | None:
        for _ in range(_TRIES):
            payment = await self._authorized()
            await self._move(2 * self._window)
            if await self._state(payment) == "authorized":
                break
        else:
            return None  # it may be each read that expires it, which is wrong
        until = time.monotonic() + _OWN_SWEEP_S
        while time.monotonic() < until:
            await asyncio.sleep(_LOOK_AGAIN_S)
            if await self._state(payment) == "failed":
                return "the service expires payments by itself, at times that the harness does not know"
        return None

    async def _authorized(self) -> str:
        payment = str(uuid4())
        await self._move(0)
        for f, arguments in self._system.traits.opening(payment, _AMOUNT, self._window):
            await self._send(f, **arguments)
        return payment

    async def _move(self, by: int) -> None:
        self._now += by
        await self._system.set_clock(self._now)

    async def _swept(self, payment: str) -> str | None:
        if self._system.sweep_batch is not None:
            await self._system.sweep()
        return await self._state(payment)

    async def _state(self, payment: str) -> str | None:
        seen = (await self._send("read", payment)).get("payment", {}).get("state")
        return None if seen is None else str(seen)

    async def _send(self, f: str, payment: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401
        present = time.time_ns() // 1_000
        answer = (await self._system.clients[0].send(Invocation(f, {"payment": payment, **arguments}))).value
        for name, instant in _instants(answer):
            # Both may be near the present in one year of all; then nothing is told from it.
            if abs(instant - present) <= 2 * self._window < abs(self._now - present):
                self._real_time_in = f"a {f} shows the real time as {name}"
        return answer


def _instants(answer: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in answer.items():
        if isinstance(value, Mapping):
            yield from _instants(value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, Mapping):
                    yield from _instants(each)
        elif name == "as_of" or name.endswith("_at"):
            yield name, value
