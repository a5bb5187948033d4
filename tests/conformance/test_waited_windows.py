"""Windows that are waited for, of services whose clock tells whole seconds apart, and on a busy machine."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from payments_model import Expire, Record, apply
from payments_verify.binding import Clock, load
from payments_verify.payments.observed.observations import Invocation, Observation, answered_as
from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.programs import waited_window, windows, windows_at_once
from payments_verify.payments.programs.waited_window import WAITED_WINDOW_S, waited_length
from payments_verify.payments.programs.windows import check_windows
from payments_verify.payments.programs.windows_at_once import check_windows_at_once
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.payments.specification.oracle import MismatchError, answer
from payments_verify.systems.started import traits_when_started
from tests.conformance.test_peers import BINDING

SECOND = 1_000_000
ROUNDED: dict[str, Callable[[float], int]] = {"down": math.floor, "up": math.ceil, "to the nearest": round}


@dataclass
class InSeconds:
    """A service that decides in whole seconds of a time that passes only where somebody waits.

    Attributes:
        whole: makes whole seconds of the time.
        off_s: how much later than it is the time is to captures.
        expires: whether it expires by itself what is due.
        records: what it has stored, by payment.
    """

    now: float
    whole: Callable[[float], int]
    off_s: float = 0.0
    expires: bool = False
    records: dict[str, Record] = field(default_factory=dict)

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

    async def send(self, invocation: Invocation) -> Observation:
        await self.sleep(0.001)
        payment = invocation.value["payment"]
        is_capture = invocation.f == "capture"
        now = self.whole(self.now + (self.off_s if is_capture else 0.0)) * SECOND
        before = self.records.get(payment, Record())
        if self.expires and before.payment is not None:
            before, _ = apply(before, Expire(), now)
        self.records[payment], told = answer(before, invocation, now)
        outcome = told.pop("outcome")
        if "payment" in told:
            told["payment"] = {k: v for k, v in told["payment"].items() if not k.endswith("_at")}
        told.pop("as_of", None)
        return answered_as(outcome, **told)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServiceUnderTest]:
    """Serves it to the checks, on an idle machine."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))

    def made(service: InSeconds, traits: Traits) -> ServiceUnderTest:
        async def leave_the_clock(_now: int) -> None:
            return None

        for module in (windows, windows_at_once, waited_window):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: service.now))
        stood_in = SimpleNamespace(sleep=service.sleep, gather=one_by_one)
        for module in (windows, windows_at_once):
            monkeypatch.setattr(module, "asyncio", stood_in)
        return ServiceUnderTest("whole", (service,), leave_the_clock, traits=traits)

    return made


async def one_by_one(*racing: Any) -> None:
    try:
        for each in racing:
            await each
    finally:
        for each in racing:
            each.close()


def in_real_time(**others: Any) -> Traits:
    binding = msgspec.structs.replace(load(BINDING), clock=Clock(by="none", resolution="seconds"))
    return replace(traits_when_started(binding), moves_clock=False, **others)


@pytest.mark.parametrize("rounded", ROUNDED)
@pytest.mark.parametrize("begun", [0.05, 0.45, 0.55, 0.95])
@pytest.mark.parametrize("within", [None, 1.0])
def test_a_right_service_that_decides_in_whole_seconds_is_not_accused(
    served: Any, rounded: str, begun: float, within: float | None
) -> None:
    service = InSeconds(1_000_000 + begun, ROUNDED[rounded], expires=within is not None)
    system = served(service, in_real_time(expires_within_s=within))
    assert asyncio.run(check_windows(system)) > 0
    for seed in range(5):
        assert asyncio.run(check_windows_at_once(system, seed)) > 0


@pytest.mark.parametrize("rounded", ROUNDED)
@pytest.mark.parametrize("off_s", [-3.5, 3.5])
def test_a_wrong_one_is_found(served: Any, rounded: str, off_s: float) -> None:
    for seed in range(5):
        system = served(InSeconds(1_000_000.5, ROUNDED[rounded], off_s), in_real_time())
        with pytest.raises(MismatchError, match=r"(after|before) the end of the window"):
            asyncio.run(check_windows_at_once(system, seed))


def test_a_busy_machine_has_longer_windows(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that answers after three seconds is not asked within two."""

    class Busy(InSeconds):
        async def send(self, invocation: Invocation) -> Observation:
            await self.sleep(3.0)
            return await super().send(invocation)

    traits = replace(in_real_time(), resolution=1)
    service = Busy(1_000_000.0, math.floor)
    with pytest.raises(TimeoutError, match=rf"not asked within {WAITED_WINDOW_S} s"):
        asyncio.run(check_windows(served(service, traits)))
    monkeypatch.setattr(os, "getloadavg", lambda: (10.0 * (os.cpu_count() or 1), 0.0, 0.0))
    assert asyncio.run(check_windows(served(service, traits))) > 0
    with pytest.raises(TimeoutError):
        asyncio.run(check_windows(served(service, replace(traits, max_window=3 * SECOND))))


def test_where_the_clock_is_moved_windows_are_as_long_on_any_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1_000.0, 0.0, 0.0))
    assert waited_length(Traits(), is_late=True) == WAITED_WINDOW_S * SECOND
