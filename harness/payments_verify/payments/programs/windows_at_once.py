"""Captures that race with the end of a window which is waited for, while a sweep runs over and over.

Each has a payment of its own. What was answered near the end may be either; but what was answered holds
afterwards, once the window has certainly ended and what is due has expired.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from payments_verify.patience import patient
from payments_verify.payments.observed.http_steps import HttpStep
from payments_verify.payments.observed.observations import outcomes_in
from payments_verify.payments.programs.waited_window import WaitedWindow
from payments_verify.payments.programs.windows import AMOUNT, SECOND, SWEEP_MARGIN_S, Windows
from payments_verify.payments.service.under_test import ServiceUnderTest

_AT_ONCE = 48
_KINDS = ("early", "near", "near", "late", "near", "near")
"""Of as many captures each: most are sent so near the end that they may be under way when it comes."""
_AROUND_S = 0.3
_NEAR_S = 0.2
_FIRST_LEAD_S = 0.01
_LEAD_STEP_S = 0.006
"""How long before the end one near it is sent: a little later once one was in time, or else earlier."""
_LOCKED_S = 0.5
_SWEPT_APART_S = 0.002
_LEAVES: Mapping[str, frozenset[str]] = {
    "captured": frozenset({"captured"}),
    "window_expired": frozenset({"authorized", "failed"}),
    "payment_failed": frozenset({"failed"}),
}
"""What a capture may be answered near the end of a window, and the states that its payment may have then."""

_TOLD = {"open": "before", "near": "at about"}


async def check_windows_at_once(system: ServiceUnderTest, seed: int) -> int:
    """Check, by waiting, captures that race with the end of a window; how many answers were compared.

    Then one of the payments is locked over the end, where the harness can: what waits for a lock decides
    after it.

    Args:
        system: the service.
        seed: draws when each capture is sent.

    Raises:
        MismatchError: an answer is another than the model's.
        UnansweredError: there is none.
        TimeoutError: the service was too slow for a window to be open when it was asked.
    """
    checker = _Racing(system)
    if not system.traits.ends_windows:
        await checker.inside()
        return checker.compared
    await checker.race_all(random.Random(seed))  # noqa: S311 - draws a workload, keeps no secret
    if system.open_row_holder is not None:
        await checker.locked()
    return checker.compared


class _Racing(Windows):
    def __init__(self, system: ServiceUnderTest) -> None:
        super().__init__(system)
        self._raced: list[tuple[WaitedWindow, Mapping[str, Any]]] = []
        self._judged: Counter[str] = Counter()
        self._is_over = False
        self._lead_s = _FIRST_LEAD_S

    async def race_all(self, rng: random.Random) -> None:
        """Captures before, at and after the end, each of its own payment; then a look at each."""
        planned = await self._planned(rng)
        sweeping = [] if self._system.sweep_batch is None else [self._sweep_over_and_over()]
        await asyncio.gather(self._race(planned, rng), *sweeping)
        await self._look_afterwards()
        # On a busy machine none may have come early enough, or late enough.
        if not self._judged["open"]:
            await self.inside()
        if not self._judged["over"]:
            await self.after_the_end()

    async def locked(self) -> None:
        """A capture that waits for a lock until the window has ended is decided then."""
        window = await self._authorized()
        await asyncio.sleep(window.open_until - _LOCKED_S - time.monotonic())
        async with self._system.row_held(window.payment):
            capture = self._send("capture", window.payment, key="locked", amount=AMOUNT)
            waiting = asyncio.create_task(capture)
            await self._reach_the_end(window)
            has_waited = not waiting.done()
        answer = await waiting
        self.compared += has_waited
        if has_waited and "captured" in outcomes_in(answer):
            told = "a capture waited for the payment's lock until the window had ended, and succeeded"
            raise self._mismatch(answer, {"outcome": "window_expired"}, f"{told}: {dict(answer)}")

    async def _planned(self, rng: random.Random) -> Sequence[tuple[float, str, WaitedWindow]]:
        """Payments whose windows end one after the other, and from when on each is to be captured."""
        around_s = _AROUND_S + 2 * self._traits.resolution / SECOND
        planned = []
        begun = time.monotonic()
        for number in range(_AT_ONCE):
            window, kind = await self._authorized(), _KINDS[number % len(_KINDS)]
            match kind:
                case "early":
                    at = window.open_until - rng.uniform(0, around_s)
                case "late":
                    at = window.over_from + rng.uniform(0, around_s)
                case _:
                    at = window.answered + window.length_s - _NEAR_S
            planned.append((at, kind, window))
            if time.monotonic() > begun + window.length_s / 2:
                break  # of a slow service fewer, so that none ends before it is asked for
        return sorted(planned, key=lambda each: each[0])

    async def _race(self, planned: Sequence[tuple[float, str, WaitedWindow]], rng: random.Random) -> None:
        try:
            await asyncio.gather(*(self._captured(*each, rng) for each in planned))
        finally:
            self._is_over = True

    async def _captured(self, at: float, kind: str, window: WaitedWindow, rng: random.Random) -> None:
        await asyncio.sleep(at - time.monotonic())
        if kind == "near":
            await asyncio.sleep(window.answered + window.length_s - self._lead_s - time.monotonic())
        was_over = window.is_over
        answer = await self._send("capture", window.payment, key="race", amount=AMOUNT)
        if kind == "near":
            step_s = rng.uniform(0, _LEAD_STEP_S)
            self._lead_s += -step_s if "captured" in outcomes_in(answer) else step_s
        self._raced.append((window, answer))
        when = "over" if was_over else "open" if window.is_open else "near"
        self._judged[when] += 1
        if when == "over":
            await self._require_over(answer, window, "a capture after the end of the window")
        elif when == "open" or not outcomes_in(answer) & _LEAVES.keys():
            self._require(answer, "captured", f"a capture {_TOLD[when]} the end of the window")

    async def _sweep_over_and_over(self) -> None:
        self._sent.append(({}, "sweep", HttpStep("sweep", "runs over and over from here on")))
        while not self._is_over:
            await self._sweep_once()
            await asyncio.sleep(_SWEPT_APART_S)

    async def _look_afterwards(self) -> None:
        """What was captured stays so, and what was refused has expired if anything expires."""
        within_s = self._traits.expires_within_s
        expires_s = 0.0 if within_s is None else within_s + patient(SWEEP_MARGIN_S)
        for window, _ in self._raced:
            await self._reach_the_end(window, after_s=expires_s)
        expire = within_s is not None
        if self._system.sweep_batch is not None:
            await self._sweep()
            expire = True
        for window, answer in self._raced:
            answered = sorted(outcomes_in(answer) & _LEAVES.keys())
            states = frozenset[str]().union(*(_LEAVES[each] for each in answered))
            states -= {"authorized"} if expire else frozenset()
            what = f"a capture at about the end of the window was answered {' or '.join(answered)}; after it"
            self._require_state(await self._send("read", window.payment), what, *sorted(states))
