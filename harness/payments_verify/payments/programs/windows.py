"""Capture windows: the last instant, the end, and what the sweep makes of it.

Where the harness moves the clock, at the µs. Where it does not, by waiting, with what holds whatever the
service's clock shows, see `WaitedWindow`. A service may then have expired the payment by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from payments_verify.patience import patient
from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.observed.http_steps import (
    HttpRun,
    HttpStep,
    clock_step,
    step_of,
    unreadable_step,
)
from payments_verify.payments.observed.observations import (
    Invocation,
    Observation,
    UnreadableAnswerError,
    outcomes_in,
)
from payments_verify.payments.programs.waited_window import WaitedWindow, waited_length
from payments_verify.payments.service.under_test import ServiceUnderTest, SweepError, UnansweredError
from payments_verify.payments.specification.oracle import MismatchError
from pgweave.service.exchange import HttpExchange

SECOND = 1_000_000
AMOUNT = 500
_TRIES = 5
MARGIN_S = 0.05
SWEEP_MARGIN_S = 1.0
_OPENED = {"create": ("created", "a creation"), "authorize": ("authorized", "an authorization")}


async def check_windows(system: ServiceUnderTest) -> int:
    """Check the window's two sides, and the sweep; how many answers were compared.

    Raises:
        MismatchError: an answer is another than the model's.
        UnansweredError: there is none.
        TimeoutError: the service was too slow for a window to be open when it was asked.
    """
    checker = Windows(system)
    await checker.inside()
    if not system.traits.ends_windows:
        return checker.compared
    await checker.after_the_end()
    if system.sweep_batch is not None:
        await checker.swept()
    if system.traits.expires_within_s is not None:
        await checker.expired(system.traits.expires_within_s)
    return checker.compared


class Windows:
    """Payments whose windows are reached one by one, and what was asked of them.

    Args:
        system: the service.

    Attributes:
        compared: how many answers were compared.
    """

    def __init__(self, system: ServiceUnderTest) -> None:
        self.compared = 0
        self._system = system
        self._traits = system.traits
        self._now = BEGIN
        self._length = waited_length(self._traits)
        self._sent: list[tuple[Mapping[str, Any], str, HttpStep]] = []

    async def inside(self) -> None:
        """A capture before the end succeeds: in the last µs where the clock can be moved."""
        for _ in range(_TRIES):
            window = await self._authorized()
            if self._traits.moves_clock:
                await self._set_clock(window.ends - 1)
            answer = await self._send("capture", window.payment, "captured", key="inside", amount=AMOUNT)
            if self._traits.moves_clock or window.is_open:
                self._require(answer, "captured", "a capture before the end of the window")
                return
            self._length = waited_length(self._traits, is_late=True)
        raise TimeoutError(f"the service was not asked within {window.length_s:g} s of an authorization")

    async def after_the_end(self) -> None:
        """A capture at the end, or after it, is refused, and its key stays refused."""
        window = await self._authorized()
        await self._reach_the_end(window)
        for which in ("the first", "a repeated"):
            answer = await self._send("capture", window.payment, "window_expired", key="after", amount=AMOUNT)
            await self._require_over(answer, window, f"{which} capture after the end of the window")

    async def swept(self) -> None:
        """A sweep leaves an open payment, and expires it at its end."""
        window = await self._authorized()
        if self._traits.moves_clock:
            await self._set_clock(window.ends - 1)
        await self._sweep()
        seen = await self._send("read", window.payment)
        if self._traits.moves_clock or window.is_open:
            self._require_state(seen, "a sweep before the end of the window", "authorized")
        await self._reach_the_end(window)
        await self._sweep()
        seen = await self._send("read", window.payment)
        self._require_state(seen, "a sweep after the end of the window", "failed")
        answer = await self._send("capture", window.payment, "payment_failed", key="swept", amount=AMOUNT)
        self._require(answer, "payment_failed", "a capture of an expired payment")

    async def expired(self, within_s: float) -> None:
        """The service expires by itself what is due, as late as it says, and nothing before it is due."""
        window = await self._authorized()
        await asyncio.sleep(window.open_until - MARGIN_S - time.monotonic())
        seen = await self._send("read", window.payment)
        if window.is_open:
            self._require_state(seen, "before the end of the window", "authorized")
        await self._reach_the_end(window, after_s=within_s + patient(SWEEP_MARGIN_S))
        seen = await self._send("read", window.payment)
        self._require_state(seen, f"{within_s:g} s (sweep.within) after the end of the window", "failed")
        answer = await self._send("capture", window.payment, "payment_failed", key="expired", amount=AMOUNT)
        self._require(answer, "payment_failed", "a capture of a payment that the service has expired")

    async def _authorized(self) -> WaitedWindow:
        payment = str(uuid4())
        await self._set_clock(self._now)
        answer: Mapping[str, Any] = {}
        for f, arguments in self._traits.opening(payment, AMOUNT, self._length):
            asked = time.monotonic()
            answer = await self._send(f, **arguments)
            self._require(answer, *_OPENED[f])
        view = answer.get("payment", {})
        if {"authorized_at", "capture_expires_at"} <= view.keys():
            length = view["capture_expires_at"] - view["authorized_at"]
            if length != self._length:
                raise MismatchError(f"a window has to be {self._length} µs long, and is {length} µs long")
        ends = self._now + self._length
        lengths = self._length / SECOND, self._traits.resolution / SECOND
        return WaitedWindow(payment, ends, asked, time.monotonic(), *lengths)

    async def _reach_the_end(self, window: WaitedWindow, after_s: float = 0.0) -> None:
        if self._traits.moves_clock:
            await self._set_clock(window.ends)
        else:
            await asyncio.sleep(window.over_from + MARGIN_S + after_s - time.monotonic())

    async def _set_clock(self, now: int) -> None:
        self._now = self._traits.instant(now)
        await self._system.set_clock(self._now)
        if self._traits.moves_clock:
            self._sent.append(({}, "clock", clock_step(now)))

    async def _send(
        self,
        f: str,
        payment: str,
        model: str = "",
        **arguments: Any,  # noqa: ANN401
    ) -> Mapping[str, Any]:
        """Send it; where there is no answer, the one that the model gives is told."""
        invocation = Invocation(f, {"payment": payment, **arguments})
        try:
            observed = await self._system.clients[0].send(invocation)
        except UnreadableAnswerError as error:
            seen: Mapping[str, Any] = {}
            self._sent.append((seen, f, unreadable_step("client", invocation, error)))
            raise self._mismatch(seen, {"outcome": model}, str(error)) from None
        self._sent.append((observed.value, f, step_of("client", invocation, observed)))
        what = f"{f} {dict(invocation.value)}" + (f" (the model answers {model})" if model else "")
        try:
            await self._system.require_answered(what, observed)
        except UnansweredError as unanswered:
            unanswered.http = self._http(observed.value, {"outcome": model})
            raise
        return observed.value

    async def _sweep(self) -> None:
        self._sent.append(({}, "sweep", HttpStep("sweep", "runs", exchanges=await self._sweep_once())))

    async def _sweep_once(self) -> tuple[HttpExchange, ...]:
        try:
            return await self._system.sweep()
        except SweepError as error:
            if await self._system.end() is None:
                raise
            await self._system.require_answered("a sweep", Observation("unknown", {"error": f"{error}"}))
            raise
        except Exception as error:
            raise UnansweredError(f"a sweep failed: {type(error).__name__}: {error}") from error

    def _require(self, answer: Mapping[str, Any], outcome: str, what: str) -> None:
        self.compared += 1
        if outcome not in outcomes_in(answer):
            told = f"{what}: the model answers {outcome}, the service {dict(answer)}"
            raise self._mismatch(answer, {"outcome": outcome}, told)

    async def _require_over(self, answer: Mapping[str, Any], window: WaitedWindow, what: str) -> None:
        if not self._traits.moves_clock and "payment_failed" in outcomes_in(answer):
            seen = await self._send("read", window.payment)
            self._require_state(seen, f"{what} was answered payment_failed", "failed")
        else:
            self._require(answer, "window_expired", what)

    def _require_state(self, seen: Mapping[str, Any], what: str, *states: str) -> None:
        self.compared += 1
        if seen.get("payment", {}).get("state") not in states:
            told = f"{what}: the payment has to be {' or '.join(states)}, and a read shows {dict(seen)}"
            raise self._mismatch(seen, {"outcome": "read", "payment": {"state": states[0]}}, told)

    def _mismatch(self, answer: Mapping[str, Any], expected: Mapping[str, Any], told: str) -> MismatchError:
        return MismatchError(told, http=self._http(answer, expected))

    def _http(self, answer: Mapping[str, Any], expected: Mapping[str, Any]) -> HttpRun:
        """What was asked of the payment up to a wrong answer."""
        place = next(place for place, (seen, _, _) in enumerate(self._sent) if seen is answer)
        _, f, wrong = self._sent[place]
        wrong = replace(wrong, is_wrong=True, expected=self._system.expected_http(f, expected))
        before = [step for _, _, step in self._sent[:place] if step.payment in ("", wrong.payment)]
        return self._system.http_run((*before, wrong))
