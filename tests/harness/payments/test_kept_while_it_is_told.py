"""A violation that was found is told, also if an interrupt falls while its result is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.programs import check as checks
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.payments.stress import check as stress_check
from payments_verify.result import CheckResult, ViolationFound
from payments_verify.systems import in_memory


@dataclass
class Forgetful:
    """Says of a payment that was captured that it failed."""

    inner: Any

    async def send(self, invocation: Invocation) -> Observation:
        observed: Observation = await self.inner.send(invocation)
        payment = observed.value.get("payment")
        if invocation.f != "read" or not payment or payment["state"] != "captured":
            return observed
        return Observation(observed.kind, {**observed.value, "payment": {**payment, "state": "failed"}})


@asynccontextmanager
async def forgetful() -> AsyncIterator[ServiceUnderTest]:
    async with in_memory() as system:
        yield replace(system, clients=(Forgetful(system.clients[0]),))


def interrupted_once(make: Callable[..., CheckResult]) -> Callable[..., CheckResult]:
    interrupts = iter([KeyboardInterrupt()])

    def made(*arguments: Any) -> CheckResult:
        for interrupt in interrupts:
            raise interrupt
        return make(*arguments)

    return made


def test_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "sum_up", interrupted_once(checks.sum_up))
    with pytest.raises(ViolationFound) as found:
        checks.machine_check("forgetful", forgetful, examples=20, steps=10, seed=1)
    assert found.value.result.verdict == "violated"
    assert isinstance(found.value.__cause__, KeyboardInterrupt)


def test_of_stress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stress_check, "sum_up", interrupted_once(stress_check.sum_up))
    with pytest.raises(ViolationFound) as found:
        stress_check.stress_check("forgetful", forgetful, tmp_path, rounds=20, seed=1, progress=None)
    assert found.value.result.verdict == "violated"
