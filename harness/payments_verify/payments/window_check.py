"""Capture windows one payment at a time: the last instant, the end, and what the sweep makes of it.

Where the harness moves the clock, at the µs. Where it cannot, by waiting, with what holds whatever the
service's clock shows: less than a window has passed since before the authorization was sent, or more than a
window since it was answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from payments_verify.payments.http_binding import BindingError
from payments_verify.payments.machine import EPOCH
from payments_verify.payments.observations import Invocation, outcomes_in
from payments_verify.payments.oracle import MismatchError
from payments_verify.payments.system import System

_SECOND = 1_000_000
_AMOUNT = 500
_TRIES = 5
_MARGIN_S = 0.05
WAITED_WINDOW_S = 2
"""The windows that are waited for, in seconds."""


async def check_windows(system: System) -> int:
    """Check the window's two sides, and the sweep; how many answers were compared.

    Raises:
        MismatchError: an answer is another than the model's.
        TimeoutError: the service was too slow for a window to be open when it was asked.
    """
    checker = _Windows(system)
    await checker.inside()
    await checker.after_the_end()
    if system.sweep is not None:
        await checker.swept()
    return checker.compared


class _Windows:
    def __init__(self, system: System) -> None:
        self.compared = 0
        self._system = system
        self._traits = system.traits
        self._now = EPOCH
        self._began = 0.0

    async def inside(self) -> None:
        """A capture before the end succeeds: in the last µs where the clock can be moved."""
        for _ in range(_TRIES):
            payment = await self._authorized()
            if self._traits.moves_clock:
                await self._set_clock(self._now + WAITED_WINDOW_S * _SECOND - 1)
            answer = await self._send("capture", payment, key="inside", amount=_AMOUNT)
            in_time = self._traits.moves_clock or time.monotonic() - self._began < WAITED_WINDOW_S
            if in_time:
                self._require(answer, "captured", "a capture before the end of the window")
                return
        raise TimeoutError(f"the service was not asked within {WAITED_WINDOW_S} s of an authorization")

    async def after_the_end(self) -> None:
        """A capture at the end, or after it, is refused, and its key stays refused."""
        payment = await self._authorized()
        await self._reach_the_end()
        for which in ("the first", "a repeated"):
            answer = await self._send("capture", payment, key="after", amount=_AMOUNT)
            self._require(answer, "window_expired", f"{which} capture after the end of the window")

    async def swept(self) -> None:
        """A sweep leaves an open payment, and expires it at its end."""
        assert self._system.sweep is not None
        payment = await self._authorized()
        if self._traits.moves_clock:
            await self._set_clock(self._now + WAITED_WINDOW_S * _SECOND - 1)
            await self._system.sweep()
            await self._require_state(payment, "authorized", "a sweep before the end of the window")
            await self._set_clock(self._now + 1)
        else:
            await self._reach_the_end()
        await self._system.sweep()
        await self._require_state(payment, "failed", "a sweep after the end of the window")
        answer = await self._send("capture", payment, key="swept", amount=_AMOUNT)
        self._require(answer, "payment_failed", "a capture of an expired payment")

    async def _authorized(self) -> str:
        payment = str(uuid4())
        await self._set_clock(self._now)
        self._require(await self._send("create", payment, amount=_AMOUNT), "created", "a creation")
        self._began = time.monotonic()
        answer = await self._send("authorize", payment, window=WAITED_WINDOW_S * _SECOND)
        self._require(answer, "authorized", "an authorization")
        view = answer.get("payment", {})
        if {"authorized_at", "capture_expires_at"} <= view.keys():
            length = view["capture_expires_at"] - view["authorized_at"]
            if length != WAITED_WINDOW_S * _SECOND:
                raise MismatchError(f"a window of {WAITED_WINDOW_S} s was asked for; it has {length} µs")
        return payment

    async def _reach_the_end(self) -> None:
        if self._traits.moves_clock:
            await self._set_clock(self._now + WAITED_WINDOW_S * _SECOND)
        else:
            await asyncio.sleep(WAITED_WINDOW_S + _MARGIN_S)

    async def _set_clock(self, now: int) -> None:
        self._now = now
        await self._system.set_clock(now)

    async def _send(self, f: str, payment: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401
        invocation = Invocation(f, {"payment": payment, **arguments})
        try:
            return (await self._system.clients[0].send(invocation)).value
        except BindingError as error:
            raise MismatchError(str(error)) from None

    def _require(self, answer: Mapping[str, Any], outcome: str, what: str) -> None:
        self.compared += 1
        if outcome not in outcomes_in(answer):
            raise MismatchError(f"{what}: the model answers {outcome}, the service {dict(answer)}")

    async def _require_state(self, payment: str, state: str, what: str) -> None:
        self.compared += 1
        answer = await self._send("read", payment)
        seen = answer.get("payment", {}).get("state")
        if seen != state:
            raise MismatchError(f"{what}: the payment has to be {state}, and a read shows {dict(answer)}")
